package main

import "fmt"

// The steps of K are taken in parts that are short enough for a part of two tiles of rows and one of the panel to stay in the nearest cache while
// all rows meet that part of the panel; sums on their way from one part of a segment to the next lie in memory as tiles. The sums of a segment go
// to memory too, and vectors take them to y row by row. They do so while the tiles multiply the next pair: each step of K finishes a few rows of
// the pair before, so that neither waits for the other. The next panel is asked for in parts that last as long as this one.

// Registers of these kernels beside those of all: what is pending, rows whose sums wait.
const (
	counter      = "R8"
	pendingRows  = "R10"
	spill        = "R11" // the pair's sums between two parts
	pendingY     = "R12"
	pendingSums  = "R13" // of the next row
	pendingEntry = "R15"
	aheadPanel   = "BX" // of the next panel
	part         = "CX" // *tilePart
)

// tileFamily is a linear whose panels are tiles as they are.
type tileFamily struct {
	name   string
	dot    tileDot
	digits int
	few    bool
	nested bool // panels are of u4n: see tile_nested.go
	// prepare loads what the rows of a panel need, finishRow gets the sums of a row in registers Z0 (16 outputs) and Z1, those of the second digit
	// in Z2 and Z3, and leaves results in Z0 and Z1.
	prepare   func(k *tileKernel)
	finishRow func(k *tileKernel)
}

var tileFamilies = []tileFamily{
	{"tileBF16", dotBF16Tiles, 1, false, false, func(*tileKernel) {}, func(*tileKernel) {}},
	{"tileBF16few", dotBF16Tiles, 1, true, false, func(*tileKernel) {}, func(*tileKernel) {}},
	{"tileU8", dotSignedUnsigned, 1, false, false, (*tileKernel).loadScalesU8, (*tileKernel).scaleRowU8},
	{"tileU8digits", dotSignedUnsigned, 2, false, false, (*tileKernel).loadScalesU8, (*tileKernel).scaleRowU8},
	{"tileNested", dotSignedUnsigned, 1, false, true, (*tileKernel).loadScalesU8, (*tileKernel).scaleRowU8},
	{"tileNesteddigits", dotSignedUnsigned, 2, false, true, (*tileKernel).loadScalesU8, (*tileKernel).scaleRowU8},
}

func (t *tileFamily) write() *function {
	k := t.start()
	panels, parts, pairs := k.newLabel("panel"), k.newLabel("part"), k.newLabel("pair")
	k.copyArg("panel", "panelAt")
	k.copyArg("y", "yAt")
	k.place(panels)
	k.startAhead(t)
	k.copyArg("panelAt", "partPanel")
	k.copyArg("x", "partX")
	k.copyArg("partCount", "partsLeft")
	k.op("MOVQ", k.arg("parts"), part)
	k.place(parts)
	k.copyArg("partX", "xAt")
	k.copyArg("rows", "rowsLeft")
	k.copyArg("yAt", "pairY")
	k.copyArg("entry", "pairEntry")
	k.op("MOVQ", k.arg("spill"), spill)
	k.place(pairs)
	k.op("MOVQ", k.arg("xAt"), x)
	k.op("MOVQ", k.arg("partPanel"), panel)
	k.multiply(t)
	k.nextPair()
	k.op("JG", pairs)
	k.op("MOVQ", panel, k.arg("partPanel"))
	k.op("MOVQ", partField("xBytes"), "AX")
	k.op("ADDQ", "AX", k.arg("partX"))
	k.op("ADDQ", "$tilePart__size", part)
	k.op("DECQ", k.arg("partsLeft"))
	k.op("JNE", parts)
	k.op("MOVQ", k.arg("panelBytes"), "AX")
	k.op("ADDQ", "AX", k.arg("panelAt"))
	k.op("ADDQ", imm(stepBytes), k.arg("yAt"))
	k.op("DECQ", k.arg("panels"))
	k.op("JNE", panels)
	k.finishRows(t.finishRow)
	return k.finish()
}

func partField(name string) string { return field("tilePart", name, part) }

// start starts a kernel of the family.
func (t *tileFamily) start() *tileKernel {
	config := "wholeTiles"
	if t.few {
		config = ""
	}
	doc := "multiplies rows that are packed as tiles with panels."
	k := &tileKernel{tileFunction: startTiles(t.name, doc, "amxArgs", config), dot: t.dot, digits: t.digits, few: t.few}
	k.op("MOVQ", imm(tileRow), tileStride)
	k.op("MOVQ", k.arg("yStride"), resultLD)
	k.op("XORL", pendingRows, pendingRows)
	if t.nested {
		k.codes().loadConstants()
		k.op("MOVQ", k.arg("block"), block)
	} else {
		k.copyArg("ahead", "aheadAt")
	}
	return k
}

