package ptx

import "fmt"

// Fragment says which element of a matrix each register of each thread holds.
type Fragment struct {
	Name       string
	Rows, Cols int
	Threads    int // 32 for a warp, 128 for a warpgroup
	Regs       int // registers of a thread
	PerReg     int // elements of a register, the lowest bits first
	Section    string
	at         func(thread, element int) (row, col int)
}

// At is the element that part (0 the lowest bits) of register reg of a thread holds.
func (f *Fragment) At(thread, reg, part int) (row, col int) {
	return f.at(thread, reg*f.PerReg+part)
}

// The fragments follow one scheme (figures of section 9.7.14.5): four lanes share a row of A and D, a column of B. Lane
// l belongs to group g = l/4 and has place t = l%4 in it. With e elements to a register, place t holds the elements
// t*e ... t*e+e-1 along K, then as many 4*e further on. A steps through rows g and g+8 before it steps along K.

// warpA is operand A of m16: rows g and g+8, columns along K.
func warpA(name, section string, k, perReg int) *Fragment {
	return &Fragment{name, 16, k, 32, 16 * k / 32 / perReg, perReg, section, func(lane, i int) (int, int) {
		reg, part := i/perReg, i%perReg
		return lane/4 + reg%2*8, reg/2*4*perReg + lane%4*perReg + part
	}}
}

// warpB is operand B of n8: column g, rows along K.
func warpB(name, section string, k, perReg int) *Fragment {
	return &Fragment{name, k, 8, 32, 8 * k / 32 / perReg, perReg, section, func(lane, i int) (int, int) {
		reg, part := i/perReg, i%perReg
		return reg*4*perReg + lane%4*perReg + part, lane / 4
	}}
}

// warpD is the accumulator of m16n8: rows g and g+8, columns 2t and 2t+1.
func warpD(name, section string, perReg int) *Fragment {
	return &Fragment{name, 16, 8, 32, 4 / perReg, perReg, section, func(lane, i int) (int, int) {
		return lane/4 + i/2*8, lane%4*2 + i%2
	}}
}

// Fragments of mma.sync, by shape and width of the elements.
var (
	FragmentA16816     = warpA("mma.m16n8k16.a", "9.7.14.5.8", 16, 2)
	FragmentB16816     = warpB("mma.m16n8k16.b", "9.7.14.5.8", 16, 2)
	FragmentA1688      = warpA("mma.m16n8k8.a", "9.7.14.5.7", 8, 2)
	FragmentB1688      = warpB("mma.m16n8k8.b", "9.7.14.5.7", 8, 2)
	FragmentA1688TF32  = warpA("mma.m16n8k8.a.tf32", "9.7.14.5.7", 8, 1)
	FragmentB1688TF32  = warpB("mma.m16n8k8.b.tf32", "9.7.14.5.7", 8, 1)
	FragmentA1684TF32  = warpA("mma.m16n8k4.a.tf32", "9.7.14.5.6", 4, 1)
	FragmentB1684TF32  = warpB("mma.m16n8k4.b.tf32", "9.7.14.5.6", 4, 1)
	FragmentA16816Byte = warpA("mma.m16n8k16.a.byte", "9.7.14.5.9", 16, 4)
	FragmentB16816Byte = warpB("mma.m16n8k16.b.byte", "9.7.14.5.9", 16, 4)
	FragmentA16832     = warpA("mma.m16n8k32.a.byte", "9.7.14.5.10", 32, 4)
	FragmentB16832     = warpB("mma.m16n8k32.b.byte", "9.7.14.5.10", 32, 4)
	FragmentD168       = warpD("mma.m16n8.d", "9.7.14.5.8", 1)
	FragmentD168Half   = warpD("mma.m16n8.d.half", "9.7.14.5.8", 2)
)

// FragmentMatrix is one matrix of ldmatrix and stmatrix (section 9.7.14.5.15): 8 rows of 8 elements of 16 bits.
var FragmentMatrix = &Fragment{"ldmatrix", 8, 8, 32, 1, 2, "9.7.14.5.15", func(lane, i int) (int, int) {
	return lane / 4, lane%4*2 + i
}}

// FragmentMatrixTrans is a matrix loaded with trans.
var FragmentMatrixTrans = &Fragment{"ldmatrix.trans", 8, 8, 32, 1, 2, "9.7.14.5.15", func(lane, i int) (int, int) {
	return lane%4*2 + i, lane / 4
}}

// Fragments lists the fragments of warps.
var Fragments = []*Fragment{
	FragmentA16816, FragmentB16816, FragmentA1688, FragmentB1688, FragmentA1688TF32, FragmentB1688TF32,
	FragmentA1684TF32, FragmentB1684TF32, FragmentA16816Byte, FragmentB16816Byte, FragmentA16832, FragmentB16832,
	FragmentD168, FragmentD168Half, FragmentMatrix, FragmentMatrixTrans,
}

// WgmmaD is the accumulator of wgmma with n columns (section 9.7.15.5.1): warp w of the warpgroup has rows 16w to
// 16w+15; within, blocks of 8 columns follow each other, each laid out as the accumulator of m16n8.
func WgmmaD(n int) *Fragment {
	return &Fragment{fmt.Sprintf("wgmma.m64n%d.d", n), 64, n, 128, n / 2, 1, "9.7.15.5.1", func(thread, i int) (int, int) {
		row, col := FragmentD168.at(thread%32, i%4)
		return thread/32*16 + row, i/4*8 + col
	}}
}

// WgmmaDHalf is WgmmaD with two f16 to a register.
func WgmmaDHalf(n int) *Fragment {
	f := *WgmmaD(n)
	f.Name, f.Regs, f.PerReg = f.Name+".half", n/4, 2
	return &f
}

// WgmmaA is operand A of wgmma in registers, for elements of 8, 16 or 32 bits (section 9.7.15.5.1): warp w has rows 16w to
// 16w+15, laid out as operand A of mma.sync with the same K, which is 32 bytes.
func WgmmaA(elementBits int) *Fragment {
	perReg, k := 32/elementBits, 256/elementBits
	a := warpA("", "", k, perReg)
	return &Fragment{fmt.Sprintf("wgmma.m64k%d.a", k), 64, k, 128, 4, perReg, "9.7.15.5.1", func(thread, i int) (int, int) {
		row, col := a.at(thread%32, i)
		return thread/32*16 + row, col
	}}
}
