package main

// Tile kernels of 4-bit weights read a panel that has been expanded (see tile_pack.go), and take the sums of each group to f32: 16 rows of 16
// outputs are kept in registers. Groups of 32 are one tile of bf16: there both digits of the rows are added in one tile, the first as 256 times
// itself. Sums are whole numbers below 2^24, so they are exact in f32 in whatever order. Longer groups are tiles of bytes.

// Registers of 4-bit tile kernels beside those of tile kernels.
const (
	chunks      = "R11" // tiles of K left in the group
	rowScales   = "R15" // [16] f32 of the rows, of the group at hand
	columnScale = "BX"  // of 16 outputs, of the group at hand
	sumsFlip    = 2 * tileBytes
)

// Registers of 4-bit tile kernels, behind the results of 16 rows.
const (
	groupTemp     = 16 // 12
	groupTemps    = 12
	groupScale    = 30
	groupRestStep = 31
)

// tileU4 is a kernel for one kind of expanded panel.
type tileU4 struct {
	*tileKernel
	joined bool // bf16, in which the digits are added as they are multiplied
}

// writeTileU4 writes the kernel for one kind of panel and rows of digits digits.
func writeTileU4(joined bool, digits int) *function {
	name, dot := "tileU4", dotSigned
	if joined {
		name, dot = "tileU4joined", dotBF16Tiles
	}
	if digits == 2 {
		name += "digits"
	}
	doc := "multiplies rows that are packed as tiles with an expanded panel."
	k := tileU4{&tileKernel{tileFunction: startTiles(name, doc, "amxArgs", "wholeTiles"), dot: dot, digits: digits}, joined}
	k.op("MOVQ", imm(tileRow), tileStride)
	k.op("MOVQ", imm(stepBytes), panelStride)
	k.op("MOVQ", k.arg("yStride"), resultLD)
	rows, panels, half := k.newLabel("rows"), k.newLabel("panel"), k.newLabel("half")
	k.op("VBROADCASTSS", constant("restStep"), avx512.reg(groupRestStep))
	k.startRows()
	k.place(rows) // 16 rows stay in the nearest cache for all panels
	k.copyArg("panel", "panelAt")
	k.copyArg("scales", "scalesAt")
	k.copyArg("panels", "panelsLeft")
	k.op("MOVQ", result, k.arg("yAt"))
	k.place(panels)
	k.op("MOVQ", imm(0), k.arg("half"))
	k.place(half)
	k.op("MOVQ", k.arg("panelAt"), panel)
	k.op("ADDQ", k.arg("half"), panel)
	k.op("MOVQ", k.arg("scalesAt"), columnScale)
	k.op("ADDQ", k.arg("half"), columnScale)
	k.op("MOVQ", k.arg("xAt"), x)
	k.op("MOVQ", k.arg("rowScaleAt"), rowScales)
	k.op("MOVQ", k.arg("segments"), segments)
	k.op("MOVQ", imm(0), k.arg("adding"))
	k.eachSegment(k.arg, func() {
		k.groupLoop()
		k.storeRows()
	})
	k.op("ADDQ", imm(tileRow), k.arg("half"))
	k.op("CMPQ", k.arg("half"), imm(stepBytes))
	k.op("JNE", half)
	k.op("MOVQ", k.arg("panelBytes"), "AX")
	k.op("ADDQ", "AX", k.arg("panelAt"))
	k.op("MOVQ", k.arg("scalesBytes"), "AX")
	k.op("ADDQ", "AX", k.arg("scalesAt"))
	k.op("ADDQ", imm(stepBytes), k.arg("yAt"))
	k.op("DECQ", k.arg("panelsLeft"))
	k.op("JNE", panels)
	k.nextRows()
	k.op("JG", rows)
	return k.finish()
}

func (k tileU4) startRows() {
	k.op("MOVQ", k.arg("rows"), rowsLeft)
	k.op("MOVQ", k.arg("y"), result)
	k.op("MOVQ", k.arg("sums"), sums)
	k.copyArg("x", "xAt")
	k.copyArg("rowScales", "rowScaleAt")
}

