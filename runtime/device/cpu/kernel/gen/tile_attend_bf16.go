package main

import "strings"

// Attention on tiles: 32 query rows, two tiles, or up to 16 of them, one tile as high as they need, against a split of a sequence. Panels of keys are tiles
// as they lie in the cache, 16 pairs of channels for 16 positions, and so are 8 pairs of positions for 16 channels of values.

// tileScores multiplies queries with pairs of panels: scores of all rows for 32 positions a round.
func tileScores(rowTiles int) *function {
	const first, second, lower, out, at, left = "SI", "BX", "R11", "R12", "R13", "CX"
	ahead := []string{"R10", "R15"}
	k := startTileAttend("tileScores", "of queries with pairs of panels of keys", "multiplies", "scoreTileArgs", "wholeTiles", rowTiles)
	arg := k.arg
	pair, cached, done := k.newLabel("pair"), k.newLabel("cached"), k.newLabel("done")
	k.op("MOVQ", arg("qStride"), panelStride)
	k.op("MOVQ", imm(tileRow), tileStride)
	k.op("MOVQ", arg("out"), out)
	k.op("MOVQ", arg("outStride"), resultLD)
	k.op("MOVQ", arg("panels"), at)
	k.op("MOVQ", arg("pairs"), left)
	k.place(pair)
	k.op("MOVQ", panelField(0, "k", at), first)
	k.op("MOVQ", panelField(1, "k", at), second)
	k.op("MOVQ", arg("q"), x)
	k.secondRows(x, panelStride, lower)
	k.op("MOVQ", arg("steps"), steps)
	k.zeroSums(k.rowTiles)
	loop := func(prefetch bool) {
		step := k.newLabel("step")
		k.place(step)
		k.addProducts(dotBF16Tiles, k.rowTiles,
			func(i int) { k.tileLoad(0, []string{x, lower}[i], panelStride, tileA+i) },
			func(i int) { k.tileLoad(0, []string{first, second}[i], tileStride, tileB+i) })
		moving := []string{first, second}
		if prefetch {
			k.fetch(ahead...)
			moving = append(moving, ahead...)
		}
		for _, p := range []string{x, lower}[:k.rowTiles] {
			k.op("ADDQ", imm(tileRow), p)
		}
		for _, p := range moving {
			k.op("ADDQ", imm(tileBytes), p)
		}
		k.op("DECQ", steps)
		k.op("JNE", step)
	}
	k.op("CMPQ", arg("ahead"), imm(0))
	k.op("JEQ", cached)
	k.op("MOVQ", panelField(0, "v", at), ahead[0])
	k.op("MOVQ", panelField(1, "v", at), ahead[1])
	loop(true)
	k.op("JMP", done)
	k.place(cached)
	loop(false)
	k.place(done)
	k.storeSums(out)
	k.op("ADDQ", imm(2*tileRow), out)
	k.op("ADDQ", "$(2*scorePanel__size)", at)
	k.op("DECQ", left)
	k.op("JNE", pair)
	return k.finish()
}

// tileValues sums the values of chunks of 16 positions, weighted by all rows: 32 channels a round.
func tileValues(rowTiles int) *function {
	const lower, out, at, channel, value, ahead = "R11", "R12", "R13", "BX", "SI", "R10"
	k := startTileAttend("tileValues", "", "sums chunks of 16 positions' values, weighted by", "valueTileArgs", "shortTiles", rowTiles)
	arg := k.arg
	block, chunk := k.newLabel("block"), k.newLabel("chunk")
	k.op("MOVQ", arg("pStride"), tileStride)
	k.op("MOVQ", arg("vStride"), panelStride)
	k.op("MOVQ", arg("out"), out)
	k.op("MOVQ", arg("outStride"), resultLD)
	k.op("XORL", channel, channel)
	k.place(block)
	k.op("MOVQ", arg("p"), x)
	k.secondRows(x, tileStride, lower)
	k.op("MOVQ", arg("list"), at)
	k.op("MOVQ", arg("chunks"), steps)
	k.zeroSums(k.rowTiles)
	k.place(chunk)
	k.op("MOVQ", mem(0, at), value)
	k.op("ADDQ", channel, value)
	k.addProducts(dotBF16Tiles, k.rowTiles,
		func(i int) { k.tileLoad(0, []string{x, lower}[i], tileStride, tileA+i) },
		func(i int) { k.tileLoad(i*tileRow, value, panelStride, tileB+i) })
	cached := k.newLabel("cached")
	k.op("MOVQ", mem(8, at), ahead)
	k.op("TESTQ", ahead, ahead)
	k.op("JEQ", cached)
	k.op("LEAQ", indexed(0, ahead, channel, 8), ahead) // a panel of keys is as long as a chunk of values: a tile of it for every 32 channels
	k.fetch(ahead)
	k.place(cached)
	for _, p := range []string{x, lower}[:k.rowTiles] {
		k.op("ADDQ", imm(tileRow/2), p)
	}
	k.op("ADDQ", imm(16), at)
	k.op("DECQ", steps)
	k.op("JNE", chunk)
	k.storeSums(out)
	k.op("ADDQ", imm(2*tileRow), out)
	k.op("ADDQ", imm(2*tileRow), channel)
	k.op("DECQ", arg("blocks"))
	k.op("JNE", block)
	return k.finish()
}

// tileAttend is a kernel of attention over bf16 being written.
type tileAttend struct {
	tileFunction
	rowTiles int
}

// startTileAttend starts a kernel for 32 rows, or for as many as its arguments' configuration has.
func startTileAttend(name, of, does, argsName, config string, rowTiles int) tileAttend {
	rows := "32 rows"
	if rowTiles == 1 {
		name, config, rows = name+"few", "", "up to 16 rows"
	}
	doc := strings.TrimSpace(does+" "+rows+" "+of) + "."
	return tileAttend{startTiles(name, doc, argsName, config), rowTiles}
}

// secondRows points lower at the 16th row behind the one at rows, if there is a second tile of rows.
func (k tileAttend) secondRows(rows, stride, lower string) {
	if k.rowTiles == 1 {
		return
	}
	k.op("MOVQ", stride, lower)
	k.op("SHLQ", imm(4), lower)
	k.op("ADDQ", rows, lower)
}

// fetch prefetches a tile's worth of memory at each of some addresses.
func (k tileAttend) fetch(bases ...string) {
	for i := 0; i < tileBytes; i += tileRow {
		for _, base := range bases {
			k.op("PREFETCHT1", mem(i, base))
		}
	}
}

// storeSums stores all rows of 32 sums.
func (k tileAttend) storeSums(out string) {
	k.tileStore(tileSum, 0, out, resultLD)
	k.tileStore(tileSum+1, tileRow, out, resultLD)
	if k.rowTiles == 1 {
		return
	}
	k.secondRows(out, resultLD, "AX")
	k.tileStore(tileSum+2, 0, "AX", resultLD)
	k.tileStore(tileSum+3, tileRow, "AX", resultLD)
}
