package cpu

import (
	"errors"
	"fmt"
	"strings"

	"llmc/runtime/device/cpu/kernel"
)

// elementwise is an operation of one or two operands on each element.
type elementwise struct {
	apply   func(dst, a, b []float32)
	a, b, y view
	rows    rowsOf
}

// elementwiseOps are the operations by kernel; those with one operand ignore b.
var elementwiseOps = map[string]struct {
	a, b  string // roles
	apply func(*kernel.Set) func(dst, a, b []float32)
}{
	"cpu.add":  {"a", "b", func(set *kernel.Set) func(dst, a, b []float32) { return set.Add }},
	"cpu.mul":  {"a", "b", func(set *kernel.Set) func(dst, a, b []float32) { return set.Mul }},
	"cpu.silu": {"x", "x", func(set *kernel.Set) func(dst, a, b []float32) { return func(dst, a, _ []float32) { set.SiLU(dst, a) } }},
}

func bindElementwise(b *binding) (runner, error) {
	op := elementwiseOps[b.launch.Kernel]
	e := &elementwise{apply: op.apply(b.m.set), rows: rowsOfBuffer(b, "y")}
	v, err := b.views(op.a, op.b, "y")
	if err != nil {
		return nil, err
	}
	e.a, e.b, e.y = v[0], v[1], v[2]
	if e.a.cols != e.y.cols || e.b.cols != e.y.cols {
		return nil, errors.New("operands of different widths")
	}
	return e, nil
}

func (e *elementwise) run(s *state, worker int) {
	lo, hi := e.rows.share(s, worker)
	for r := lo; r < hi; r++ {
		e.apply(e.y.row(r), e.a.row(r), e.b.row(r))
	}
}

func bindScale(b *binding) (runner, error) {
	by := float32(b.launch.Float("by", 1))
	return bindRowOp(b, func(dst, a, _ []float32) { b.m.set.Scale(dst, a, by) })
}

func bindHadamard(b *binding) (runner, error) {
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	block := int(b.launch.Int("block", 0))
	if block < 2 || v[0].cols != v[1].cols || v[1].cols%block != 0 {
		return nil, fmt.Errorf("rows of %d turned in blocks of %d", v[1].cols, block)
	}
	turn := func(dst, a, _ []float32) { b.m.set.Hadamard(dst, a, block) }
	return &elementwise{apply: turn, a: v[0], b: v[0], y: v[1], rows: rowsOfBuffer(b, "y")}, nil
}

// bindRowOp binds an operation of one operand.
func bindRowOp(b *binding, apply func(dst, a, _ []float32)) (runner, error) {
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	if v[0].cols != v[1].cols {
		return nil, errors.New("operands of different widths")
	}
	return &elementwise{apply: apply, a: v[0], b: v[0], y: v[1], rows: rowsOfBuffer(b, "y")}, nil
}

func bindActivation(b *binding) (runner, error) {
	act, ok := kernel.FindActivation(strings.TrimPrefix(b.launch.Kernel, "cpu."))
	if !ok {
		return nil, errors.New("no such activation")
	}
	return bindRowOp(b, func(dst, a, _ []float32) { b.m.set.Activate(act, dst, a) })
}

func bindSoftcap(b *binding) (runner, error) {
	by := float32(b.launch.Float("by", 1))
	return bindRowOp(b, func(dst, a, _ []float32) { b.m.set.Softcap(dst, a, by) })
}

// activation returns the activation that an attribute names, of a gate with its bounds.
func (b *binding) activation(attr string) (*kernel.Activation, error) {
	act, ok := kernel.FindActivation(b.launch.Text(attr, ""))
	if !ok {
		return nil, fmt.Errorf("unknown activation %q", b.launch.Text(attr, ""))
	}
	return act.Bounded(float32(b.launch.Float("limit", 0)), float32(b.launch.Float("shift", 0))), nil
}

func bindGated(b *binding) (runner, error) {
	act, err := b.activation("act")
	if err != nil {
		return nil, err
	}
	v, err := b.views("gate", "up", "y")
	if err != nil {
		return nil, err
	}
	if v[0].cols != v[2].cols || v[1].cols != v[2].cols {
		return nil, errors.New("operands of different widths")
	}
	gate := func(dst, a, up []float32) { b.m.set.Gate(act, dst, a, up) }
	return &elementwise{apply: gate, a: v[0], b: v[1], y: v[2], rows: rowsOfBuffer(b, "y")}, nil
}
