package main

// Kernels on AMX tiles multiply a block of rows, packed as tiles (see tile_pack.go), with panels. Two tiles of rows meet two tiles of outputs:
// both digits of 16 rows, or 32 rows of one digit. A tile of outputs is the panel as it is: 16 steps of 4 bytes for 16 of the 32 outputs.

// Tiles of a kernel.
const (
	tileSum = 0 // four: the first of rows with both of outputs, then the second
	tileA   = 4 // two, of rows
	tileB   = 6 // two, of outputs
)

// Registers of tile kernels beside those of linear kernels.
const (
	panelStride = "R8"  // between the steps of a panel
	tileStride  = "R9"  // between the rows of a packed tile
	rowsLeft    = "R10" // of the block
	rowCount    = "R11"
	result      = "R12" // of the first row
	sums        = "R13" // memory that sums pass through on their way to vectors
	resultLD    = "R14"
	rowResult   = "R15" // of the row at hand
	rowEntry    = "AX"
)

// tileFunction is a function on tiles being written; args points to its arguments, a struct of that name.
type tileFunction struct {
	*function
	argsName string
}

// startTiles starts a function with the tiles configured: as the constant config says, or "" as the arguments do.
func startTiles(name, doc, argsName, config string) tileFunction {
	f := tileFunction{newFunction(name+"AMX", doc, "a *"+argsName, ""), argsName}
	f.op("MOVQ", f.param("a"), args)
	if config == "" {
		f.op("MOVQ", f.arg("config"), "AX")
	} else {
		f.op("LEAQ", constant(config), "AX")
	}
	f.tileConfigure()
	return f
}

func (f tileFunction) arg(name string) string { return field(f.argsName, name, args) }

func (f tileFunction) finish() *function {
	f.tileRelease()
	f.end()
	return f.function
}

// zeroSums clears the sums of one tile of rows, or of two.
func (f tileFunction) zeroSums(rows int) {
	for i := range 2 * rows {
		f.tileZero(tileSum + i)
	}
}

// addProducts adds the products of one or two tiles of rows with both tiles of outputs, which the loads load.
func (f tileFunction) addProducts(dot tileDot, rows int, loadA, loadB func(i int)) {
	for b := range 2 {
		loadB(b)
		for a := range rows {
			if b == 0 {
				loadA(a)
			}
			f.tileDot(dot, tileA+a, tileB+b, tileSum+2*a+b)
		}
	}
}

// tileKernel is a kernel for linears being written.
type tileKernel struct {
	tileFunction
	dot    tileDot
	digits int
	nested bool // see tileFamily
	few    bool // at most 16 rows, of one digit: there is no second tile of rows, and the first is no higher than it has to be
}

func newTileKernel(name, doc string, dot tileDot, digits int, config string) *tileKernel {
	k := &tileKernel{tileFunction: startTiles(name, doc, "amxArgs", config), dot: dot, digits: digits}
	k.op("MOVQ", imm(tileRow), tileStride)
	k.op("MOVQ", imm(stepBytes), panelStride)
	k.op("MOVQ", k.arg("yStride"), resultLD)
	return k
}

// pairRows is how many rows of x the tiles of rows hold.
func (k *tileKernel) pairRows() int { return k.rowTiles() * tileRows / k.digits }