// nextPair goes on to the next rows; the flags tell whether there are any.
func (k *tileKernel) nextPair() {
	k.op("IMUL3Q", imm(k.pairRows()), resultLD, "AX")
	k.op("ADDQ", "AX", k.arg("pairY"))
	k.op("MOVQ", k.arg("xStride"), "AX")
	k.op("IMUL3Q", imm(k.pairRows()), "AX", "AX")
	k.op("ADDQ", "AX", k.arg("pairEntry"))
	k.op("MOVQ", k.arg("pairBytes"), "AX")
	k.op("ADDQ", "AX", k.arg("xAt"))
	k.op("ADDQ", imm(4*tileBytes), spill)
	k.op("SUBQ", imm(k.pairRows()), k.arg("rowsLeft"))
}

// tileAhead is how far ahead of itself a kernel for few rows prefetches, bytes.
const tileAhead = 3072

// multiply multiplies a pair with a part of the panel, and finishes rows of the pair before.
func (k *tileKernel) multiply(t *tileFamily) {
	again, fresh, started := k.newLabel("tiles"), k.newLabel("fresh"), k.newLabel("started")
	whole, done := k.newLabel("whole"), k.newLabel("done")
	k.op("CMPQ", partField("goesOn"), imm(0))
	k.op("JEQ", fresh)
	for i := range 2 * k.rowTiles() {
		k.tileLoad(i*tileBytes, spill, tileStride, tileSum+i)
	}
	k.op("JMP", started)
	k.place(fresh)
	k.zeroSums(k.rowTiles())
	k.place(started)
	from, bytes := panel, 2*tileBytes
	if t.nested {
		from, bytes = block, tileBytes
		k.startNested()
	}
	k.op("MOVQ", partField("steps"), steps)
	k.place(again)
	if t.nested {
		k.expandBlock()
	}
	k.addProducts(k.dot, k.rowTiles(),
		func(i int) { k.tileLoad(i*tileBytes, x, tileStride, tileA+i) },
		func(i int) { k.tileLoad(i*tileRow, from, tileStride+"*2", tileB+i) })
	k.prefetchPanel(t)
	k.op("MOVQ", partField("rowsPerStep"), counter)
	k.pendingLoop(k.newLabel("none"), t.finishRow, func(row string) {
		k.op("DECQ", counter)
		k.op("JNE", row)
	})
	k.op("ADDQ", imm(bytes), panel)
	k.op("ADDQ", imm(2*tileBytes), x)
	k.op("DECQ", steps)
	k.op("JNE", again)
	k.op("CMPQ", partField("open"), imm(0))
	k.op("JEQ", whole)
	for i := range 2 * k.rowTiles() {
		k.tileStore(tileSum+i, i*tileBytes, spill, tileStride)
	}
	k.op("JMP", done)
	k.place(whole)
	k.storeSums(t)
	k.place(done)
}

// startAhead points to what is prefetched while a panel is multiplied.
func (k *tileKernel) startAhead(t *tileFamily) {
	if t.nested {
		return
	}
	k.op("MOVQ", k.arg("aheadAt"), aheadPanel)
	k.op("MOVQ", k.arg("aheadBytes"), "AX")
	k.op("ADDQ", "AX", k.arg("aheadAt"))
}

// prefetchPanel asks for what a step can of the panel: of this one where each is read once, else of the next.
func (k *tileKernel) prefetchPanel(t *tileFamily) {
	switch {
	case t.nested:
		for i := 0; i < tileBytes; i += 64 {
			k.op("PREFETCHT0", mem(expandAhead+i, panel))
		}
		return
	case k.few:
		for i := 0; i < 2*tileBytes; i += 64 {
			k.op("PREFETCHT1", mem(tileAhead+i, panel))
		}
		return
	}
	line := k.newLabel("line")
	k.op("MOVQ", k.arg("aheadLines"), counter)
	k.place(line)
	k.op("PREFETCHT1", mem(0, aheadPanel))
	k.op("ADDQ", imm(64), aheadPanel)
	k.op("DECQ", counter)
	k.op("JNE", line)
}

