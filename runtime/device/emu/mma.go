package emu

import "llmc/runtime/device/emu/ptxtext"

// mmaShape is a shape of mma.sync with the operand widths it exists for.
type mmaShape struct{ m, n, k, bits int }

// mmaShapes lists the supported shapes (PTX ISA, "Warp Level Matrix Multiply-Accumulate Instructions", table of shapes).
var mmaShapes = map[string][]mmaShape{
	"m16n8k4":  {{16, 8, 4, 32}},
	"m16n8k8":  {{16, 8, 8, 16}, {16, 8, 8, 32}},
	"m16n8k16": {{16, 8, 16, 16}, {16, 8, 16, 8}},
	"m16n8k32": {{16, 8, 32, 8}},
	"m8n8k16":  {{8, 8, 16, 8}},
}

// fragmentAt gives row and k of element e of register r of an A or B fragment (PTX ISA, "Matrix Fragments for mma.m16n8k*"). All of
// them follow one rule: a register holds p = 32/bits neighbours along k; lane l covers row l/4 and the p elements from p(l%4);
// registers of A go down 8 rows first, then 4p along k; those of B go along k.
func fragmentAt(lane, r, e, p, rows int) (row, k int) {
	blocks := rows / 8
	return lane/4 + r%blocks*8, lane%4*p + e + r/blocks*4*p
}

// fragmentPlaces lists where the elements of a fragment go, in the order of registers, lanes and elements.
func fragmentPlaces(regs, p, rows int) []uint16 {
	var at []uint16
	for r := range regs {
		for lane := range warpSize {
			for e := range p {
				row, k := fragmentAt(lane, r, e, p, rows)
				at = append(at, uint16(row*maxK+k))
			}
		}
	}
	return at
}

// accumulatorAt gives row and column of accumulator value v: two neighbours in a row, then 8 rows down, then 8 columns on.
func accumulatorAt(lane, v, rows int) (row, col int) {
	blocks := rows / 8
	return lane/4 + v/2%blocks*8, lane%4*2 + v%2 + v/2/blocks*8
}

// mma is a decoded mma.sync.
type mma struct {
	shape    mmaShape
	a, b     element
	c, d     accumulator
	ra, rb   []int32
	rc, rd   []int32
	atA, atB []uint16   // by register, lane and element: row*maxK + k
	atC      [][2]uint8 // by lane and value: row, column
}

const maxK = 32 // of all shapes

// mmaScratch holds the operands of the running mma as numbers, B by column.
type mmaScratch struct {
	a [16 * maxK]float64
	b [8 * maxK]float64
	c [warpSize][4]float64

	sums   [16][8]float64
	finite [16]bool // rows of A without infinities and NaN
	zero   [8]bool  // columns of B
}

// decodeMma decodes mma.sync.aligned.shape.row.col.D.A.B.C d, a, b, c.
func decodeMma(d *decoder) {
	list := typesOf(d.in)
	if !hasMod(d.in, "sync") || !hasMod(d.in, "row") || !hasMod(d.in, "col") || len(list) != 4 || hasMod(d.in, "sp") {
		d.unsupported("only mma.sync.aligned.SHAPE.row.col with four types")
		return
	}
	x := &mma{c: accumulator{t: list[3]}, d: accumulator{list[0], hasMod(d.in, "satfinite")}}
	var okA, okB bool
	x.a, okA = elementOf(list[1])
	x.b, okB = elementOf(list[2])
	for _, m := range d.in.Mods {
		for _, s := range mmaShapes[m] {
			if s.bits == x.a.bits {
				x.shape = s
			}
		}
	}
	if !okA || !okB || x.shape.k == 0 || x.a.bits != x.b.bits || x.a.integer != x.b.integer || !x.accumulators() {
		d.unsupported("shape or types")
		return
	}
	if !d.nargs(4, 4) {
		return
	}
	p, values := 32/x.a.bits, x.shape.m*x.shape.n/warpSize
	args := d.in.Args
	x.rc = d.fragment(&args[3], values/x.c.perReg(), false)
	x.ra = d.fragment(&args[1], x.shape.m*x.shape.k/(warpSize*p), false)
	x.rb = d.fragment(&args[2], x.shape.n*x.shape.k/(warpSize*p), false)
	x.rd = d.fragment(&args[0], values/x.d.perReg(), true)
	x.atA, x.atB = fragmentPlaces(len(x.ra), p, x.shape.m), fragmentPlaces(len(x.rb), p, 8)
	for lane := range warpSize {
		for v := range values {
			row, col := accumulatorAt(lane, v, x.shape.m)
			x.atC = append(x.atC, [2]uint8{uint8(row), uint8(col)})
		}
	}
	in := d.fullWarp(x.run, ClassTensor)
	in.macs = uint32(x.shape.m * x.shape.n * x.shape.k)
}

