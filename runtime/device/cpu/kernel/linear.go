package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// maxTile is the largest number of rows that one micro-kernel multiplies.
const maxTile = 12

// maxDigits is the largest number of codes that an element of x has.
const maxDigits = 2

// linearTable has the micro-kernels of one kind by the digits of x, 1 or 2.
type linearTable [maxDigits + 1]linearKernels

// linearKernels multiply x rows: rows[r] multiplies r rows, 1 <= r <= tile.
type linearKernels struct {
	tile int
	rows [maxTile + 1]linearFunc
}

// blockBytes bounds the rows of activation that are walked for one panel after the other: they stay in the second-level cache.
const blockBytes = 512 << 10

// Linear computes y[r, n] = sum over k of x[r, k] * w[n, k] (+ bias[n]) for rows rows and for the outputs of panels [lo, hi). y's rows are ldy
// numbers apart. A result depends only on its row of x and its row of w: not on rows, lo, hi or the set's tile sizes.
func (s *Set) Linear(sc *Scratch, w *Matrix, x *Rows, y []float32, ldy, rows, lo, hi int) {
	if rows == 0 || lo >= hi {
		return
	}
	w.check(x, rows, hi)
	last := min(hi*layout.Lanes, w.N) - 1
	_ = y[(rows-1)*ldy+last]
	if w.Opened() {
		s.openLinear(sc, w, x, y, ldy, rows, lo, hi)
		return
	}
	if p, ok := s.tiles(sc, w, x, rows); ok {
		p.linear(y, ldy, rows, lo, hi)
		return
	}
	v, k := s.widening(w, x.Digits, rows)
	if v != nil && v.part != nil {
		s.wordLinear(sc, v, w, x, y, ldy, rows, lo, hi)
		return
	}
	block := rowBlock(v.rowBytes(x), k.tile)
	for r0 := 0; r0 < rows; r0 += block {
		from := s.operand(sc, w, x, r0, min(block, rows-r0), v)
		for p := lo; p < hi; p++ {
			sc.linear.start(s.panel(sc, w, p, 0, v), w.at(min(p+1, hi-1)))
			width := min(layout.Lanes, w.N-p*layout.Lanes)
			t := firstTile(min(block, rows-r0), k.tile)
			for ; t.n > 0; t.next() {
				r := r0 + t.row
				out := y[r*ldy+p*layout.Lanes:]
				if width == layout.Lanes {
					s.product(sc, k, w, p, from, t.row, &t, out, ldy)
					continue
				}
				s.product(sc, k, w, p, from, t.row, &t, sc.tile, layout.Lanes)
				for i := range t.n {
					copy(out[i*ldy:i*ldy+width], sc.tile[i*layout.Lanes:])
				}
			}
		}
	}
}

// LinearSwiGLU computes y[r, i] = act(gate[r, i]) * up[r, i] for i < n, act being w.Gate, where w holds gate and up interleaved: panel 2j has gate's outputs
// 32j.., panel 2j+1 up's. It computes the outputs of y whose panel pairs are in [lo, hi).
func (s *Set) LinearSwiGLU(sc *Scratch, w *Matrix, x *Rows, y []float32, ldy, n, rows, lo, hi int) {
	if rows == 0 || lo >= hi {
		return
	}
	w.check(x, rows, 2*hi)
	last := min(hi*layout.Lanes, n) - 1
	_ = y[(rows-1)*ldy+last]
	if w.Opened() {
		s.openSwiGLU(sc, w, x, y, ldy, n, rows, lo, hi)
		return
	}
	if p, ok := s.tiles(sc, w, x, rows); ok {
		p.swiglu(y, ldy, n, rows, lo, hi)
		return
	}
	v, k := s.widening(w, x.Digits, rows)
	if v != nil && v.part != nil {
		s.wordSwiGLU(sc, v, w, x, y, ldy, n, rows, lo, hi)
		return
	}
	block := rowBlock(v.rowBytes(x), k.tile)
	for r0 := 0; r0 < rows; r0 += block {
		from := s.operand(sc, w, x, r0, min(block, rows-r0), v)
		for p := lo; p < hi; p++ {
			var halves [2]panelOf
			for half := range halves {
				halves[half] = s.panel(sc, w, 2*p+half, half, v)
			}
			width := min(layout.Lanes, n-p*layout.Lanes)
			t := firstTile(min(block, rows-r0), k.tile)
			for ; t.n > 0; t.next() {
				for half := range 2 {
					sc.linear.start(halves[half], w.at(2*min(p+1, hi-1)+half))
					s.product(sc, k, w, 2*p+half, from, t.row, &t, sc.tile[half*layout.Lanes:], 2*layout.Lanes)
				}
				s.gateTile(w.Gate, y[(r0+t.row)*ldy+p*layout.Lanes:], ldy, width, sc.tile, t.n)
			}
		}
	}
}

