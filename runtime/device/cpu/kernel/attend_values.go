package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// values adds up the values of each row, weighted, position after position. The rows of a tile see ranges that differ at the ends: what all of
// them see is done together, the ends row by row, so that no row ever touches a slot that it does not see (it may hold anything, NaN included).
func (s *Set) values(sc *attendScratch, t *attendTile, part []float32) {
	size, pack := t.PartFloats(), t.Pack()
	from, _ := t.visible(t.rows - 1)
	_, to := t.visible(0)
	from, to = (from+pack-1)/pack*pack, to/pack*pack
	together := from < to
	for i := range t.rows {
		sums := part[i*size+partHead : (i+1)*size]
		clear(sums)
		lo, hi := t.visible(i)
		if together {
			hi = from
		}
		s.rowValues(sc, t, i, sums, lo, hi)
	}
	if !together {
		return
	}
	for i, n := 0, 0; i < t.rows; i += n {
		n = tileRows(t.rows-i, s.attend[t.kind()].valueTile)
		s.sumValues(sc, t, i, n, part[i*size+partHead:], from, to)
	}
	for i := range t.rows {
		_, hi := t.visible(i)
		s.rowValues(sc, t, i, part[i*size+partHead:(i+1)*size], to, hi)
	}
}

// rowValues adds positions [lo, hi) to the sums of one row. Where two positions share a lane and only one is seen, the other counts as zero.
func (s *Set) rowValues(sc *attendScratch, t *attendTile, row int, sums []float32, lo, hi int) {
	if lo >= hi {
		return
	}
	if t.Pack() == 1 {
		s.sumValues(sc, t, row, 1, sums, lo, hi)
		return
	}
	if lo%2 == 1 {
		s.halfPair(sc, t, row, sums, lo-1, 0xffff0000)
		lo++
	}
	s.sumValues(sc, t, row, 1, sums, lo, max(lo, hi&^1))
	if hi%2 == 1 && hi > lo {
		s.halfPair(sc, t, row, sums, hi-1, 0x0000ffff)
	}
}

// halfPair adds one position of the pair at i, the half of each lane that keep selects.
func (s *Set) halfPair(sc *attendScratch, t *attendTile, row int, sums []float32, i int, keep uint32) {
	block, slot := t.slot(i)
	pair := unsafe.Slice(at[uint32](block, t.V(t.head, slot, 0)), t.DimV())
	for c, v := range pair {
		sc.pair[c] = v & keep
	}
	s.sumChannels(sc, t, row, 1, sums, i, unsafe.Pointer(&sc.pair[0]), 1)
}

// sumValues adds positions [lo, hi), whole pairs, to the sums of rows [row, row+n).
func (s *Set) sumValues(sc *attendScratch, t *attendTile, row, n int, sums []float32, lo, hi int) {
	for lo < hi {
		block, slot := t.slot(lo)
		end := min(hi, lo+t.PageSize-slot)
		s.sumChannels(sc, t, row, n, sums, lo, unsafe.Add(block, t.V(t.head, slot, 0)), (end-lo)/t.Pack())
		lo = end
	}
}

// sumChannels adds steps lanes of values at v, which starts at position i of the split.
func (s *Set) sumChannels(sc *attendScratch, t *attendTile, row, n int, sums []float32, i int, v unsafe.Pointer, steps int) {
	k := &s.attend[t.kind()]
	elem := t.DType.Size()
	sc.value = valueArgs{
		p: unsafe.Add(sc.weight(t.kind(), row), i*elem), pStride: SplitLength * elem,
		vStride: t.VRowBytes(), outStride: 4 * t.PartFloats(), steps: steps,
	}
	for c := 0; c < t.DimV(); {
		width, sum := panelPositions, k.narrow[n]
		if t.DimV()-c >= valueWide {
			width, sum = valueWide, k.wide[n]
		}
		sc.value.v, sc.value.out = unsafe.Add(v, 4*c), unsafe.Pointer(&sums[c])
		sum(&sc.value)
		c += width
	}
}

// attendRows is the number of query rows that walk through the cache together.
const attendRows = 4 * maxTile

// attendScratch holds one worker's state of attention.
type attendScratch struct {
	score       scoreArgs
	value       valueArgs
	factors     [2]float32
	scores      [maxTile * SplitLength]float32
	probs       [maxTile * SplitLength]uint16
	queries     []byte // [attendRows] rows in the cache's element type, padded with zeros
	queryStride int
	pair        []uint32  // [DimV]
	part, state []float32 // [attendRows] parts
}

func newAttendScratch(dim int) attendScratch {
	widest := layout.KV{Dim: dim}
	size := partHead + widest.DimV()
	return attendScratch{
		queries: make([]byte, attendRows*4*widest.DimK()),
		pair:    make([]uint32, widest.DimV()),
		part:    make([]float32, attendRows*size),
		state:   make([]float32, attendRows*size),
	}
}

// weight returns where the softmax weights of row i of a tile are kept.
func (sc *attendScratch) weight(kind, i int) unsafe.Pointer {
	if kind == kvBF16 {
		return unsafe.Pointer(&sc.probs[i*SplitLength])
	}
	return unsafe.Pointer(&sc.scores[i*SplitLength])
}

// load converts query rows [r, r+n) of a KV head to the cache's element type.
func (sc *attendScratch) load(s *Set, a *Attention, q *Queries, head, r, n int) {
	if a.Dim > len(sc.pair) {
		panic("kernel: the scratch was made for smaller heads")
	}
	g := a.group()
	sc.queryStride = a.DimK() * a.DType.Size()
	for i := range n {
		x := q.Q[(r+i)/g*q.LDQ+(head*g+(r+i)%g)*a.Dim:][:a.Dim]
		row := sc.queries[i*sc.queryStride : (i+1)*sc.queryStride]
		if a.kind() == kvF32 {
			copy(row, bytesOf(x))
		} else {
			s.row.toBF16((*uint16)(unsafe.Pointer(&row[0])), &x[0], a.Dim)
		}
		clear(row[a.Dim*a.DType.Size():])
	}
}
