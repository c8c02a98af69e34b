package cpu

import (
	"cmp"
	"errors"
	"fmt"

	"llmc/engine"
	"llmc/runtime/device/cpu/kernel"
)

// norm is y = rmsnorm(x) * w, over the row or over each group of columns, or layernorm(x) * w + bias, or a fused form that first adds delta to x.
type norm struct {
	set         *kernel.Set
	x, delta    view
	sum, normed view
	w, bias     []float32
	eps         float32
	group       int
	fused       bool
	centered    bool // layer norm
	rows        rowsOf
	form        kernel.Rows // of normed
	row         [][]float32 // per worker: a row on its way into a form that is not f32
}

func bindNorm(b *binding) (runner, error) {
	n := &norm{set: b.m.set, eps: float32(b.launch.Float("eps", 0)), fused: b.has("delta")}
	n.centered = b.launch.Kernel == "cpu.layernorm" || b.launch.Kernel == "cpu.add_layernorm"
	roles := []string{"x", "y"}
	if n.fused {
		roles = []string{"x", "normed", "delta", "sum"}
	}
	v, err := b.views(roles...)
	if err != nil {
		return nil, err
	}
	n.x, n.normed = v[0], v[1]
	if n.fused {
		n.delta, n.sum = v[2], v[3]
	}
	n.rows = rowsOfBuffer(b, roles[1])
	if n.w, err = b.vector("w"); err != nil {
		return nil, err
	}
	if b.has("bias") {
		if n.bias, err = b.vector("bias"); err != nil {
			return nil, err
		}
	}
	n.group = len(n.w)
	if n.x.cols%n.group != 0 {
		return nil, fmt.Errorf("norm over groups of %d in rows of %d", n.group, n.x.cols)
	}
	if n.form, err = n.normed.input(); err != nil {
		return nil, err
	}
	for range b.m.settings.Threads {
		n.row = append(n.row, make([]float32, n.x.cols))
	}
	return n, nil
}

func (n *norm) run(s *state, worker int) {
	plain := n.normed.format == ""
	lo, hi := n.rows.share(s, worker)
	for r := lo; r < hi; r++ {
		y := n.row[worker]
		if plain {
			y = n.normed.row(r)
		}
		n.apply(y, r)
		if !plain {
			n.set.Quantize(n.normed.data[r*n.normed.stride:], n.form.Activation, y)
		}
	}
}

// apply writes row r's norm to y.
func (n *norm) apply(y []float32, r int) {
	x := n.x.row(r)
	switch {
	case n.centered && n.fused:
		n.set.AddLayerNorm(n.sum.row(r), y, x, n.delta.row(r), n.w, n.bias, n.eps)
		return
	case n.centered:
		n.set.LayerNorm(y, x, n.w, n.bias, n.eps)
		return
	case n.fused:
		n.set.AddRMSNorm(n.sum.row(r), y, x, n.delta.row(r), n.w, n.eps)
		return
	}
	for c := 0; c < len(x); c += n.group {
		n.set.RMSNorm(y[c:c+n.group], x[c:c+n.group], n.w, n.eps)
	}
}

// quantize turns rows of numbers into the input format of a linear: bf16, or codes with scales and sums.
type quantize struct {
	set  *kernel.Set
	x, y view
	form kernel.Rows
	rows rowsOf
}

func bindQuantize(b *binding) (runner, error) {
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	form, err := v[1].input()
	if err != nil {
		return nil, err
	}
	if form.K != v[0].cols {
		return nil, fmt.Errorf("rows of %d quantized as rows of %d", v[0].cols, form.K)
	}
	return &quantize{b.m.set, v[0], v[1], form, rowsOfBuffer(b, "y")}, nil
}

func (q *quantize) run(s *state, worker int) {
	lo, hi := q.rows.share(s, worker)
	for r := lo; r < hi; r++ {
		q.set.Quantize(q.y.data[r*q.y.stride:], q.form.Activation, q.x.row(r))
	}
}

