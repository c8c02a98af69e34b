package kernel

import (
	"unsafe"
)

// values adds up the values of each row, weighted, position after position, for all positions that any row of the tile sees: those that a row does not see
// have weights of zero. No slot is touched that none of the rows sees (it may hold anything, NaN included).
func (s *Set) values(sc *attendScratch, t *attendTile, part []float32) {
	size, pack := t.PartFloats(), t.Pack()
	lo, hi := t.span()
	from, to := (lo+pack-1)/pack*pack, hi/pack*pack // whole pairs
	for i := range t.rows {
		clear(part[i*size+partHead : (i+1)*size])
		sc.clearUnseen(t, i, lo/pack*pack, (hi+pack-1)/pack*pack)
	}
	for i, n := 0, 0; i < t.rows; i += n {
		n = tileRows(t.rows-i, s.attend[t.kind()].valueTile)
		sums := part[i*size+partHead:]
		if lo < from {
			s.halfPair(sc, t, i, n, sums, lo-1, 0xffff0000)
		}
		s.sumValues(sc, t, i, n, sums, from, to)
		if to < hi {
			s.halfPair(sc, t, i, n, sums, to, 0x0000ffff)
		}
	}
}

// clearUnseen makes row i's weights in [lo, hi) zero where it does not see the position; softmax has done so beside what it sees in the same 16.
func (sc *attendScratch) clearUnseen(t *attendTile, i, lo, hi int) {
	from, to := t.visible(i)
	from, to = max(lo, from&^(panelPositions-1)), min(hi, (to+panelPositions-1)&^(panelPositions-1))
	if t.kind() == kvBF16 {
		row := sc.probs[i*SplitLength:][:SplitLength]
		clear(row[lo:from])
		clear(row[to:hi])
		return
	}
	row := sc.scores[i*scoreStride:][:SplitLength]
	clear(row[lo:from])
	clear(row[to:hi])
}

// halfPair adds one position of the pair at i, the half of each lane that keep selects, to the sums of rows [row, row+n).
func (s *Set) halfPair(sc *attendScratch, t *attendTile, row, n int, sums []float32, i int, keep uint32) {
	pair := unsafe.Slice((*uint32)(sc.valuesAt(t, i)), t.DimV())
	for c, v := range pair {
		sc.pair[c] = v & keep
	}
	v := unsafe.Pointer(&sc.pair[0])
	sc.runs[0] = valueRun{v: v, ahead: v, steps: 1}
	s.sumChannels(sc, t, row, n, sums, i, 1)
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
