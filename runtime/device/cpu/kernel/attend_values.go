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
	pair := unsafe.Slice((*uint32)(sc.valuesAt(t, i)), t.DimV())
	for c, v := range pair {
		sc.pair[c] = v & keep
	}
	v := unsafe.Pointer(&sc.pair[0])
	sc.runs[0] = valueRun{v: v, ahead: v, steps: 1}
	s.sumChannels(sc, t, row, 1, sums, i, 1)
}

// valuesAt returns where the values of position i of the split, and of its partner, lie.
func (sc *attendScratch) valuesAt(t *attendTile, i int) unsafe.Pointer {
	return unsafe.Add(sc.panels[i/panelPositions].v, i%panelPositions/t.Pack()*t.VRowBytes())
}

// sumValues adds positions [lo, hi), whole pairs, to the sums of rows [row, row+n).
func (s *Set) sumValues(sc *attendScratch, t *attendTile, row, n int, sums []float32, lo, hi int) {
	count, pack, size := 0, t.Pack(), t.VRowBytes()
	prefetch := t.leads && row == 0
	for i := lo; i < hi; count++ {
		end := min(hi, (i+panelPositions)&^(panelPositions-1))
		p := &sc.panels[i/panelPositions]
		skip := i % panelPositions / pack * size
		run := valueRun{v: unsafe.Add(p.v, skip), steps: (end - i) / pack}
		run.ahead = run.v
		if prefetch {
			run.ahead = unsafe.Add(p.ahead, skip)
		}
		sc.runs[count] = run
		i = end
	}
	if count > 0 {
		s.sumChannels(sc, t, row, n, sums, lo, count)
	}
}

// sumChannels adds the first count runs, which start at position i of the split.
func (s *Set) sumChannels(sc *attendScratch, t *attendTile, row, n int, sums []float32, i, count int) {
	k := &s.attend[t.kind()]
	lane := t.LaneBytes()
	elem, stride := 4/t.Pack(), scoreStride
	if t.kind() == kvBF16 {
		stride = SplitLength
	}
	runs := sc.runs[:count]
	sc.value = valueArgs{
		p: unsafe.Add(sc.weight(t.kind(), row), i*elem), pStride: stride * elem,
		runs: &runs[0], count: count, vStride: t.VRowBytes(), outStride: 4 * t.PartFloats(),
	}
	for c, width := 0, 0; c < t.DimV(); c += width {
		for j := range runs { // past the channels of the block before
			runs[j].v = unsafe.Add(runs[j].v, lane*width)
			runs[j].ahead = unsafe.Add(runs[j].ahead, lane*width*runs[j].steps)
		}
		sum := k.wide[n]
		if width = valueWide; t.DimV()-c < valueWide {
			width, sum = panelPositions, k.narrow[n]
		}
		sc.value.out = unsafe.Pointer(&sums[c])
		sum(&sc.value)
	}
}
