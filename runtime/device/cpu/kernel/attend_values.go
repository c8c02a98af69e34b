package kernel

import (
	"math"
	"unsafe"
)

// values adds up the values of each row, weighted, position after position, for all positions that any row of the tile sees: those that a row does not see
// have weights of zero. No slot is touched that none of the rows sees (it may hold anything, NaN included).
func (s *Set) values(sc *attendScratch, t *attendTile, part []float32) {
	size, pack := t.PartFloats(), t.Pack()
	lo, hi := t.span()
	edges := valueEdges{from: lo / pack * pack, to: (hi + pack - 1) / pack * pack}
	if edges.from < lo {
		edges.first = sc.half(t, 0, lo, 0xffff0000)
	}
	if hi < edges.to {
		edges.last = sc.half(t, 1, hi-1, 0x0000ffff)
	}
	for i := range t.rows {
		clear(part[i*size+partHead : (i+1)*size])
		sc.clearUnseen(t, i, edges.from, edges.to)
	}
	for i, n := 0, 0; i < t.rows; i += n {
		n = tileRows(t.rows-i, s.attend[t.kind()].valueTile)
		s.sumValues(sc, t, i, n, part[i*size+partHead:], edges)
	}
}

// valueEdges are the positions [from, to) that a tile takes in, whole pairs, and the first and the last pair where one half of it is not seen; nil: both are.
type valueEdges struct {
	from, to    int
	first, last unsafe.Pointer
}

// half copies the pair of position i, with the half of each lane that keep does not select as zero. There are two places.
func (sc *attendScratch) half(t *attendTile, place, i int, keep uint32) unsafe.Pointer {
	from := unsafe.Add(sc.panels[i/panelPositions].v, i%panelPositions/t.Pack()*t.VRowBytes())
	to := sc.pairs[place]
	for c, v := range unsafe.Slice((*uint32)(from), t.DimV()) {
		to[c] = v & keep
	}
	return unsafe.Pointer(&to[0])
}

// clearUnseen makes row i's weights in [lo, hi) zero where it does not see the position; softmax has done so beside what it sees in the same 16.
func (sc *attendScratch) clearUnseen(t *attendTile, i, lo, hi int) {
	from, to := t.seenPanels(i)
	from, to = max(lo, from), min(hi, to)
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

// sumValues adds the values that a tile takes in to the sums of rows [row, row+n).
func (s *Set) sumValues(sc *attendScratch, t *attendTile, row, n int, sums []float32, edges valueEdges) {
	count, pack, size := 0, t.Pack(), t.VRowBytes()
	prefetch := t.leads && row == 0
	add := func(run valueRun) {
		sc.runs[count] = run
		count++
	}
	from, to := edges.from, edges.to
	if edges.first != nil {
		add(valueRun{v: edges.first, ahead: edges.first, steps: 1})
		from += pack
	}
	if edges.last != nil {
		to -= pack
	}
	for i := from; i < to; {
		end := min(to, (i+panelPositions)&^(panelPositions-1))
		p := &sc.panels[i/panelPositions]
		skip := i % panelPositions / pack * size
		run := valueRun{v: unsafe.Add(p.v, skip), steps: (end - i) / pack}
		run.ahead = run.v
		if prefetch {
			run.ahead = unsafe.Add(p.ahead, skip)
		}
		add(run)
		i = end
	}
	if edges.last != nil {
		add(valueRun{v: edges.last, ahead: edges.last, steps: 1})
	}
	s.sumChannels(sc, t, row, n, sums, edges.from, count)
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

// repair computes rows [r, r+n) again that are not finite, each alone. Query heads of a token lie side by side and are looked at together.
func (s *Set) repair(sc *Scratch, a *Attention, q *Queries, head, r, n int) {
	group := a.group()
	for i := 0; i < n; {
		side := min(group-(r+i)%group, n-i)
		if s.spoiled(a, q, head, r+i, side) {
			for j := range side {
				if s.spoiled(a, q, head, r+i+j, 1) {
					s.attendBlock(sc, a, q, head, r+i+j, 1)
				}
			}
		}
		i += side
	}
}

// spoiled tells whether a result of n rows of a token is not finite.
func (s *Set) spoiled(a *Attention, q *Queries, head, r, n int) bool {
	out := q.Out[r/a.group()*q.LDOut+(head*a.group()+r%a.group())*a.Values():][:n*a.Values()]
	return !(s.row.maxAbs(&out[0], len(out)) <= math.MaxFloat32)
}
