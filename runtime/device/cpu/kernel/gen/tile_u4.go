package main

import "fmt"

// Tile kernels of 4-bit weights read a panel whose codes have been expanded to signed bytes (see expand), and take the sums of each group to f32:
// 16 rows of 16 outputs are kept in registers.

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

// tileU4 multiplies rows of tiles that are length k long: all of a group of 32, else half a group of 128 or a whole one.
func tileU4(length, digits int) *function {
	name, config := fmt.Sprintf("tileU4k%dx%d", length, digits), "wholeTiles"
	if length < 64 {
		config = "shortTiles"
	}
	k := newTileKernel(name, fmt.Sprintf("multiplies rows that are packed as tiles of %d k with an expanded panel.", length), dotSigned, digits, config)
	rows, half, segment, whole := k.newLabel("rows"), k.newLabel("half"), k.newLabel("segment"), k.newLabel("whole")
	k.op("MOVQ", imm(length), tileStride)
	k.op("VBROADCASTSS", constant("restStep"), avx512.reg(groupRestStep))
	k.op("MOVQ", k.arg("rows"), rowsLeft)
	k.op("MOVQ", k.arg("y"), result)
	k.op("MOVQ", k.arg("sums"), sums)
	k.copyArg("x", "xAt")
	k.copyArg("rowScales", "rowScaleAt")
	k.place(rows)
	k.op("MOVQ", imm(0), k.arg("half"))
	k.place(half)
	k.op("MOVQ", k.arg("panel"), panel)
	k.op("ADDQ", k.arg("half"), panel)
	k.op("MOVQ", k.arg("scales"), columnScale)
	k.op("ADDQ", k.arg("half"), columnScale)
	k.op("MOVQ", k.arg("xAt"), x)
	k.op("MOVQ", k.arg("rowScaleAt"), rowScales)
	k.op("MOVQ", k.arg("segments"), segments)
	k.op("MOVQ", imm(0), k.arg("adding"))
	k.place(segment)
	k.op("MOVQ", k.arg("steps"), steps)
	k.op("CMPQ", segments, imm(1))
	k.op("JNE", whole)
	k.op("MOVQ", k.arg("lastSteps"), steps)
	k.place(whole)
	k.groupLoop(length)
	k.storeRows()
	k.op("MOVQ", imm(1), k.arg("adding"))
	k.op("DECQ", segments)
	k.op("JNE", segment)
	k.op("ADDQ", imm(tileRow), k.arg("half"))
	k.op("CMPQ", k.arg("half"), imm(stepBytes))
	k.op("JNE", half)
	k.op("MOVQ", x, k.arg("xAt"))
	k.op("MOVQ", rowScales, k.arg("rowScaleAt"))
	k.op("IMUL3Q", imm(tileRows), resultLD, "AX")
	k.op("ADDQ", "AX", result)
	k.op("SUBQ", imm(tileRows), rowsLeft)
	k.op("JG", rows)
	return k.finish()
}

func (k *tileKernel) copyArg(from, to string) {
	k.op("MOVQ", k.arg(from), "AX")
	k.op("MOVQ", "AX", k.arg(to))
}

// groupLoop adds the groups of a segment to the results.
func (k *tileKernel) groupLoop(length int) {
	group, chunk := k.newLabel("group"), k.newLabel("chunk")
	for r := range tileRows {
		k.op("VXORPS", avx512.reg(r), avx512.reg(r), avx512.reg(r))
	}
	k.place(group)
	for d := range k.digits {
		k.tileZero(tileSum + d)
	}
	k.op("MOVQ", k.arg("chunks"), chunks)
	k.place(chunk)
	k.tileLoad(0, panel, panelStride, tileB)
	for d := range k.digits {
		k.tileLoad(d*tileRows*length, x, tileStride, tileA+d)
		k.tileDot(k.dot, tileA+d, tileB, tileSum+d)
	}
	k.op("ADDQ", imm(length/4*stepBytes), panel)
	k.op("ADDQ", imm(k.digits*tileRows*length), x)
	k.op("DECQ", chunks)
	k.op("JNE", chunk)
	k.op("MOVQ", imm(tileRow), chunks) // now the distance of the rows of sums
	for d := range k.digits {
		k.tileStore(tileSum+d, d*tileBytes, sums, chunks)
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

// addGroup adds a group's sums of row r, scaled: the same operations as endGroup's.
func (k *tileKernel) addGroup(r int) {
	temp := func(d int) string { return avx512.reg(groupTemp + (r*k.digits+d)%groupTemps) }
	for d := range k.digits {
		k.op("VCVTDQ2PS", mem(d*tileBytes+r*tileRow, sums), temp(d))
	}
	if k.digits == 2 {
		k.op("VFMADD231PS", avx512.reg(groupRestStep), temp(1), temp(0))
	}
	k.op("VMULPS.BCST", mem(4*r, rowScales), temp(0), temp(0))
	k.op("VFMADD231PS", avx512.reg(groupScale), temp(0), avx512.reg(r))
}

// storeRows stores the results of the rows that there are, or adds them to y.
func (k *tileKernel) storeRows() {
	done, plain := k.newLabel("stored"), k.newLabel("store")
	k.op("MOVQ", result, "AX")
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
