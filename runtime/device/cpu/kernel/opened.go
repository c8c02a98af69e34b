package kernel

import (
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// Weights of layout.Format.Opened are multiplied as f32: their numbers are written for a part of a panel's K at a time, which stays in the first-level cache, and
// all rows of a block are multiplied with it by the kernels of f32. Inside a segment the sums of parts are added up in order.

const (
	// openPart is the k of a part, whole groups, of e4m3 one.
	openPart = 128
	// openRows is the least number of rows that meet a panel's parts together, where there are so many: making numbers takes as long as multiplying about five.
	openRows = 96
)

// openArgs is part of a panel and where its numbers go. Assembly reads the fields by name (go_asm.h).
type openArgs struct {
	panel  unsafe.Pointer // first group
	dst    unsafe.Pointer // f32 [k][32]
	table  unsafe.Pointer // [16] f32, of formats that have one
	groups int            // whole ones, or a short one alone
	steps  int            // of a group, at least one; without groups side by side, all

	// Of formats whose columns say which group they are in: the group of the first column, scales and zero points of the first group.
	index, scales, zeros unsafe.Pointer
	most                 int // the last group: an index beyond it, in a plan that nobody has checked, is one to it
}

// An openFunc writes the numbers of groups.
type openFunc func(a *openArgs)

// The kinds of formats that are opened.
const (
	openLevels       = iota // of a table, scales in f32
	openFifths              // five bits, scales and minimums in f16
	openOrdered             // zero points and scales, of the groups that columns are in
	openOrderedBytes        // of codes of 8 bits
	openSplit               // of a table, with two scales in a group
	openFloat8              // e4m3, scales in f32, which scales points to
	openKinds
)

func openKind(f *layout.Format) int {
	switch {
	case f.Float8:
		return openFloat8
	case f.Split:
		return openSplit
	case f.Table != nil:
		return openLevels
	case f.Ordered && f.KPerStep == 4:
		return openOrderedBytes
	case f.Ordered:
		return openOrdered
	}
	return openFifths
}

// openScratch is one worker's memory for products of such weights.
type openScratch struct {
	args    openArgs
	product linearArgs
	numbers []float32 // [openPart, Lanes]
	sums    []float32 // [rows, 2*Lanes] of a block, of a segment behind the first [rows, Lanes]
}

// openReferences say what numbers are.
var openReferences = [openKinds]openFunc{
	openLevels: refOpenLevels, openFifths: refOpenFifths, openOrdered: refOpenOrdered(8, openNibble), openOrderedBytes: refOpenOrdered(4, openByte), openSplit: refOpenSplit,
	openFloat8: refOpenFloat8,
}

func refOpenLevels(a *openArgs) {
	at0, to := a.panel, 0
	for range a.groups {
		scales := unsafe.Add(at0, a.steps*layout.StepBytes)
		for k := range a.steps * 8 {
			for lane := range layout.Lanes {
				level := *at[float32](a.table, 4*int(openNibble(at0, lane, k)))
				*at[float32](a.dst, 4*(to*layout.Lanes+lane)) = level * *at[float32](scales, 4*lane)
			}
			to++
		}
		at0 = unsafe.Add(scales, 4*layout.Lanes)
	}
}

func refOpenFifths(a *openArgs) {
	at0, to := a.panel, 0
	for range a.groups {
		fifths := unsafe.Add(at0, a.steps*layout.StepBytes)
		scales := unsafe.Add(fifths, layout.StepBytes)
		minimums := unsafe.Add(scales, 2*layout.Lanes)
		for k := range a.steps * 8 {
			for lane := range layout.Lanes {
				code := float32(openNibble(at0, lane, k) + *at[uint32](fifths, 4*lane)>>k&1<<4)
				scale, minimum := dtype.F16ToF32(*at[uint16](scales, 2*lane)), dtype.F16ToF32(*at[uint16](minimums, 2*lane))
				*at[float32](a.dst, 4*(to*layout.Lanes+lane)) = fma32(code, scale, minimum)
			}
			to++
		}
		at0 = unsafe.Add(minimums, 2*layout.Lanes)
	}
}

func refOpenOrdered(kPerStep int, code func(steps unsafe.Pointer, lane, k int) uint32) openFunc {
	return func(a *openArgs) {
		for k := range a.steps * kPerStep {
			g := min(int(*at[uint16](a.index, 2*k)), a.most)
			for lane := range layout.Lanes {
				zero, scale := *at[uint8](a.zeros, g*layout.Lanes+lane), dtype.F16ToF32(*at[uint16](a.scales, 2*(g*layout.Lanes+lane)))
				*at[float32](a.dst, 4*(k*layout.Lanes+lane)) = float32(int32(code(a.panel, lane, k))-int32(zero)) * scale
			}
		}
	}
}

func refOpenSplit(a *openArgs) {
	at0, to := a.panel, 0
	for range a.groups {
		scales := unsafe.Add(at0, a.steps*layout.StepBytes)
		for k := range a.steps * 8 {
			for lane := range layout.Lanes {
				level, scale := *at[float32](a.table, 4*int(openNibble(at0, lane, k))), *at[float32](scales, 4*lane)
				if k >= int(*at[uint8](scales, 8*layout.Lanes+lane)) {
					scale = *at[float32](scales, 4*(layout.Lanes+lane))
				}
				*at[float32](a.dst, 4*(to*layout.Lanes+lane)) = level * scale
			}
			to++
		}
		at0 = unsafe.Add(scales, 9*layout.Lanes)
	}
}

func refOpenFloat8(a *openArgs) {
	for k := range a.steps * 4 {
		for lane := range layout.Lanes {
			code := *at[uint8](a.panel, k*layout.Lanes+lane)
			*at[float32](a.dst, 4*(k*layout.Lanes+lane)) = dtype.E4M3ToF32(code) * *at[float32](a.scales, 4*lane)
		}
	}
}

// openByte is code k of a group's lane, of 8 bits.
func openByte(steps unsafe.Pointer, lane, k int) uint32 {
	return uint32(*at[uint8](steps, k/4*layout.StepBytes+4*lane+k%4))
}

// openNibble is the lower bits of code k of a group's lane.
func openNibble(steps unsafe.Pointer, lane, k int) uint32 {
	return *at[uint32](steps, k/8*layout.StepBytes+4*lane) >> (k%4*8 + k%8/4*4) & 15
}

// openNumbers writes the numbers of k [lo, lo+n) of a panel, which begin and, but for the last, end with a group.
func (s *Set) openNumbers(sc *openScratch, w *Matrix, panel []byte, lo, n int) {
	a := &sc.args
	a.dst, a.table = unsafe.Pointer(&sc.numbers[0]), unsafe.Pointer(w.Table)
	if w.Ordered {
		a.panel, a.steps = unsafe.Pointer(&panel[w.StepOffset(lo)]), (n+w.KPerStep-1)/w.KPerStep
		a.index = unsafe.Pointer(&panel[w.IndexOffset()+2*lo])
		a.scales, a.zeros = unsafe.Pointer(&panel[0]), unsafe.Pointer(&panel[w.Groups()*layout.Lanes*w.ScaleBytes])
		a.most = w.Groups() - 1
		s.open[openKind(w.Format)](a)
		return
	}
	if w.Float8 {
		g := 0
		if w.Group > 0 {
			g = lo / w.Group
		}
		a.panel, a.steps = unsafe.Pointer(&panel[w.StepOffset(lo)]), (n+w.KPerStep-1)/w.KPerStep
		a.scales = unsafe.Pointer(&panel[w.ScaleOffset(g)])
		s.open[openFloat8](a)
		return
	}
	first, last := lo/w.Group, (lo+n-1)/w.Group
	a.panel, a.groups, a.steps = unsafe.Pointer(&panel[w.StepOffset(lo)]), last-first+1, w.Group/w.KPerStep
	short := w.GroupK(last) < w.Group
	if short {
		a.groups--
	}
	if a.groups > 0 {
		s.open[openKind(w.Format)](a)
	}
	if short {
		a.dst = unsafe.Pointer(&sc.numbers[a.groups*w.Group*layout.Lanes])
		a.panel, a.groups, a.steps = unsafe.Pointer(&panel[w.StepOffset(last*w.Group)]), 1, w.GroupK(last)/w.KPerStep
		s.open[openKind(w.Format)](a)
	}
}

// openPanel computes all outputs of panel p for rows [first, first+rows) of x into y, whose rows are ldy apart, and finishes them.
func (s *Set) openPanel(sc *Scratch, w *Matrix, p int, x *Rows, first, rows int, y []float32, ldy int) {
	k, a, panel := &s.linear[kindF32][1], &sc.open.product, w.Data[p*w.panel:]
	for segment := range w.Segments() {
		from, end := w.SegmentRange(segment)
		sums, ld := y, ldy
		if segment > 0 {
			sums, ld = sc.open.sums[2*rows*layout.Lanes:], layout.Lanes
		}
		for lo := from; lo < end; lo += openPart {
			n := min(openPart, end-lo)
			s.openNumbers(&sc.open, w, panel, lo, n)
			a.xStride, a.add = x.Stride, min(1, lo-from)
			t := firstTile(rows, k.tile)
			for ; t.n > 0; t.next() {
				a.x = unsafe.Pointer(&x.Data[(first+t.row)*x.Stride+4*lo])
				a.multiply(k, t.n, unsafe.Pointer(&sc.open.numbers[0]), n, &sums[t.row*ld], ld)
			}
		}
		for i := 0; segment > 0 && i < rows; i++ {
			s.row.add(&y[i*ldy], &y[i*ldy], &sums[i*ld], layout.Lanes)
		}
	}
	s.finishOutputs(w, x, p, first, y, ldy, rows)
}

// openBlock makes room for a block of rows and returns how many these are.
func (sc *Scratch) openBlock(x *Rows, tile int) int {
	block := max(openRows, rowBlock(x.Stride, tile))
	if sc.open.numbers == nil {
		sc.open.numbers = aligned[float32](openPart * layout.Lanes)
	}
	return block
}

// openLinear is Linear for weights that are opened.
func (s *Set) openLinear(sc *Scratch, w *Matrix, x *Rows, y []float32, ldy, rows, lo, hi int) {
	block := sc.openBlock(x, s.linear[kindF32][1].tile)
	for r0 := 0; r0 < rows; r0 += block {
		n := min(block, rows-r0)
		grow(&sc.open.sums, 3*n*layout.Lanes)
		for p := lo; p < hi; p++ {
			s.openPanel(sc, w, p, x, r0, n, sc.open.sums, layout.Lanes)
			width := min(layout.Lanes, w.N-p*layout.Lanes)
			for i := range n {
				copy(y[(r0+i)*ldy+p*layout.Lanes:][:width], sc.open.sums[i*layout.Lanes:])
			}
		}
	}
}

// openSwiGLU is LinearSwiGLU for weights that are opened.
func (s *Set) openSwiGLU(sc *Scratch, w *Matrix, x *Rows, y []float32, ldy, outputs, rows, lo, hi int) {
	block := sc.openBlock(x, s.linear[kindF32][1].tile)
	for r0 := 0; r0 < rows; r0 += block {
		n := min(block, rows-r0)
		grow(&sc.open.sums, 3*n*layout.Lanes)
		for p := lo; p < hi; p++ {
			for half := range 2 {
				s.openPanel(sc, w, 2*p+half, x, r0, n, sc.open.sums[half*layout.Lanes:], 2*layout.Lanes)
			}
			width := min(layout.Lanes, outputs-p*layout.Lanes)
			s.gateTile(w.Gate, y[r0*ldy+p*layout.Lanes:], ldy, width, sc.open.sums, n)
		}
	}
}
