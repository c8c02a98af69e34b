package cpu

import (
	"errors"
	"fmt"

	"llmc/engine/layout"
	"llmc/engine/partition"
	"llmc/runtime/device/cpu/kernel"
)

// expertLinear is linear, or the gated form of it, of a stack: rows at places [offsets[e], offsets[e+1]) are multiplied with the matrix of expert e, so
// that a step reads the matrices that rows were sent to and no others. An expert's rows are multiplied together, by the kernels of any other product:
// what a row gives depends on the row and its matrix alone. Workers share what there is to do, expert by expert and panel by panel.
type expertLinear struct {
	set     *kernel.Set
	experts []kernel.Matrix
	x       kernel.Rows
	y       view
	offsets view
	rows    *view // of x, by place; nil: x has a row for each place
	swiglu  bool
	units   int           // panels (pairs of panels with swiglu) of a matrix
	block   int           // rows that are multiplied together
	part    []kernel.Rows // per worker: rows of x
	gather  *gathered
	own     *partition.Range // experts that this rank computes; nil: all
}

// gathered holds rows of one expert side by side, for each worker; launches that follow one another share it.
type gathered struct{ workers []region }

// gatheredBytes bounds the rows of an expert that are gathered, and read for one panel after the other, at a time: they stay in the second-level cache.
const gatheredBytes = 512 << 10

// room gives each worker at least so many bytes.
func (g *gathered) room(workers, bytes int) error {
	if len(g.workers) == workers && len(g.workers[0]) >= bytes {
		return nil
	}
	if err := g.release(); err != nil {
		return err
	}
	for range workers {
		mem, err := newRegion(int64(bytes), "the rows of an expert")
		if err != nil {
			return err
		}
		g.workers = append(g.workers, mem)
	}
	return nil
}

func (g *gathered) release() error {
	var errs []error
	for _, mem := range g.workers {
		errs = append(errs, mem.release())
	}
	g.workers = nil
	return errors.Join(errs...)
}

func bindExpertLinear(b *binding) (runner, error) {
	l := &expertLinear{set: b.m.set, swiglu: b.launch.Kernel == "cpu.moe_linear_swiglu", gather: &b.m.gathered}
	v, err := b.views("x", "y", "offsets")
	if err != nil {
		return nil, err
	}
	if l.x, err = v[0].input(); err != nil {
		return nil, err
	}
	l.y, l.offsets = v[1], v[2]
	if l.experts, err = b.stack("w"); err != nil {
		return nil, err
	}
	if l.offsets.rows != len(l.experts)+1 {
		return nil, fmt.Errorf("offsets of %d for %d experts", l.offsets.rows, len(l.experts))
	}
	l.part = make([]kernel.Rows, b.m.settings.Threads)
	l.block = v[0].rows
	if b.has("rows") {
		rows, err := b.view("rows")
		if err != nil {
			return nil, err
		}
		l.rows, l.block = &rows, min(max(1, gatheredBytes/l.x.Stride), v[0].rows)
		if err := l.gather.room(b.m.settings.Threads, l.block*l.x.Stride); err != nil {
			return nil, err
		}
	}
	l.own = b.part.Experts
	one := &l.experts[0]
	n := one.N
	l.units = one.Panels()
	if l.swiglu {
		l.units, n = one.Panels()/2, l.y.cols
	}
	if l.y.cols != n || l.x.Activation != inputForm(one, &l.x) || l.units*layout.Lanes < n {
		return nil, fmt.Errorf("input or result does not fit weight %s [%d,%d] of each expert", one.Name, one.N, one.K)
	}
	return l, nil
}