// gather is the look-up of embeddings, of tokens, from the same packed weight as a tied output matrix, or of positions.
type gather struct {
	set   *kernel.Set
	table kernel.Matrix
	y     view
	index func(*engine.Step) []int32
}

// bindLookUp binds what every look-up has: a table of rows that are as wide as those of the result.
func bindLookUp(b *binding, index func(*engine.Step) []int32) (*gather, error) {
	table, err := b.matrix("table")
	if err != nil {
		return nil, err
	}
	y, err := b.view("y")
	if err != nil {
		return nil, err
	}
	if y.cols != table.K {
		return nil, fmt.Errorf("table [%d,%d] for rows of %d", table.N, table.K, y.cols)
	}
	return &gather{b.m.set, table, y, index}, nil
}

func bindGather(b *binding) (runner, error) {
	g, err := bindLookUp(b, func(s *engine.Step) []int32 { return s.IDs })
	if err != nil {
		return nil, err
	}
	if b.m.info.Vocab > g.table.N {
		return nil, fmt.Errorf("table [%d,%d] for a vocabulary of %d", g.table.N, g.table.K, b.m.info.Vocab)
	}
	return g, nil
}

func bindGatherPositions(b *binding) (runner, error) {
	g, err := bindLookUp(b, func(s *engine.Step) []int32 { return s.Positions })
	if err != nil {
		return nil, err
	}
	if b.f.program.Func != engine.StepFunc { // it knows the length of a sequence when it begins
		b.f.positions = g.table.N
		return g, nil
	}
	if b.m.settings.MaxContext > g.table.N {
		return nil, fmt.Errorf("table [%d,%d] for a context of %d: max-context may be %d at most", g.table.N, g.table.K, b.m.settings.MaxContext, g.table.N)
	}
	return g, nil
}

// bindGatherTypes looks up types, of which a step has none beyond the smallest table.
func bindGatherTypes(b *binding) (runner, error) {
	g, err := bindLookUp(b, func(s *engine.Step) []int32 { return s.Types })
	if err != nil {
		return nil, err
	}
	b.m.settings.Types = min(cmp.Or(b.m.settings.Types, g.table.N), g.table.N)
	return g, nil
}

func (g *gather) run(s *state, worker int) {
	lo, hi := share(s.step.T(), worker, s.workers)
	index := g.index(s.step)
	for t := lo; t < hi; t++ {
		row := 0
		if len(index) > 0 { // types that are all 0 are left out
			row = int(index[t])
		}
		g.set.Gather(g.y.row(t), &g.table, row)
	}
}

// selectRows keeps the rows that are sampled.
type selectRows struct{ x, y view }

func bindSelectRows(b *binding) (runner, error) {
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	if b.operand("rows").Kind != engine.OperandInput || v[0].cols != v[1].cols {
		return nil, errors.New("rows of different lengths, or no row input")
	}
	return &selectRows{v[0], v[1]}, nil
}

func (l *selectRows) run(s *state, worker int) {
	lo, hi := share(len(s.step.Rows), worker, s.workers)
	for r := lo; r < hi; r++ {
		copy(l.y.row(r), l.x.row(int(s.step.Rows[r].Token)))
	}
}

// bindColumns turns the order into indices that are within a row: weights are numbers that nobody has checked.
func bindColumns(b *binding) (runner, error) {
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	order, err := b.vector("order")
	if err != nil {
		return nil, err
	}
	if len(order) != v[1].cols {
		return nil, fmt.Errorf("an order of %d columns for rows of %d", len(order), v[1].cols)
	}
	from := make([]int32, len(order))
	for j, at := range order {
		if !(at >= 0 && at < float32(v[0].cols)) || float32(int32(at)) != at {
			return nil, fmt.Errorf("%w: column %v of %d", engine.ErrFormat, at, v[0].cols)
		}
		from[j] = int32(at)
	}
	take := func(dst, a, _ []float32) {
		for j, at := range from[:len(dst)] {
			dst[j] = a[at]
		}
	}
	return &elementwise{apply: take, a: v[0], b: v[0], y: v[1], rows: rowsOfBuffer(b, "y")}, nil
}