// pendingLoop finishes rows while there are any and next goes on to row.
func (k *tileKernel) pendingLoop(none string, finishRow func(k *tileKernel), next func(row string)) {
	row := k.newLabel("row")
	k.place(row)
	k.op("TESTQ", pendingRows, pendingRows)
	k.op("JEQ", none)
	k.pendingRow(finishRow)
	k.op("DECQ", pendingRows)
	next(row)
	k.place(none)
}

// finishRows finishes all rows that are left.
func (k *tileKernel) finishRows(finishRow func(k *tileKernel)) {
	k.pendingLoop(k.newLabel("finished"), finishRow, func(row string) { k.op("JMP", row) })
}

// pendingRow takes the sums of the next row to y.
func (k *tileKernel) pendingRow(finishRow func(k *tileKernel)) {
	plain := k.newLabel("plain")
	for i := range 2 * k.digits {
		k.op("VMOVDQU32", mem(i*tileRow, pendingSums), avx512.reg(i))
	}
	finishRow(k)
	k.op("CMPQ", k.arg("adding"), imm(0))
	k.op("JEQ", plain)
	k.op("VADDPS", mem(0, pendingY), "Z0", "Z0")
	k.op("VADDPS", mem(64, pendingY), "Z1", "Z1")
	k.place(plain)
	k.op("VMOVUPS", "Z0", mem(0, pendingY))
	k.op("VMOVUPS", "Z1", mem(64, pendingY))
	k.op("ADDQ", imm(2*tileRow*k.digits), pendingSums)
	k.op("ADDQ", resultLD, pendingY)
	k.op("ADDQ", k.arg("xStride"), pendingEntry)
}

// storeSums finishes the rows that still wait and stores the sums of a segment for those of this pair: row by row, the digits' one after the other.
func (k *tileKernel) storeSums(t *tileFamily) {
	counted := k.newLabel("counted")
	k.finishRows(t.finishRow)
	k.op("MOVQ", k.arg("sums"), pendingSums)
	next := 2 * tileBytes // from the first tile of rows to the second
	if k.digits == 2 {
		next = 2 * tileRow
	}
	for i := range 2 * k.rowTiles() {
		k.tileStore(tileSum+i, i/2*next+i%2*tileRow, pendingSums, fmt.Sprintf("%s*%d", tileStride, 2*k.digits))
	}
	t.prepare(k)
	k.op("MOVQ", k.arg("pairY"), pendingY)
	k.op("MOVQ", k.arg("pairEntry"), pendingEntry)
	k.op("ADDQ", partField("entry"), pendingEntry)
	k.op("MOVQ", partField("adds"), "AX")
	k.op("MOVQ", "AX", k.arg("adding"))
	k.op("MOVQ", k.arg("rowsLeft"), pendingRows)
	k.op("CMPQ", pendingRows, imm(k.pairRows()))
	k.op("JLE", counted)
	k.op("MOVQ", imm(k.pairRows()), pendingRows)
	k.place(counted)
}

// Registers of U8 rows: the outputs' scales and the step of the second digit.
const (
	tileScale    = 16 // two
	tileRestStep = 18
)

func (k *tileKernel) loadScalesU8() {
	k.op("MOVQ", k.arg("panelAt"), "AX")
	k.op("ADDQ", k.arg("scaleOffset"), "AX")
	for c := range 2 {
		k.op("VMOVUPS", mem(64*c, "AX"), avx512.reg(tileScale+c))
	}
	k.op("VBROADCASTSS", constant("restStep"), avx512.reg(tileRestStep))
}

// scaleRowU8 undoes the offset of the codes and scales: the same operations as scaleU8's.
func (k *tileKernel) scaleRowU8() {
	for d := range k.digits {
		for c := range 2 {
			sum := avx512.reg(2*d + c)
			k.op("VPADDD.BCST", mem(entryBias+4*d, pendingEntry), sum, sum)
			k.op("VCVTDQ2PS", sum, sum)
		}
	}
	for c := range 2 {
		first, factor := avx512.reg(c), avx512.reg(4+c)
		k.op("VMULPS.BCST", mem(entryScale, pendingEntry), avx512.reg(tileScale+c), factor)
		if k.digits == 2 {
			k.op("VFMADD231PS", avx512.reg(tileRestStep), avx512.reg(2+c), first)
		}
		k.op("VMULPS", factor, first, first)
	}
}
