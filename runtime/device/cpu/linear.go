package cpu

import (
	"fmt"

	"llmc/engine/layout"
	"llmc/runtime/device/cpu/kernel"
)

// linear is y = x * w^T (+ bias), or act(gate) * up of a weight that interleaves both. Workers share the panels of the
// weight, so that each reads its own contiguous part of it.
type linear struct {
	set    *kernel.Set
	w      kernel.Matrix
	x      kernel.Rows
	rows   rowsOf
	y      view
	swiglu bool
	units  int // panels (pairs of panels with swiglu) to share
}

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
	form := l.w.Input()
	if l.x.Digits == 1 {
		form = form.OneDigit()
	}
	if l.y.cols != n || l.x.Activation != form || l.units*layout.Lanes < n {
		return nil, fmt.Errorf("input or result does not fit weight %s [%d,%d]", l.w.Name, l.w.N, l.w.K)
	}
	return l, nil
}

func (l *linear) run(s *state, worker int) {
	rows := l.rows.count(s)
	lo, hi := share(l.units, worker, s.workers)
	if rows == 0 || lo >= hi {
		return
	}
	sc := s.scratch[worker]
	if l.swiglu {
		l.set.LinearSwiGLU(sc, &l.w, &l.x, l.y.f32(), l.y.ld(), l.y.cols, rows, lo, hi)
		return
	}
	l.set.Linear(sc, &l.w, &l.x, l.y.f32(), l.y.ld(), rows, lo, hi)
}

// share returns worker's part [lo, hi) of n items that workers divide evenly.
func share(n, worker, workers int) (lo, hi int) {
	return n * worker / workers, n * (worker + 1) / workers
}
