package kernel

import (
	"sync/atomic"

	"llmc/internal/dtype"
)

// attention is that of a sequence that decodes, of several, or of the last rows of a prompt.
func (o *orderBench) attention(count, positions, kvHeads, group, dim int) orderLaunch {
	sequences := o.rows
	if o.prompt() {
		sequences = 1
	}
	tokens := o.rows / sequences
	a := &orderAttention{orderBench: o, sequences: sequences, tokens: tokens, positions: positions, turns: make([]int, o.t.Workers())}
	a.seqs = benchSequence(dtype.BF16, positions, 1, kvHeads, group, dim)
	for i := 1; i < sequences || !o.prompt() && (i+sequences)*len(a.seqs[0].Pool) <= orderBytes; i++ {
		s := *a.seqs[0]
		s.Pool = append(aligned[byte](len(s.Pool))[:0], s.Pool...)
		a.seqs = append(a.seqs, &s)
	}
	a.seqs = a.seqs[:len(a.seqs)/sequences*sequences]
	orders := []order{{"fixed", a.items(o.set)}, {"pieces never added up", a.loose(o.set)}}
	if o.rows == 1 {
		orders = []order{{"fixed", a.splits(o.set)}, {"positions shared evenly", a.even(o.set)}}
	}
	if o.set.rounding.tiles != o.lesser.rounding.tiles {
		if o.rows == 1 {
			orders = append(orders, order{"vectors", a.splits(o.lesser)}, order{"vectors, positions shared evenly", a.even(o.lesser)})
		} else {
			orders = append(orders, order{"vectors", a.items(o.lesser)})
		}
	}
	return orderLaunch{"attention", count, orders}
}

// orderAttention is the attention of a step: sequences of them for a layer, tokens of each.
type orderAttention struct {
	*orderBench
	seqs                         []*sequence
	sequences, tokens, positions int
	turns                        []int // of each worker
}

// layer returns the sequences of the next layer.
func (a *orderAttention) layer(worker int) []*sequence {
	first := a.turns[worker] * a.sequences % len(a.seqs)
	a.turns[worker]++
	return a.seqs[first:][:a.sequences]
}

func (a *orderAttention) queries(s *sequence) Queries {
	ld := s.QueryHeads * s.Dim
	return Queries{Q: s.q, LDQ: ld, LDOut: ld, Tokens: a.tokens, First: a.positions - a.tokens, Pages: s.pages, Out: make([]float32, a.tokens*ld)}
}

// items lets workers take blocks of rows of a head of a sequence, whichever is next.
func (a *orderAttention) items(set *Set) func(worker int) {
	scratch := a.scratch()
	return a.eachItem(func(worker int, s *sequence, q *Queries, head, lo, hi int) {
		set.Attend(scratch[worker], &s.Attention, q, head, lo, hi)
	})
}

// loose is items without adding up what splits gave, wrong as that is: no pieces of other lengths could be faster.
func (a *orderAttention) loose(set *Set) func(worker int) {
	scratch := a.scratch()
	return a.eachItem(func(worker int, s *sequence, q *Queries, head, lo, hi int) {
		sc := &scratch[worker].attend
		for r := lo; r < hi; r += attendRows {
			n := min(attendRows, hi-r)
			sc.load(set, &s.Attention, q, head, r, n)
			from, to := s.Splits(q, r, r+n-1)
			for split := from; split < to; split++ {
				set.attendSplit(sc, &s.Attention, q, head, split, r, n, sc.part, nil)
			}
			for i := range n {
				set.finish(&s.Attention, q, head, r+i, sc.part[i*s.PartFloats():])
			}
		}
	})
}

func (a *orderAttention) eachItem(attend func(worker int, s *sequence, q *Queries, head, lo, hi int)) func(worker int) {
	var next atomic.Int64
	q := a.queries(a.seqs[0])
	rows := a.seqs[0].Rows(&q)
	blocks := (rows + attendRows - 1) / attendRows
	return func(worker int) {
		seqs := a.layer(worker)
		for item := int(next.Add(1)) - 1; item < blocks*a.seqs[0].Heads*len(seqs); item = int(next.Add(1)) - 1 {
			s, rest := seqs[item%len(seqs)], item/len(seqs)
			at := (blocks - 1 - rest/s.Heads) * attendRows
			attend(worker, s, &q, rest%s.Heads, at, min(rows, at+attendRows))
		}
		a.t.Barrier(worker)
		next.Store(0)
	}
}

// splits shares the splits of a token's context among workers, as plans do: heads that one worker has all of are done at once.
func (a *orderAttention) splits(set *Set) func(worker int) {
	scratch, q := a.scratch(), a.queries(a.seqs[0])
	size, group, heads := a.seqs[0].PartFloats(), a.seqs[0].group(), a.seqs[0].Heads
	_, n := a.seqs[0].Splits(&q, 0, 0)
	stride, workers := heads*group*size, a.t.Workers()
	parts := make([]float32, n*stride)
	return func(worker int) {
		s, sc := a.layer(worker)[0], scratch[worker]
		lo, hi := share(n*heads, worker, workers)
		for m := 0; lo < hi; lo += m {
			head, split := lo/n, lo%n
			if m = min(hi-lo, n-split); m == n {
				set.Attend(sc, &s.Attention, &q, head, 0, group)
				continue
			}
			set.AttendSplits(sc, &s.Attention, &q, head, split, split+m, 0, group, parts[split*stride+head*group*size:], stride)
		}
		a.t.Barrier(worker)
		for head := range heads {
			if first := head * n; ((first+1)*workers-1)/(n*heads) == ((first+n)*workers-1)/(n*heads) { // one worker had all of it
				continue
			}
			for r := worker; r < group; r += workers {
				set.Finish(sc, &s.Attention, &q, head, r, 0, parts[(head*group+r)*size:], stride)
			}
		}
	}
}

// even gives each worker as many of the token's positions as the next, all heads of them, and adds the workers' sums up.
func (a *orderAttention) even(set *Set) func(worker int) {
	scratch, q := a.scratch(), a.queries(a.seqs[0])
	size, group, heads := a.seqs[0].PartFloats(), a.seqs[0].group(), a.seqs[0].Heads
	stride := heads * group * size
	parts := make([]float32, a.t.Workers()*stride)
	wide := q
	wide.First = a.t.Workers()*SplitLength - 1 // as many splits as workers
	return func(worker int) {
		s, sc := a.layer(worker)[0], scratch[worker]
		lo, hi := share(a.positions/s.Page, worker, a.t.Workers())
		piece := q
		piece.Pages, piece.First = s.pages[lo:], (hi-lo)*s.Page-1
		for head := range heads {
			sc.attend.load(set, &s.Attention, &piece, head, 0, group)
			_, n := s.Splits(&piece, 0, 0)
			for split := range n {
				set.attendSplit(&sc.attend, &s.Attention, &piece, head, split, 0, group, sc.attend.part, sc.attend.state)
			}
			copy(parts[worker*stride+head*group*size:], sc.attend.state[:group*size])
		}
		a.t.Barrier(worker)
		for row := worker; row < heads*group; row += a.t.Workers() {
			set.Finish(sc, &s.Attention, &wide, row/group, row%group, 0, parts[row*size:], stride)
		}
	}
}
