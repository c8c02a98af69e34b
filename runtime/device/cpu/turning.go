package cpu

import (
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/runtime/device/cpu/kernel"
)

// turning serves models whose rotary frequencies depend on the length of the sequence. Their keys are cached as they were before
// the rotary embedding; a worker copies one head's pages, turns the keys by the length that its tokens have, and attends to the copy. The
// copy of a cache of f16 or codes is f32: turned keys are not rounded once more.
type turning struct {
	table   *ropeTable
	layer   kernel.Attention // one head, in scratch pages
	scratch []turnScratch    // per worker
}

type turnScratch struct {
	pages    region
	table    []int32 // identity page table
	freq     []float32
	cos, sin []float32
	k, v     []float32 // of a position
}

func (b *binding) newTurning(cached *kernel.Attention) (*turning, error) {
	table, err := b.ropeOf(cached.Dim)
	if err != nil {
		return nil, err
	}
	dt := cached.DType
	if dt != dtype.BF16 {
		dt = dtype.F32
	}
	one, err := layout.NewKV(dt, cached.PageSize, 1, cached.Dim)
	if err != nil {
		return nil, err
	}
	t := &turning{table: table, layer: *cached}
	t.layer.KV, t.layer.QueryHeads = one, cached.QueryHeads/cached.Heads
	t.layer.Page, t.layer.Stride, t.layer.Offset = one.PageSize, one.Bytes(), 0
	t.scratch = b.m.turnScratch(one, table.spec.half)
	if t.scratch == nil {
		t.scratch, err = newTurnScratch(b.m.settings.Threads, b.m.settings.MaxContext, one, table.spec.half)
		b.m.turns = append(b.m.turns, t)
	}
	return t, err
}

// turnScratch returns the scratch of an earlier layer of the same shape: layers run one after the other.
func (m *model) turnScratch(kv layout.KV, half int) []turnScratch {
	for _, t := range m.turns {
		if t.layer.KV == kv && t.table.spec.half == half {
			return t.scratch
		}
	}
	return nil
}

func newTurnScratch(threads, context int, kv layout.KV, half int) ([]turnScratch, error) {
	pages := (context + kv.PageSize - 1) / kv.PageSize
	scratch := make([]turnScratch, threads)
	for i := range scratch {
		mem, err := newRegion(int64(pages)*int64(kv.Bytes()), "turned keys")
		if err != nil {
			return nil, err
		}
		w := &scratch[i]
		w.pages, w.table = mem, make([]int32, pages)
		w.freq, w.cos, w.sin = make([]float32, half), make([]float32, half), make([]float32, half)
		w.k, w.v = make([]float32, kv.Dim), make([]float32, kv.Dim)
		for p := range w.table {
			w.table[p] = int32(p)
		}
	}
	return scratch, nil
}

// turnState is a worker's description of its scratch pages; it lives in state so that no call allocates one.
type turnState struct{ layer kernel.Attention }

// attend does the tokens of q that share a regime together: the whole prompt, as a rule, or one generated token.
func (t *turning) attend(a *attention, s *state, worker int, q *kernel.Queries, head, first int) {
	w := &s.turn[worker]
	group := a.layer.QueryHeads / a.layer.Heads
	whole := *q
	for lo := 0; lo < whole.Tokens; {
		length := s.step.RopeLen[first+lo]
		regime := t.table.spec.regime(length)
		hi := lo + 1
		for hi < whole.Tokens && t.table.spec.regime(s.step.RopeLen[first+hi]) == regime {
			hi++
		}
		scratch := &t.scratch[worker]
		layer := &w.layer
		*layer = t.layer
		layer.Pool = scratch.pages
		t.turnKeys(a, s.scratch[worker], scratch, &whole, head, length, whole.First+hi)
		*q = whole
		q.Pages, q.Tokens, q.First = scratch.table, hi-lo, whole.First+lo
		q.Q = whole.Q[lo*whole.LDQ+head*group*a.layer.Dim:]
		q.Out = whole.Out[lo*whole.LDOut+head*group*a.layer.Dim:]
		a.set.Attend(s.scratch[worker], layer, q, 0, 0, layer.Rows(q))
		lo = hi
	}
}

// turnKeys copies the head's pages up to position end and turns the keys for a sequence of the given rope length.
func (t *turning) turnKeys(a *attention, sc *kernel.Scratch, w *turnScratch, q *kernel.Queries, head int, length int32, end int) {
	kv, size := a.layer.KV, t.layer.HeadBytes()
	freq := t.table.spec.frequencies(t.table.invFreq, length, w.freq)
	for position := range end {
		t.table.spec.turn(w.cos, w.sin, freq, int32(position))
		span, slot := a.layer.Span(a.layer.Slot(q, position))
		kernel.LoadKV(kv, span, head, slot, w.k, w.v)
		a.set.Rope(t.table.spec.style, w.k, kv.Dim, w.cos, w.sin)
		p := position / kv.PageSize
		a.set.StoreKV(sc, t.layer.KV, w.pages[p*size:(p+1)*size], position%kv.PageSize, w.k, w.v)
	}
}