// nextRows goes on to the next 16 rows; the flags tell whether there are any.
func (k tileU4) nextRows() {
	k.op("MOVQ", x, k.arg("xAt"))
	k.op("MOVQ", rowScales, k.arg("rowScaleAt"))
	k.op("IMUL3Q", imm(tileRows), resultLD, "AX")
	k.op("ADDQ", "AX", result)
	k.op("SUBQ", imm(tileRows), rowsLeft)
}

func (k *tileKernel) copyArg(from, to string) {
	k.op("MOVQ", k.arg(from), "AX")
	k.op("MOVQ", "AX", k.arg(to))
}

// sumTiles is how many tiles hold the sums of a group.
func (k tileU4) sumTiles() int {
	if k.joined {
		return 1
	}
	return k.digits
}

// groupLoop adds the groups of a segment to the results.
func (k tileU4) groupLoop() {
	group, chunk := k.newLabel("group"), k.newLabel("chunk")
	for r := range tileRows {
		k.op("VXORPS", avx512.reg(r), avx512.reg(r), avx512.reg(r))
	}
	k.place(group)
	for d := range k.sumTiles() {
		k.tileZero(tileSum + d)
	}
	if !k.joined {
		k.op("MOVQ", k.arg("chunks"), chunks)
		k.place(chunk)
	}
	k.tileLoad(0, panel, panelStride, tileB)
	for d := range k.digits {
		k.tileLoad(d*tileBytes, x, tileStride, tileA+d)
		k.tileDot(k.dot, tileA+d, tileB, tileSum+d%k.sumTiles())
	}
	k.op("ADDQ", imm(tileRows*stepBytes), panel)
	k.op("ADDQ", imm(k.digits*tileBytes), x)
	if !k.joined {
		k.op("DECQ", chunks)
		k.op("JNE", chunk)
	}
	for d := range k.sumTiles() {
		k.tileStore(tileSum+d, d*tileBytes, sums, tileStride)
	}
	k.op("VMOVUPS", mem(0, columnScale), avx512.reg(groupScale))
	for r := range tileRows {
		k.addGroup(r)
	}
	k.op("ADDQ", imm(stepBytes), columnScale)
	k.op("ADDQ", imm(4*tileRows), rowScales)
	k.op("XORQ", imm(sumsFlip), sums) // the next group's tiles need not wait for these loads
	k.op("DECQ", steps)
	k.op("JNE", group)
}

// addGroup adds a group's sums of row r, scaled: the same operations as endGroup's, but that joined sums are in steps of the second digit, and
// the scales of rows are likewise.
func (k tileU4) addGroup(r int) {
	temp := func(d int) string { return avx512.reg(groupTemp + (r*k.digits+d)%groupTemps) }
	at := func(d int) string { return mem(d*tileBytes+r*tileRow, sums) }
	if k.joined {
		k.op("VMOVUPS", at(0), temp(0))
	} else {
		for d := range k.digits {
			k.op("VCVTDQ2PS", at(d), temp(d))
		}
		if k.digits == 2 {
			k.op("VFMADD231PS", avx512.reg(groupRestStep), temp(1), temp(0))
		}
	}
	k.op("VMULPS.BCST", mem(4*r, rowScales), temp(0), temp(0))
	k.op("VFMADD231PS", avx512.reg(groupScale), temp(0), avx512.reg(r))
}

// storeRows stores the results of the rows that there are, or adds them to y.
func (k tileU4) storeRows() {
	done, plain := k.newLabel("stored"), k.newLabel("store")
	k.op("MOVQ", k.arg("yAt"), "AX")
	k.op("ADDQ", k.arg("half"), "AX")
	k.op("CMPQ", k.arg("adding"), imm(0))
	k.op("JEQ", plain)
	for _, add := range []bool{true, false} {
		if !add {
			k.place(plain)
		}
		for r := range tileRows {
			if add {
				k.op("VADDPS", mem(0, "AX"), avx512.reg(r), avx512.reg(r))
			}
			k.op("VMOVUPS", avx512.reg(r), mem(0, "AX"))
			if r < tileRows-1 {
				k.op("CMPQ", rowsLeft, imm(r+1))
				k.op("JLE", done)
				k.op("ADDQ", resultLD, "AX")
			}
		}
		if add {
			k.op("JMP", done)
		}
	}
	k.place(done)
}
