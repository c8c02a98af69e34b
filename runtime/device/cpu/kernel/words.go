package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// Words of a panel are written for a part of K at a time, where the first-level cache keeps them, and all rows of a block are multiplied with a part before the next is
// written: a whole panel is two to five times as large as that cache, and writing it went through the second level.

const (
	// wordPart is the most k of a part, whole groups: 18 KiB of words, beside those of a tile of rows. 512 products of 32,639 * 128 at most fit 32 bits.
	wordPart = 9 * layout.NestedGroup
	// wordRows is the most rows of a block: they, their outputs and their sums share the second-level cache.
	wordRows = 192
)

// wordScratch is one worker's memory for products of words.
type wordScratch struct {
	part    []byte    // of a panel
	sums    []float64 // [rows, Lanes] of a block, of the pieces of a segment
	outputs []float32 // [rows, 2*Lanes] of a block, where y has no room for whole panels
}

// wordRun is a part of K: whole segments, or a piece of one.
type wordRun struct {
	lo, n             int // k
	segment, segments int
	begun, more       int // 1: pieces of the segment come before, behind
}

// nextRun returns the part behind r, whose n is 0 where K ends.
func nextRun(w *layout.Linear, r wordRun) wordRun {
	lo := r.lo + r.n
	if lo >= w.K {
		return wordRun{}
	}
	segment := lo / w.Segment
	first, end := w.SegmentRange(segment)
	if w.Segment <= wordPart {
		segments := min(wordPart/w.Segment, w.Segments()-segment)
		_, end = w.SegmentRange(segment + segments - 1)
		return wordRun{lo: lo, n: end - lo, segment: segment, segments: segments}
	}
	pieces := (w.Segment + wordPart - 1) / wordPart
	piece := ((w.Segment+pieces-1)/pieces + layout.NestedGroup - 1) &^ (layout.NestedGroup - 1)
	hi := min(end, lo+piece)
	return wordRun{lo: lo, n: hi - lo, segment: segment, segments: 1, begun: min(1, lo-first), more: min(1, end-hi)}
}

// lastSteps returns the steps of words of the run's last segment.
func (r *wordRun) lastSteps(w *layout.Linear) int {
	first, _ := w.SegmentRange(r.segment + r.segments - 1)
	return (r.lo + r.n - max(r.lo, first) + 3) / 4 * 2
}

// wordPanel computes all outputs of panel p for rows rows of x into y, whose rows are ldy apart, and finishes them.
func (s *Set) wordPanel(sc *Scratch, v *widening, w *Matrix, p int, x *Rows, rows int, y []float32, ldy int) {
	a, panel := &sc.linear, w.Data[p*w.panel:]
	a.panel, a.scale = unsafe.Pointer(&sc.words.part[0]), unsafe.Pointer(&panel[w.ScaleOffset(0)])
	a.following, a.groupSums = unsafe.Pointer(&panel[0]), nil
	a.xStride, a.yStride, a.steps = x.Stride, 4*ldy, w.Segment/2
	for r := nextRun(&w.Linear, wordRun{}); r.n > 0; r = nextRun(&w.Linear, r) {
		v.part(w, sc.words.part, panel, r.lo, r.n)
		a.segments, a.lastSteps, a.add = r.segments, r.lastSteps(&w.Linear), min(1, r.segment)
		a.begun, a.more = r.begun, r.more
		stored := (r.n + w.KPerStep - 1) / w.KPerStep * layout.StepBytes
		following := uintptr(unsafe.Pointer(&panel[0])) + uintptr(w.StepOffset(r.lo)+stored)
		t := firstTile(rows, v.kernels.tile)
		for ; t.n > 0; t.next() {
			row := x.Data[t.row*x.Stride:]
			a.x, a.entry = unsafe.Pointer(&row[v.bytes*r.lo]), unsafe.Pointer(&row[x.EntryOffset()+r.segment*layout.EntryBytes])
			a.y, a.doubles = unsafe.Pointer(&y[t.row*ldy]), unsafe.Pointer(&sc.words.sums[t.row*layout.Lanes])
			a.ahead = following + uintptr(stored/t.tiles*t.index)
			a.aheadStep = (2*layout.StepBytes/w.KPerStep + t.tiles - 1) / t.tiles
			v.kernels.rows[t.n](a)
		}
	}
	s.finishOutputs(w, x, p, sc.first, y, ldy, rows)
}

// wordBlock makes room for blocks of rows and returns how many rows they have.
func (sc *Scratch) wordBlock(rows int) int {
	block := tileRows(rows, wordRows)
	grow(&sc.words.part, 2*wordPart*layout.Lanes)
	grow(&sc.words.sums, block*layout.Lanes)
	grow(&sc.words.outputs, 2*block*layout.Lanes)
	return block
}

// wordLinear is Linear for products of words.
func (s *Set) wordLinear(sc *Scratch, v *widening, w *Matrix, x *Rows, y []float32, ldy, rows, lo, hi int) {
	block := sc.wordBlock(rows)
	for r0 := 0; r0 < rows; r0 += block {
		n := min(block, rows-r0)
		from := s.operand(sc, w, x, r0, n, v)
		for p := lo; p < hi; p++ {
			out, width := y[r0*ldy+p*layout.Lanes:], min(layout.Lanes, w.N-p*layout.Lanes)
			if width == layout.Lanes {
				s.wordPanel(sc, v, w, p, from, n, out, ldy)
				continue
			}
			s.wordPanel(sc, v, w, p, from, n, sc.words.outputs, layout.Lanes)
			for i := range n {
				copy(out[i*ldy:i*ldy+width], sc.words.outputs[i*layout.Lanes:])
			}
		}
	}
}

// wordSwiGLU is LinearSwiGLU for products of words.
func (s *Set) wordSwiGLU(sc *Scratch, v *widening, w *Matrix, x *Rows, y []float32, ldy, outputs, rows, lo, hi int) {
	block := sc.wordBlock(rows)
	for r0 := 0; r0 < rows; r0 += block {
		n := min(block, rows-r0)
		from := s.operand(sc, w, x, r0, n, v)
		for p := lo; p < hi; p++ {
			for half := range 2 {
				s.wordPanel(sc, v, w, 2*p+half, from, n, sc.words.outputs[half*layout.Lanes:], 2*layout.Lanes)
			}
			width := min(layout.Lanes, outputs-p*layout.Lanes)
			s.gateTile(w.Gate, y[r0*ldy+p*layout.Lanes:], ldy, width, sc.words.outputs, n)
		}
	}
}
