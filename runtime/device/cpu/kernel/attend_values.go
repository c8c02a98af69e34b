package kernel

import (
	"unsafe"
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
	pair := unsafe.Slice((*uint32)(t.values(i)), t.DimV())
	for c, v := range pair {
		sc.pair[c] = v & keep
	}
	v := unsafe.Pointer(&sc.pair[0])
	s.sumChannels(sc, t, row, 1, sums, i, 1, v, v)
}

// sumValues adds positions [lo, hi), whole pairs, to the sums of rows [row, row+n).
func (s *Set) sumValues(sc *attendScratch, t *attendTile, row, n int, sums []float32, lo, hi int) {
	for lo < hi {
		end := min(hi, t.pageEnd(lo))
		v := t.values(lo)
		ahead := v
		if next := lo + SplitLength; t.leads && row == 0 && t.base+next < t.q.First+t.q.Tokens {
			ahead = t.keys(next)
		}
		s.sumChannels(sc, t, row, n, sums, lo, (end-lo)/t.Pack(), v, ahead)
		lo = end
	}
}

// sumChannels adds steps lanes of values at v, which starts at position i of the split, and prefetches from ahead.
func (s *Set) sumChannels(sc *attendScratch, t *attendTile, row, n int, sums []float32, i, steps int, v, ahead unsafe.Pointer) {
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
		sc.value.ahead = ahead
		sum(&sc.value)
		c += width
	}
}
