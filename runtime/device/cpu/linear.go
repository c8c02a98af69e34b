package cpu

import (
	"fmt"

	"llmc/engine/layout"
	"llmc/engine/partition"
	"llmc/runtime/device/cpu/kernel"
)

// linear is y = x * w^T (+ bias), or act(gate) * up of a weight that interleaves both. Workers share the panels of the
// weight, so that each reads its own contiguous part of it; where there are rows enough, teams of them share the rows first.
type linear struct {
	set    *kernel.Set
	w      kernel.Matrix
	x      kernel.Rows
	rows   rowsOf
	y      view
	swiglu bool
	units  int           // panels (pairs of panels with swiglu) to share
	spans  partition.Set // of units that this rank computes; nil: all
	part   []kernel.Rows // per worker: its rows of x
	low    *lowRank      // what adapters add; nil: the model takes none
}

// teamRows is how many rows make it worth while that teams of workers read the whole weight for their own rows.
const teamRows = 128

func bindLinear(b *binding) (runner, error) {
	l := &linear{set: b.m.set, swiglu: b.launch.Kernel == "cpu.linear_swiglu"}
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	if l.w, err = b.matrix("w"); err != nil {
		return nil, err
	}
	if l.x, err = v[0].input(); err != nil {
		return nil, err
	}
	if l.w.Gate, err = b.activation("act"); err != nil {
		return nil, err
	}
	l.y, l.rows, l.units = v[1], rowsOfBuffer(b, "y"), l.w.Panels()
	l.part = make([]kernel.Rows, b.m.settings.Threads)
	n := l.w.N
	if l.swiglu {
		l.units, n = l.w.Panels()/2, l.y.cols
	}
	if b.has("bias") {
		if l.w.Bias, err = b.vector("bias"); err != nil {
			return nil, err
		}
		if len(l.w.Bias) != l.w.N {
			return nil, fmt.Errorf("bias of %d for %d outputs", len(l.w.Bias), l.w.N)
		}
	}
	if l.y.cols != n || l.x.Activation != inputForm(&l.w, &l.x) || l.units*layout.Lanes < n {
		return nil, fmt.Errorf("input or result does not fit weight %s [%d,%d]", l.w.Name, l.w.N, l.w.K)
	}
	if b.part.Columns != nil {
		l.spans = b.part.Columns.Blocks(layout.Lanes)
	}
	b.m.adapters.bind(b, l)
	return l, nil
}

// inputForm is the form that inputs of a product with w must have, with as many digits as those of x have.
func inputForm(w *kernel.Matrix, x *kernel.Rows) layout.Activation {
	form := w.Input()
	if x.Digits == 1 {
		form = form.OneDigit()
	}
	return form
}

func (l *linear) run(s *state, worker int) {
	rows := l.rows.count(s)
	teams := 1
	if l.set.SharesRows(&l.w, &l.x, rows) {
		teams = max(1, min(s.workers, rows/teamRows))
	}
	team := owner(worker, s.workers, teams)
	first, end := share(s.workers, team, teams)
	from, to := share(rows, team, teams)
	if from == to {
		return
	}
	if l.spans == nil {
		lo, hi := share(l.units, worker-first, end-first)
		l.multiply(s, worker, from, to, lo, hi)
		return
	}
	at, stop := share(l.spans.Len(), worker-first, end-first)
	for _, span := range l.spans {
		if lo, hi := max(at, 0), min(stop, span.Len()); lo < hi {
			l.multiply(s, worker, from, to, span.From+lo, span.From+hi)
		}
		at, stop = at-span.Len(), stop-span.Len()
	}
}

// multiply computes units [lo, hi) of rows [from, to).
func (l *linear) multiply(s *state, worker, from, to, lo, hi int) {
	if lo >= hi {
		return
	}
	sc, x, y := s.scratch[worker], &l.part[worker], l.y.f32()[from*l.y.ld():]
	*x = l.x
	x.Data = x.Data[from*x.Stride:]
	if s.adapted && l.low != nil {
		x.Added = l.low.added(s, worker, from, to)
	}
	if l.swiglu {
		l.set.LinearSwiGLU(sc, &l.w, x, y, l.y.ld(), l.y.cols, to-from, lo, hi)
		return
	}
	l.set.Linear(sc, &l.w, x, y, l.y.ld(), to-from, lo, hi)
}

// share returns worker's part [lo, hi) of n items that workers divide evenly.
func share(n, worker, workers int) (lo, hi int) {
	return n * worker / workers, n * (worker + 1) / workers
}

// owner is the worker in whose share item i of n is.
func owner(i, n, workers int) int { return ((i+1)*workers - 1) / n }