// gateTile gates rows rows of a pair of panels, which lie side by side in products, and stores width outputs of each.
func (s *Set) gateTile(act *Activation, y []float32, ldy, width int, products []float32, rows int) {
	if act.silu() && width == layout.Lanes {
		s.row.gateRows(unsafe.Pointer(&y[0]), unsafe.Pointer(&products[0]), rows, 4*ldy)
		return
	}
	for i := range rows {
		gate, up := products[2*i*layout.Lanes:], products[(2*i+1)*layout.Lanes:]
		s.Gate(act, y[i*ldy:][:width], gate[:width], up[:width])
	}
}

// at points to panel p.
func (w *Matrix) at(p int) unsafe.Pointer { return unsafe.Pointer(&w.Data[p*w.panel]) }

// product multiplies tile t of x, which starts at row r, with panel p, at which sc.linear points, and finishes its outputs.
func (s *Set) product(sc *Scratch, k *linearKernels, w *Matrix, p int, x *Rows, r int, t *tile, y []float32, ldy int) {
	if w.kind == kindBF16Groups {
		s.groupProducts(sc, k, w, p, x, r, t, y, ldy)
	} else {
		sc.linear.run(k, x, r, t, unsafe.Pointer(&y[0]), 4*ldy)
	}
	s.finishOutputs(w, x, p, sc.first+r, y, ldy, t.n)
}

// groupProducts multiplies group by group: what a group adds up to, times its scales, is added to what those before it gave.
func (s *Set) groupProducts(sc *Scratch, k *linearKernels, w *Matrix, p int, x *Rows, r int, t *tile, y []float32, ldy int) {
	a, base := &sc.linear, unsafe.Pointer(&w.Data[p*w.panel])
	if sc.group == nil {
		sc.group = aligned[float32](maxTile * layout.Lanes)
	}
	following := a.following
	defer func() { a.following = following }()
	for g := range w.Groups() {
		offset := w.StepOffset(g * w.Group)
		a.panel, a.following, a.segments = unsafe.Add(base, offset), unsafe.Add(following, offset), 1
		a.steps = w.GroupK(g) / w.KPerStep
		a.lastSteps = a.steps
		from := *x
		from.Data = x.Data[g*w.Group*x.ElementBytes:]
		a.run(k, &from, r, t, unsafe.Pointer(&sc.group[0]), 4*layout.Lanes)
		scales := at[float32](base, w.ScaleOffset(g))
		for i := range t.n {
			out, part := &y[i*ldy], &sc.group[i*layout.Lanes]
			if g == 0 {
				s.row.mul(out, part, scales, layout.Lanes)
				continue
			}
			s.row.mul(part, part, scales, layout.Lanes)
			s.row.add(out, out, part, layout.Lanes)
		}
	}
}

// finishOutputs multiplies rows rows of panel p's outputs, of row r of x and those behind it, with their scales, where the product left that, and adds its part
// of the bias and of what adapters add, while they are in the cache.
func (s *Set) finishOutputs(w *Matrix, x *Rows, p, r int, y []float32, ldy, rows int) {
	if w.outputs > 0 {
		width := min(layout.Lanes, w.N-p*layout.Lanes)
		scales := at[float32](unsafe.Pointer(&w.Data[p*w.panel]), w.outputs)
		for i := range rows {
			out := y[i*ldy:][:width]
			s.row.mul(&out[0], &out[0], scales, width)
		}
	}
	if w.Bias != nil {
		first := p * layout.Lanes
		bias := w.Bias[first:min(w.N, first+layout.Lanes)]
		for i := range rows {
			out := y[i*ldy:][:len(bias)]
			s.row.add(&out[0], &out[0], &bias[0], len(bias))
		}
	}
	if x.Added != nil {
		x.Added.add(s, p, r, y, ldy, rows)
	}
}