// tileFamily is a linear whose panels are tiles as they are.
type tileFamily struct {
	name    string
	dot     tileDot
	digits  int
	few     bool
	nested  bool                // panels are of u4n: each block of 64 k is expanded as it is multiplied
	prepare func(k *tileKernel) // before the rows of a panel
	// finishRow gets the sums of a row in registers Z0 (16 outputs) and Z1, those of the second digit in Z2 and Z3, and leaves results in Z0 and Z1.
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

func (t tileFamily) write() *function {
	config := "wholeTiles"
	if t.few {
		config = ""
	}
	k := newTileKernel(t.name, "multiplies rows that are packed as tiles with panels.", t.dot, t.digits, config)
	k.few, k.nested = t.few, t.nested
	panels, pairs := k.newLabel("panel"), k.newLabel("pair")
	k.copyArg("panel", "panelAt")
	k.copyArg("y", "yAt")
	k.place(panels)
	t.prepare(k)
	k.op("MOVQ", k.arg("rows"), rowsLeft)
	k.op("MOVQ", k.arg("x"), x)
	k.op("MOVQ", k.arg("yAt"), result)
	k.op("MOVQ", k.arg("entry"), entries)
	k.place(pairs)
	k.op("MOVQ", entries, k.arg("entryAt"))
	k.op("MOVQ", k.arg("panelAt"), panel)
	k.op("MOVQ", k.arg("segments"), segments)
	k.op("MOVQ", imm(0), k.arg("adding"))
	if t.nested {
		k.startNested()
	}
	k.eachSegment(k.arg, func() {
		k.multiply()
		k.eachRow(t.finishRow)
		k.op("ADDQ", imm(entry), entries)
	})
	k.nextPair()
	k.op("JG", pairs)
	k.op("MOVQ", k.arg("panelBytes"), "AX")
	k.op("ADDQ", "AX", k.arg("panelAt"))
	k.op("ADDQ", imm(stepBytes), k.arg("yAt"))
	k.op("DECQ", k.arg("panels"))
	k.op("JNE", panels)
	return k.finish()
}

// nextPair goes on to the next rows; the flags tell whether there are any.
func (k *tileKernel) nextPair() {
	k.op("IMUL3Q", imm(k.pairRows()), resultLD, "AX")
	k.op("ADDQ", "AX", result)
	k.op("MOVQ", k.arg("xStride"), entries)
	k.op("IMUL3Q", imm(k.pairRows()), entries, entries)
	k.op("ADDQ", k.arg("entryAt"), entries)
	k.op("SUBQ", imm(k.pairRows()), rowsLeft)
}

// rowTiles is how many tiles of rows there are.
func (k *tileKernel) rowTiles() int {
	if k.few {
		return 1
	}
	return 2
}

// multiply sums the tiles of a segment. The first pair of rows, which meets the panel in memory, prefetches.
func (k *tileKernel) multiply() {
	cached, done := k.newLabel("cached"), k.newLabel("summed")
	k.zeroSums(k.rowTiles())
	if k.nested {
		k.nestedLoop()
		return
	}
	if k.few {
		k.tileLoop(true)
		return
	}
	k.op("CMPQ", rowsLeft, k.arg("rows"))
	k.op("JNE", cached)
	k.tileLoop(true)
	k.op("JMP", done)
	k.place(cached)
	k.tileLoop(false)
	k.place(done)
}

func (k *tileKernel) tileLoop(prefetch bool) {
	again := k.newLabel("tiles")
	if prefetch {
		k.op("MOVQ", k.arg("ahead"), rowResult)
	}
	k.place(again)
	k.addProducts(k.dot, k.rowTiles(),
		func(i int) { k.tileLoad(i*tileBytes, x, tileStride, tileA+i) },
		func(i int) { k.tileLoad(i*tileRow, panel, panelStride, tileB+i) })
	if prefetch {
		for i := 0; i < 2*tileBytes; i += 64 {
			k.op("PREFETCHT1", indexed(i, panel, rowResult, 1))
		}
	}
	k.op("ADDQ", imm(tileRows*stepBytes), panel)
	k.op("ADDQ", imm(2*tileBytes), x)
	k.op("DECQ", steps)
	k.op("JNE", again)
}

// eachRow takes the sums of a segment to y, row by row.
func (k *tileKernel) eachRow(finishRow func(k *tileKernel)) {
	done := k.newLabel("rows")
	k.op("MOVQ", k.arg("sums"), sums)
	for i := range 2 * k.rowTiles() {
		k.tileStore(tileSum+i, i*tileBytes, sums, tileStride)
	}
	k.op("MOVQ", result, rowResult)
	k.op("MOVQ", entries, rowEntry)
	for half := range k.pairRows() / tileRows {
		again, counted, plain := k.newLabel("row"), k.newLabel("counted"), k.newLabel("plain")
		k.op("MOVQ", rowsLeft, rowCount)
		if half > 0 {
			k.op("SUBQ", imm(tileRows), rowCount)
			k.op("JLE", done)
		}
		k.op("CMPQ", rowCount, imm(tileRows))
		k.op("JLE", counted)
		k.op("MOVQ", imm(tileRows), rowCount)
		k.place(counted)
		k.place(again)
		for i := range 2 * k.digits { // the second half starts where the first has left sums, a tile on
			k.op("VMOVDQU32", mem((half+i)*tileBytes, sums), avx512.reg(i))
		}
		finishRow(k)
		k.op("CMPQ", k.arg("adding"), imm(0))
		k.op("JEQ", plain)
		k.op("VADDPS", mem(0, rowResult), "Z0", "Z0")
		k.op("VADDPS", mem(64, rowResult), "Z1", "Z1")
		k.place(plain)
		k.op("VMOVUPS", "Z0", mem(0, rowResult))
		k.op("VMOVUPS", "Z1", mem(64, rowResult))
		k.op("ADDQ", imm(tileRow), sums)
		k.op("ADDQ", resultLD, rowResult)
		k.op("ADDQ", k.arg("xStride"), rowEntry)
		k.op("DECQ", rowCount)
		k.op("JNE", again)
	}
	k.place(done)
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
			k.op("VPADDD.BCST", mem(entryBias+4*d, rowEntry), sum, sum)
			k.op("VCVTDQ2PS", sum, sum)
		}
	}
	for c := range 2 {
		first, factor := avx512.reg(c), avx512.reg(4+c)
		k.op("VMULPS.BCST", mem(entryScale, rowEntry), avx512.reg(tileScale+c), factor)
		if k.digits == 2 {
			k.op("VFMADD231PS", avx512.reg(tileRestStep), avx512.reg(2+c), first)
		}
		k.op("VMULPS", factor, first, first)
	}
}