// accumulators checks that the accumulator types fit the operand types.
func (x *mma) accumulators() bool {
	c, d := x.c.t, x.d.t
	if x.a.integer {
		return c == typ{kSigned, 32, 1} && d == c
	}
	half, full := typ{kFloat, 16, 1}, typ{kFloat, 32, 1}
	return (c == half || c == full) && (d == half || d == full)
}

// fragment decodes a vector of n 32-bit registers.
func (d *decoder) fragment(o *ptxtext.Operand, n int, dst bool) []int32 {
	list := d.elements(o)
	if len(list) != n {
		d.errorf(o.Pos, "%s: a fragment of %d registers, expected %d", d.in.Name(), len(list), n)
		return nil
	}
	regs := make([]int32, n)
	for i := range list {
		if dst {
			regs[i] = d.dst(&list[i], typeB32)
		} else {
			regs[i] = d.src(&list[i], typeB32)
		}
	}
	return regs
}

func (x *mma) run(w *warp) signal {
	if !w.defined(x.ra...) || !w.defined(x.rb...) || !w.defined(x.rc...) {
		return goOn
	}
	s := &w.mma
	x.a.scatter(w, x.ra, x.atA, s.a[:])
	x.b.scatter(w, x.rb, x.atB, s.b[:])
	x.multiply(w, s)
	for r, reg := range x.rd {
		n, d := x.d.perReg(), &w.regs[reg]
		w.init[reg] = allLanes
		if n == 1 {
			for lane := range d {
				d[lane] = uint64(x.d.store(s.c[lane][r]))
			}
			continue
		}
		for lane := range d {
			d[lane] = uint64(x.d.store(s.c[lane][2*r])) | uint64(x.d.store(s.c[lane][2*r+1]))<<16
		}
	}
	return goOn
}

// multiply fills s.c with c + a*b.
func (x *mma) multiply(w *warp, s *mmaScratch) {
	values, n, k := x.shape.m*x.shape.n/warpSize, x.c.perReg(), x.shape.k
	some := false
	for col := range s.zero {
		s.zero[col] = allZero(s.b[col*maxK:][:k])
		some = some || s.zero[col]
	}
	for row := range x.shape.m {
		a := s.a[row*maxK:][:k]
		s.finite[row] = some && allFinite(a)
		for col := range s.zero {
			if s.zero[col] && s.finite[row] {
				s.sums[row][col] = 0
			} else {
				s.sums[row][col] = dot(a, s.b[col*maxK:][:k])
			}
		}
	}
	for v := range values {
		c, shift := &w.regs[x.rc[v/n]], v%n*x.c.t.bits
		for lane := range c {
			at := x.atC[lane*values+v]
			s.c[lane][v] = s.sums[at[0]&15][at[1]&7] + x.c.load(uint32(c[lane])>>shift)
		}
	}
}

// dot is the sum of products in four chains.
func dot(a, b []float64) float64 {
	var s0, s1, s2, s3 float64
	for len(a) >= 16 && len(b) >= 16 {
		x, y := (*[16]float64)(a), (*[16]float64)(b)
		s0, s1, s2, s3 = s0+x[0]*y[0], s1+x[1]*y[1], s2+x[2]*y[2], s3+x[3]*y[3]
		s0, s1, s2, s3 = s0+x[4]*y[4], s1+x[5]*y[5], s2+x[6]*y[6], s3+x[7]*y[7]
		s0, s1, s2, s3 = s0+x[8]*y[8], s1+x[9]*y[9], s2+x[10]*y[10], s3+x[11]*y[11]
		s0, s1, s2, s3 = s0+x[12]*y[12], s1+x[13]*y[13], s2+x[14]*y[14], s3+x[15]*y[15]
		a, b = a[16:], b[16:]
	}
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	return (s0 + s1) + (s2 + s3)
}

// allZero and allFinite find sums that need no arithmetic: few tokens leave most columns of a tile empty. A sum of zeros of either
// sign that starts at +0 is +0.
func allZero(v []float64) bool {
	for _, x := range v {
		if x != 0 {
			return false
		}
	}
	return true
}

func allFinite(v []float64) bool {
	for _, x := range v {
		if x-x != 0 {
			return false
		}
	}
	return true
}