// check refuses arguments that would read outside x or w: a mistake of the caller.
func (w *Matrix) check(x *Rows, rows, panels int) {
	if x.Activation != w.input && x.Activation != w.oneDigit {
		panic("kernel: the activation is not in the form that the weight is multiplied with")
	}
	if panels > w.Panels() || (rows-1)*x.Stride+x.Bytes() > len(x.Data) {
		panic("kernel: panels or rows beyond the operand")
	}
}

// rowBlock returns how many rows to walk for one panel before the next.
func rowBlock(stride, tile int) int {
	return max(1, blockBytes/max(1, stride)/tile) * tile
}

// tileRows cuts the next tile off left rows: tiles of nearly equal size, none above the limit.
func tileRows(left, limit int) int {
	tiles := (left + limit - 1) / limit
	return (left + tiles - 1) / tiles
}

// tile is a run of rows that one micro-kernel call multiplies: part index of tiles nearly equal parts. Loops over tiles declare it before: a variable of their own is copied each time
// round, by a load that waits for all stores of the micro-kernel.
type tile struct {
	row, n       int
	index, tiles int
	rows         int
}

// firstTile cuts rows into tiles of at most limit rows.
func firstTile(rows, limit int) tile {
	return tile{n: tileRows(rows, limit), tiles: (rows + limit - 1) / limit, rows: rows}
}

// next goes on to the next tile; its n is 0 behind the last one.
func (t *tile) next() {
	t.row += t.n
	t.index++
	if left := t.tiles - t.index; left > 0 {
		t.n = (t.rows - t.row + left - 1) / left
	} else {
		t.n = 0
	}
}

// start points the arguments at a panel, all segments. following is the panel that will be wanted next.
func (a *linearArgs) start(p panelOf, following unsafe.Pointer) {
	w, base := &p.l, unsafe.Pointer(&p.data[0])
	a.panel, a.following = base, following
	a.panelBytes, a.panelSteps = p.stored, w.KPad()/w.KPerStep
	a.scale, a.zeros, a.nested = nil, nil, nil
	a.groupSteps, a.lastGroupSteps = 0, 0
	a.segments = w.Segments()
	first, _ := w.SegmentRange(a.segments - 1)
	unit := w.KPerStep
	switch {
	case w.Group > 0:
		unit = w.Group
		a.groupSteps, a.lastGroupSteps = w.Group/w.KPerStep, w.GroupK(w.Groups()-1)/w.KPerStep
		if w.Zeros {
			a.zeros = unsafe.Add(base, w.ZeroOffset(0))
		}
		if w.Super() {
			a.groupSteps, a.lastGroupSteps = w.Group/superBlock, w.GroupK(w.Groups()-1)/superBlock
		}
		if w.Levels && !w.Tiered {
			a.zeros = unsafe.Add(base, w.ScaleOffset(0))
		}
	case w.ScaleBytes > 0:
		a.scale = unsafe.Add(base, w.ScaleOffset(0))
	}
	if w.Nested {
		unit = layout.NestedGroup
		a.nested = unsafe.Add(base, w.NestedOffset(0))
	}
	a.steps, a.lastSteps = w.Segment/unit, (w.K-first+unit-1)/unit
}

// run multiplies tile t of x, which starts at row r, with the panel and stores to y. Meanwhile it prefetches its share of the panel that follows.
func (a *linearArgs) run(k *linearKernels, x *Rows, r int, t *tile, y unsafe.Pointer, yStride int) {
	a.x = unsafe.Pointer(&x.Data[r*x.Stride])
	a.xStride = x.Stride
	a.entry = nil // not behind the row: the collector takes any pointer for one into an object
	if x.Group > 0 {
		a.entry = unsafe.Add(a.x, x.EntryOffset())
	}
	a.groupSums = nil
	if a.sums != nil {
		a.groupSums = unsafe.Add(a.sums, r*x.Stride)
	}
	a.y, a.yStride, a.add = y, yStride, 0
	a.ahead = uintptr(a.following) + uintptr(a.panelBytes/t.tiles*t.index)
	a.aheadStep = (a.panelBytes/a.panelSteps + t.tiles - 1) / t.tiles
	k.rows[t.n](a)
}