// stack returns the matrices of a packed weight of experts, each with its part of the bias.
func (b *binding) stack(role string) ([]kernel.Matrix, error) {
	entry, data, err := b.weight(role)
	if err != nil {
		return nil, err
	}
	one, err := layout.New(entry.Layout, int(entry.N()), int(entry.K()), int(entry.Segment))
	if err != nil {
		return nil, fmt.Errorf("weight %q: %w", entry.Name, err)
	}
	act, err := b.activation("act")
	if err != nil {
		return nil, err
	}
	experts := make([]kernel.Matrix, entry.Experts())
	if len(experts) == 0 || len(data) < len(experts)*one.Bytes() {
		return nil, fmt.Errorf("weight %q: %d bytes for %d matrices of %d", entry.Name, len(data), len(experts), one.Bytes())
	}
	var bias []float32
	if b.has("bias") {
		if bias, err = b.vector("bias"); err != nil {
			return nil, err
		}
		if len(bias) != len(experts)*one.N {
			return nil, fmt.Errorf("bias of %d for %d times %d outputs", len(bias), len(experts), one.N)
		}
	}
	for e := range experts {
		if experts[e], err = kernel.NewMatrix(one, data[e*one.Bytes():]); err != nil {
			return nil, fmt.Errorf("weight %q: %w", entry.Name, err)
		}
		experts[e].Gate = act
		if bias != nil {
			experts[e].Bias = bias[e*one.N:][:one.N:one.N]
		}
	}
	return experts, nil
}

func (l *expertLinear) run(s *state, worker int) {
	offsets := l.offsets.i32()
	total := 0
	for e := range l.experts {
		total += l.cost(offsets, e)
	}
	from, to := share(total, worker, s.workers)
	for e := range l.experts {
		cost := l.cost(offsets, e)
		if lo, hi := l.unit(from, cost), l.unit(to, cost); lo < hi {
			l.multiply(s, worker, e, int(offsets[e]), int(offsets[e+1]), lo, hi)
		}
		from, to = from-cost, to-cost
	}
}

// bytesRead is the size of the matrices that the step's rows were sent to.
func (l *expertLinear) bytesRead() (bytes int64) {
	offsets := l.offsets.i32()
	for e := range l.experts {
		if l.cost(offsets, e) > 0 {
			bytes += int64(len(l.experts[e].Data))
		}
	}
	return bytes
}

// panelCost is what reading a panel takes, in what a row's product with it takes.
const panelCost = 8

// cost is what an expert takes, 0 for one without rows.
func (l *expertLinear) cost(offsets []int32, e int) int {
	rows := int(offsets[e+1]) - int(offsets[e])
	switch {
	case rows <= 0 || l.own != nil && (e < l.own.From || e >= l.own.To):
		return 0
	case rows > l.y.rows:
		panic("rows of an expert beyond all places")
	}
	return (rows + panelCost) * l.units
}

// unit returns the unit of an expert that a share of the work begins with, which lies so far behind the expert's beginning; shares that meet agree on it.
func (l *expertLinear) unit(at, cost int) int {
	if at <= 0 || cost == 0 {
		return 0
	}
	return min(l.units, (at*l.units+cost-1)/cost)
}

// multiply computes units [lo, hi) for the places [first, end) of an expert.
func (l *expertLinear) multiply(s *state, worker, expert, first, end, lo, hi int) {
	w, sc, ld := &l.experts[expert], s.scratch[worker], l.y.ld()
	for ; first < end; first += l.block {
		n := min(l.block, end-first)
		x, y := l.input(worker, first, n), l.y.f32()[first*ld:]
		if l.swiglu {
			l.set.LinearSwiGLU(sc, w, x, y, ld, l.y.cols, n, lo, hi)
		} else {
			l.set.Linear(sc, w, x, y, ld, n, lo, hi)
		}
	}
}

// input returns the rows of x at n places: as they lie, or side by side.
func (l *expertLinear) input(worker, first, n int) *kernel.Rows {
	x, stride := &l.part[worker], l.x.Stride
	*x = l.x
	if l.rows == nil {
		x.Data = l.x.Data[first*stride:]
		return x
	}
	rows := l.rows.i32()[first : first+n]
	if n == 1 {
		x.Data = l.x.Data[int(rows[0])*stride:]
		return x
	}
	to := l.gather.workers[worker]
	for i, r := range rows {
		copy(to[i*stride:(i+1)*stride], l.x.Data[int(r)*stride:])
	}
	x.Data = to
	return x
}
