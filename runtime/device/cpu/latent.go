package cpu

import (
	"fmt"

	"llmc/engine/layout"
	"llmc/engine/partition"
	"llmc/runtime/device/cpu/kernel"
)

// latentWrite stores rows of a latent cache.
type latentWrite struct {
	set   *kernel.Set
	c, k  view
	layer kernel.Attention
	rows  [][]float32 // per worker: a row put together
}

func bindLatentWrite(b *binding) (runner, error) {
	v, err := b.views("c", "k")
	if err != nil {
		return nil, err
	}
	layer, err := b.cacheLayer()
	if err != nil {
		return nil, err
	}
	if v[0].cols != layer.Rank || v[1].cols != layer.Dim-layer.Rank {
		return nil, fmt.Errorf("rows of %d and %d for a latent cache of rank %d and rows of %d", v[0].cols, v[1].cols, layer.Rank, layer.Dim)
	}
	w := &latentWrite{b.m.set, v[0], v[1], layer, make([][]float32, b.m.settings.Threads)}
	for i := range w.rows {
		w.rows[i] = make([]float32, layer.Dim)
	}
	return w, nil
}

func (w *latentWrite) run(s *state, worker int) {
	row := w.rows[worker]
	lo, hi := share(s.step.T(), worker, s.workers)
	for t := lo; t < hi; t++ {
		slot := int(s.step.Slots[t])
		if slot < 0 { // padding
			continue
		}
		copy(row, w.c.row(t))
		copy(row[w.layer.Rank:], w.k.row(t))
		span, at := w.layer.Span(slot)
		w.set.StoreKV(s.scratch[worker], w.layer.KV, span, at, row, nil)
	}
}

// bindLatentAttention binds attention all of whose query heads share one row of each position.
func bindLatentAttention(b *binding) (runner, error) {
	v, err := b.views("q", "q_rope", "y")
	if err != nil {
		return nil, err
	}
	a := &attention{set: b.m.set, q: v[0], rope: v[1], y: v[2]}
	if a.layer, err = b.cacheLayer(); err != nil {
		return nil, err
	}
	l := &a.layer
	if own := b.part.Heads; own != nil {
		turning := l.Dim - l.Rank
		a.q, a.y = a.q.span(own.Query.From*l.Rank, own.Query.To*l.Rank), a.y.span(own.Query.From*l.Rank, own.Query.To*l.Rank)
		a.rope = a.rope.span(own.Query.From*turning, own.Query.To*turning)
	}
	if a.q.cols != l.QueryHeads*l.Rank || a.rope.cols != l.QueryHeads*(l.Dim-l.Rank) || a.y.cols != a.q.cols {
		return nil, fmt.Errorf("rows of %d, %d and %d for %d query heads of rank %d and rows of %d", a.q.cols, a.rope.cols, a.y.cols, l.QueryHeads, l.Rank, l.Dim)
	}
	return a.prepare(b), nil
}

// linearHeads multiplies each head's columns with a matrix of its own. Workers take the next free head, of many rows a part of them: who computes
// what changes no result.
type linearHeads struct {
	set   *kernel.Set
	heads []kernel.Matrix
	x, y  view
	input layout.Activation
	block int // rows
	rows  rowsOf
	room  *gathered // per worker: a head's columns of some rows, in the form that its matrix is multiplied with
	part  []kernel.Rows
	own   []int // heads that this rank computes
}

// headRows is how many rows of a head's columns are converted and multiplied at a time, at most: they stay in the second-level cache, and a head's
// matrix is read once for all of them.
const headRows = 512

func bindLinearHeads(b *binding) (runner, error) {
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	l := &linearHeads{set: b.m.set, x: v[0], y: v[1], rows: rowsOfBuffer(b, "y"), room: &b.m.gathered}
	if l.heads, err = b.stack("w"); err != nil {
		return nil, err
	}
	w, n := &l.heads[0], len(l.heads)
	if l.input = w.Input(); b.launch.Text("input", "") == l.input.OneDigit().Name {
		l.input = l.input.OneDigit()
	}
	if l.x.cols != n*w.K || l.y.cols != n*w.N {
		return nil, fmt.Errorf("rows of %d and %d for %d heads of [%d,%d]", l.x.cols, l.y.cols, n, w.N, w.K)
	}
	own := partition.Of(0, n)
	if b.part.Columns != nil {
		own = b.part.Columns.Blocks(w.N)
	}
	for _, r := range own {
		for h := r.From; h < r.To; h++ {
			l.own = append(l.own, h)
		}
	}
	l.part = make([]kernel.Rows, b.m.settings.Threads)
	l.block = min(max(1, gatheredBytes/l.input.RowBytes()), headRows, l.y.rows)
	return l, l.room.room(b.m.settings.Threads, l.block*l.input.RowBytes())
}

func (l *linearHeads) run(s *state, worker int) {
	rows, heads := l.rows.count(s), len(l.own)
	blocks := (rows + l.block - 1) / l.block
	lo, hi := share(heads*blocks, worker, s.workers)
	for item := lo; item < hi; item++ {
		from := item % blocks * l.block
		l.product(s, worker, l.own[item/blocks], from, min(l.block, rows-from))
	}
}

// product is one head's of rows [from, from+n).
func (l *linearHeads) product(s *state, worker, head, from, n int) {
	w, x := &l.heads[head], &l.part[worker]
	*x = kernel.Rows{Activation: l.input, Data: l.room.workers[worker], Stride: l.input.RowBytes()}
	for r := range n {
		l.set.Quantize(x.Data[r*x.Stride:], x.Activation, l.x.row(from + r)[head*w.K:(head+1)*w.K])
	}
	y := l.y.f32()[from*l.y.ld()+head*w.N:]
	l.set.Linear(s.scratch[worker], w, x, y, l.y.ld(), n, 0, w.Panels())
}
