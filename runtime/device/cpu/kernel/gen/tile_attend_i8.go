package main

import "fmt"

// Attention over a cache of i8 on tiles: 16 rows of queries, or of weights, in two digits against 32 positions, or channels. Panels of keys are tiles
// as they lie in the cache; values are copied together, as a tile has 64 positions. The sums are those of the vector kernels, to the bit.

// tileI8 is a kernel being written.
type tileI8 struct{ tileFunction }

// Registers of tile kernels for i8, beside panel, x, steps and ahead.
const (
	secondTile = "BX" // of keys
	valueLD    = "R8" // between quads of values; the sums of a row, when they are stored
	panelList  = "R10"
	roundsLeft = "R11"
	tileOut    = "R12"
	tileSums   = "R13"
)

func newTileI8(name, doc, argsName string) tileI8 {
	k := tileI8{startTiles(name, doc, argsName, "wholeTiles")}
	k.op("VBROADCASTSS", constant("restStep"), avx512.reg(tileRestStep))
	k.op("MOVQ", imm(tileRow), tileStride)
	k.op("MOVQ", k.arg("out"), tileOut)
	k.op("MOVQ", k.arg("sums"), tileSums)
	return k
}

// multiply adds the products of a block of both digits with two tiles, whose columns are loaded by load.
func (k tileI8) multiply(load func(tile int)) {
	k.addProducts(dotSignedUnsigned, digitsI8, func(i int) { k.tileLoad(i*tileBytes, x, tileStride, tileA+i) }, load)
	k.op("ADDQ", imm(digitsI8*tileBytes), x)
}

// storeRows turns the sums of each row into f32 and stores them, 32 side by side; factor leaves what they are multiplied with in Z4 and Z5.
func (k tileI8) storeRows(factor func(entryAt string)) {
	const row, rowsOfOut, rowEntryAt = "CX", "R15", "AX"
	for i := range 4 {
		k.tileStore(tileSum+i, i*tileBytes, tileSums, tileStride)
	}
	again := k.newLabel("row")
	k.op("MOVQ", k.arg("rows"), row)
	k.op("MOVQ", tileOut, rowsOfOut)
	k.op("MOVQ", k.arg("entry"), rowEntryAt)
	k.op("MOVQ", tileSums, x)
	k.place(again)
	for d := range digitsI8 {
		for i := range 2 {
			v := avx512.reg(2*d + i)
			k.op("VPBROADCASTD", mem(entryBias+4*d, rowEntryAt), v)
			k.op("VPADDD", mem((2*d+i)*tileBytes, x), v, v)
			k.op("VCVTDQ2PS", v, v)
		}
	}
	factor(rowEntryAt)
	for i := range 2 {
		first := avx512.reg(i)
		k.op("VFMADD231PS", avx512.reg(tileRestStep), avx512.reg(2+i), first)
		k.op("VMULPS", avx512.reg(4+i), first, first)
		k.op("VMOVUPS", first, mem(i*tileRow, rowsOfOut))
	}
	k.op("ADDQ", imm(tileRow), x)
	k.op("ADDQ", k.arg("outStride"), rowsOfOut)
	k.op("ADDQ", k.arg("entryStride"), rowEntryAt)
	k.op("DECQ", row)
	k.op("JNE", again)
	k.op("ADDQ", imm(2*tileRow), tileOut)
}

// panelField is a field of the i-th of the panels at base.
func panelField(i int, name, base string) string {
	return fmt.Sprintf("(%d*scorePanel__size+scorePanel_%s)(%s)", i, name, base)
}

// tileScoresI8 multiplies queries with pairs of panels.
func tileScoresI8() *function {
	k := newTileI8("tileScoresI8", "multiplies 16 rows of queries with pairs of panels of keys.", "tileScoreI8Args")
	pair, step := k.newLabel("pair"), k.newLabel("step")
	k.op("MOVQ", k.arg("panels"), panelList)
	k.op("MOVQ", k.arg("pairs"), roundsLeft)
	k.place(pair)
	k.op("MOVQ", panelField(0, "k", panelList), panel)
	k.op("MOVQ", panelField(1, "k", panelList), secondTile)
	k.op("MOVQ", k.arg("q"), x)
	k.op("MOVQ", k.arg("steps"), steps)
	k.zeroSums(digitsI8)
	k.place(step)
	k.multiply(func(i int) { k.tileLoad(0, []string{panel, secondTile}[i], tileStride, tileB+i) })
	k.op("ADDQ", imm(tileBytes), panel)
	k.op("ADDQ", imm(tileBytes), secondTile)
	k.op("DECQ", steps)
	k.op("JNE", step)
	k.op("MOVQ", panelField(0, "scales", panelList), panel)
	k.op("MOVQ", panelField(1, "scales", panelList), secondTile)
	k.op("VCVTPH2PS", mem(0, panel), avx512.reg(tileScale))
	k.op("VCVTPH2PS", mem(0, secondTile), avx512.reg(tileScale+1))
	k.storeRows(func(entryAt string) {
		for i := range 2 {
			k.op("VMULPS.BCST", mem(entryScale, entryAt), avx512.reg(tileScale+i), avx512.reg(4+i))
		}
	})
	k.op("ADDQ", "$(2*scorePanel__size)", panelList)
	k.op("DECQ", roundsLeft)
	k.op("JNE", pair)
	return k.finish()
}

// tileValuesI8 sums values, 32 channels a round.
func tileValuesI8() *function {
	k := newTileI8("tileValuesI8", "sums values weighted by 16 rows of digits.", "tileValueI8Args")
	block, step := k.newLabel("block"), k.newLabel("step")
	k.op("MOVQ", k.arg("v"), panelList)
	k.op("MOVQ", k.arg("blocks"), roundsLeft)
	k.place(block)
	k.op("MOVQ", panelList, panel)
	k.op("MOVQ", k.arg("vStride"), valueLD)
	k.op("MOVQ", valueLD, secondTile)
	k.op("SHLQ", imm(4), secondTile) // of a tile of values
	k.op("MOVQ", k.arg("p"), x)
	k.op("MOVQ", k.arg("chunks"), steps)
	k.zeroSums(digitsI8)
	k.place(step)
	k.multiply(func(i int) { k.tileLoad(i*tileRow, panel, valueLD, tileB+i) })
	k.op("ADDQ", secondTile, panel)
	k.op("DECQ", steps)
	k.op("JNE", step)
	k.storeRows(func(entryAt string) {
		for i := range 2 {
			k.op("VBROADCASTSS", mem(entryScale, entryAt), avx512.reg(4+i))
		}
	})
	k.op("ADDQ", imm(2*tileRow), panelList)
	k.op("DECQ", roundsLeft)
	k.op("JNE", block)
	return k.finish()
}

// attendTileUnits writes the kernels of attention on AMX tiles.
func attendTileUnits() []unit {
	return []unit{{file: "ztile_attend", functions: []*function{tileScores(2), tileValues(2), tileScores(1), tileValues(1), tileScoresI8(), tileValuesI8()}}}
}
