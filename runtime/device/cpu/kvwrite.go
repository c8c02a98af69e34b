package cpu

import (
	"fmt"

	"llmc/engine/partition"
	"llmc/runtime/device/cpu/kernel"
)

// kvWrite stores keys and values of the step's tokens in their cache slots.
type kvWrite struct {
	set   *kernel.Set
	k, v  view
	layer kernel.Attention
}

func bindKVWrite(b *binding) (runner, error) {
	v, err := b.views("k", "v")
	if err != nil {
		return nil, err
	}
	layer, err := b.cacheLayer()
	if err != nil {
		return nil, err
	}
	if own := b.part.Heads; own != nil {
		first, end := own.KV.From*layer.Dim, own.KV.To*layer.Dim
		v[0], v[1] = v[0].span(first, end), v[1].span(first, end)
	}
	if width := layer.Heads * layer.Dim; v[0].cols != width || v[1].cols != width {
		return nil, fmt.Errorf("keys of %d and values of %d for %d heads of %d", v[0].cols, v[1].cols, layer.Heads, layer.Dim)
	}
	return &kvWrite{b.m.set, v[0], v[1], layer}, nil
}

func (w *kvWrite) run(s *state, worker int) {
	lo, hi := shareTokens(s, worker)
	for t := lo; t < hi; t++ {
		storeKV(w.set, s.scratch[worker], &w.layer, int(s.step.Slots[t]), w.k.row(t), w.v.row(t))
	}
}

// shareTokens is share over the step's tokens for those who write to the cache: positions 2i and 2i+1 of a sequence lie in the same
// words of a bf16 page, and writing the even one clears the odd one's place, so one worker takes both, in order.
func shareTokens(s *state, worker int) (lo, hi int) {
	lo, hi = share(s.step.T(), worker, s.workers)
	return pairStart(s.step.Slots, lo), pairStart(s.step.Slots, hi)
}

func pairStart(slots []int32, i int) int {
	if i > 0 && i < len(slots) && slots[i]%2 == 1 && slots[i-1] == slots[i]-1 {
		return i + 1
	}
	return i
}

// storeKV stores one token's keys and values of all heads; a negative slot is padding.
func storeKV(set *kernel.Set, sc *kernel.Scratch, layer *kernel.Attention, slot int, k, v []float32) {
	if slot < 0 {
		return
	}
	span, at := layer.Span(slot)
	set.StoreKV(sc, layer.KV, span, at, k, v)
}

// ropeKV takes the joined projections apart: it normalises and turns q and k, stores k and v, and leaves q for attention.
type ropeKV struct {
	set          *kernel.Set
	q, k, v, y   view
	layer        kernel.Attention
	table        *ropeTable
	qNorm, kNorm []float32
	eps          float32
	turnKeys     bool
}

func bindRopeKV(b *binding) (runner, error) {
	v, err := b.views("qkv", "y")
	if err != nil {
		return nil, err
	}
	r := &ropeKV{set: b.m.set, eps: float32(b.launch.Float("eps", 0)), turnKeys: b.launch.Text("mode", "static") == "static"}
	if r.layer, err = b.cacheLayer(); err != nil {
		return nil, err
	}
	if r.table, err = b.ropeOf(r.layer.Dim); err != nil {
		return nil, err
	}
	for role, norm := range map[string]*[]float32{"q_norm": &r.qNorm, "k_norm": &r.kNorm} {
		if !b.has(role) {
			continue
		}
		if *norm, err = b.vector(role); err != nil {
			return nil, err
		}
		if len(*norm) < r.layer.Dim {
			return nil, fmt.Errorf("head norm of %d for heads of %d", len(*norm), r.layer.Dim)
		}
	}
	dim, heads, keys := r.layer.Dim, int(b.launch.Int("heads", 0)), b.f.program.Caches[b.operand("cache").Index].KVHeads
	if v[0].cols != (heads+2*keys)*dim || v[1].cols != heads*dim {
		return nil, fmt.Errorf("rows of %d and %d for %d query and %d KV heads of %d", v[0].cols, v[1].cols, heads, keys, dim)
	}
	own := partition.Heads{Query: partition.Range{To: heads}, KV: partition.Range{To: keys}}
	if b.part.Heads != nil {
		own = *b.part.Heads
	}
	q, kv := own.Query, own.KV
	r.q, r.y = v[0].span(q.From*dim, q.To*dim), v[1].span(q.From*dim, q.To*dim)
	r.k, r.v = v[0].span((heads+kv.From)*dim, (heads+kv.To)*dim), v[0].span((heads+keys+kv.From)*dim, (heads+keys+kv.To)*dim)
	return r, nil
}

func (r *ropeKV) run(s *state, worker int) {
	lo, hi := shareTokens(s, worker)
	for t := lo; t < hi; t++ {
		y, k, v := r.y.row(t), r.k.row(t), r.v.row(t)
		copy(y, r.q.row(t))
		r.normHeads(y, r.qNorm)
		r.normHeads(k, r.kNorm)
		cos, sin := r.table.row(t)
		r.set.Rope(r.table.spec.style, y, r.layer.Dim, cos, sin)
		if r.turnKeys {
			r.set.Rope(r.table.spec.style, k, r.layer.Dim, cos, sin)
		}
		storeKV(r.set, s.scratch[worker], &r.layer, int(s.step.Slots[t]), k, v)
	}
}

func (r *ropeKV) normHeads(x, w []float32) {
	if w == nil {
		return
	}
	dim := r.layer.Dim
	for ; len(x) > 0; x = x[dim:] {
		r.set.RMSNorm(x[:dim], x[:dim], w[:dim], r.eps)
	}
}
