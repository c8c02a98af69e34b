package ptx

import "testing"

// allFragments are those of warps and some of warpgroups.
func allFragments() []*Fragment {
	all := append([]*Fragment(nil), Fragments...)
	for n := 8; n <= 256; n += 8 {
		all = append(all, WgmmaD(n))
		if n%16 == 0 {
			all = append(all, WgmmaDHalf(n))
		}
	}
	return append(all, WgmmaA(8), WgmmaA(16), WgmmaA(32))
}

// TestFragmentsCover proves that every element of a matrix is held exactly once.
func TestFragmentsCover(t *testing.T) {
	for _, f := range allFragments() {
		if f.Threads*f.Regs*f.PerReg != f.Rows*f.Cols {
			t.Errorf("%s: %d threads of %d registers of %d elements do not make %dx%d", f.Name, f.Threads, f.Regs, f.PerReg, f.Rows, f.Cols)
			continue
		}
		seen := map[[2]int]bool{}
		for thread := range f.Threads {
			for reg := range f.Regs {
				for part := range f.PerReg {
					row, col := f.At(thread, reg, part)
					if row < 0 || row >= f.Rows || col < 0 || col >= f.Cols || seen[[2]int{row, col}] {
						t.Fatalf("%s: thread %d register %d part %d: element %d,%d is outside or held twice", f.Name, thread, reg, part, row, col)
					}
					seen[[2]int{row, col}] = true
				}
			}
		}
	}
}

// TestFragmentsByFormula compares with the formulas that the ISA prints beside its figures.
func TestFragmentsByFormula(t *testing.T) {
	for _, f := range []struct {
		fragment *Fragment
		row, col func(group, place, i int) int
	}{
		// 9.7.14.5.8: A of m16n8k16. row: group for a0, a1, a4, a5, else group + 8. col: 2*place + i%2, + 8 for i >= 4.
		{FragmentA16816,
			func(g, p, i int) int { return pick(i < 2 || i >= 4 && i < 6, g, g+8) },
			func(g, p, i int) int { return p*2 + i&1 + pick(i < 4, 0, 8) }},
		// B: row 2*place + i%2, + 8 for i >= 2; col group.
		{FragmentB16816,
			func(g, p, i int) int { return p*2 + i&1 + pick(i < 2, 0, 8) },
			func(g, p, i int) int { return g }},
		// C and D: row group for i < 2, else group + 8; col 2*place + i%2.
		{FragmentD168,
			func(g, p, i int) int { return pick(i < 2, g, g+8) },
			func(g, p, i int) int { return p*2 + i&1 }},
		// 9.7.14.5.7, tf32: A of m16n8k8. row: group for a0, a2; col: place for a0, a1, else place + 4.
		{FragmentA1688TF32,
			func(g, p, i int) int { return pick(i == 0 || i == 2, g, g+8) },
			func(g, p, i int) int { return pick(i < 2, p, p+4) }},
		{FragmentB1688TF32,
			func(g, p, i int) int { return pick(i == 0, p, p+4) },
			func(g, p, i int) int { return g }},
		// 9.7.14.5.10: A of m16n8k32, 8 bits. row: group for i < 4 and 8 <= i < 12; col: 4*place + i%4, + 16 for i >= 8.
		{FragmentA16832,
			func(g, p, i int) int { return pick(i < 4 || i >= 8 && i < 12, g, g+8) },
			func(g, p, i int) int { return p*4 + i&3 + pick(i < 8, 0, 16) }},
		{FragmentB16832,
			func(g, p, i int) int { return p*4 + i&3 + pick(i < 4, 0, 16) },
			func(g, p, i int) int { return g }},
	} {
		for lane := range 32 {
			for i := range f.fragment.Regs * f.fragment.PerReg {
				row, col := f.fragment.At(lane, i/f.fragment.PerReg, i%f.fragment.PerReg)
				g, p := lane>>2, lane%4
				if wantRow, wantCol := f.row(g, p, i), f.col(g, p, i); row != wantRow || col != wantCol {
					t.Errorf("%s: lane %d element %d: %d,%d, want %d,%d", f.fragment.Name, lane, i, row, col, wantRow, wantCol)
				}
			}
		}
	}
}

func pick(cond bool, a, b int) int {
	if cond {
		return a
	}
	return b
}

// TestLdmatrixFeedsMma proves that the four matrices of ldmatrix.x4, taken in the order upper left, lower left, upper
// right, lower right, are operand A of m16n8k16, that two matrices of B stored by columns are operand B, and that
// trans gives operand B from a row-major matrix.
func TestLdmatrixFeedsMma(t *testing.T) {
	for lane := range 32 {
		for part := range 2 {
			for matrix := range 4 {
				row, col := FragmentMatrix.At(lane, 0, part)
				wantRow, wantCol := FragmentA16816.At(lane, matrix, part)
				if row+matrix%2*8 != wantRow || col+matrix/2*8 != wantCol {
					t.Errorf("A: lane %d matrix %d part %d", lane, matrix, part)
				}
			}
			for matrix := range 2 {
				k, n := FragmentB16816.At(lane, matrix, part)
				if row, col := FragmentMatrix.At(lane, 0, part); row != n || col+matrix*8 != k {
					t.Errorf("B by columns: lane %d matrix %d part %d", lane, matrix, part)
				}
				if row, col := FragmentMatrixTrans.At(lane, 0, part); row+matrix*8 != k || col != n {
					t.Errorf("B by rows, trans: lane %d matrix %d part %d", lane, matrix, part)
				}
			}
		}
	}
}

// TestAccumulatorsFeedA proves what attention relies on: two neighbouring accumulators of m16n8, converted to 16 bits in
// pairs, are operand A of the next product.
func TestAccumulatorsFeedA(t *testing.T) {
	for lane := range 32 {
		for reg := range 4 {
			for part := range 2 {
				row, col := FragmentA16816.At(lane, reg, part)
				dRow, dCol := FragmentD168.At(lane, reg%2*2+part, 0)
				if row != dRow || col != dCol+reg/2*8 {
					t.Errorf("lane %d register %d part %d", lane, reg, part)
				}
			}
		}
	}
}

// TestShapesMatchRows proves that the fragments of a shape have as many registers as the instruction takes.
func TestShapesMatchRows(t *testing.T) {
	for _, s := range allShapes {
		f := forms()["mma.sync.aligned."+s.form]
		if f == nil {
			t.Errorf("%s: no such form", s.form)
			continue
		}
		for n, fragment := range []*Fragment{s.D, s.A, s.B, s.D} {
			if f.operands[n].count != fragment.Regs {
				t.Errorf("%s: operand %d takes %d registers, fragment %s has %d", s.form, n+1, f.operands[n].count, fragment.Name, fragment.Regs)
			}
		}
		if s.A.Rows != s.M || s.A.Cols != s.K || s.B.Rows != s.K || s.B.Cols != s.N || s.D.Rows != s.M || s.D.Cols != s.N {
			t.Errorf("%s: fragments do not fit %dx%dx%d", s.form, s.M, s.N, s.K)
		}
	}
}

var allShapes = []MMA{
	MmaF16, MmaBF16, MmaF16K8, MmaBF16K8, MmaF16F16, MmaTF32, MmaTF32K4, MmaS8, MmaU8, MmaS8U8, MmaU8S8, MmaS8K16,
	MmaE4M3, MmaE5M2, MmaE4M3E5M2, MmaE5M2E4M3,
}
