package partition

import (
	"slices"
	"testing"

	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// launchOf is a launch of a kernel over buffers, in the order of its roles.
func launchOf(kernel string, buffers ...int) engine.Launch {
	l := engine.Launch{Kernel: kernel}
	for _, role := range engine.FindKernel(kernel).Roles {
		o := engine.Operand{Kind: role.Kind}
		if role.Kind == engine.OperandBuffer {
			o.Index, buffers = buffers[0], buffers[1:]
		}
		l.Operands = append(l.Operands, o)
	}
	return l
}

// TestHandedOn wants what launches behind a cut read of those before it, each buffer once: not what they write themselves, in whichever form, nor what lies in a slot from before.
func TestHandedOn(t *testing.T) {
	row := func(slot int, cols, offset int64) engine.Buffer {
		return engine.Buffer{Slot: slot, Rows: sym.Of(sym.T), Cols: cols, Offset: offset, Stride: 32, DType: dtype.F32}
	}
	const x, h, s, y, left, right, z = 0, 1, 2, 3, 4, 5, 6
	p := &engine.Program{
		Slots:   make([]sym.Dim, 4),
		Buffers: []engine.Buffer{x: row(0, 8, 0), h: row(1, 8, 0), s: row(2, 8, 0), y: row(1, 8, 0), left: row(1, 4, 0), right: row(1, 4, 16), z: row(3, 4, 0)},
		Launches: []engine.Launch{
			launchOf("cuda.gather", x),
			launchOf("cuda.silu", x, h),
			launchOf("cuda.silu", h, s),
			launchOf("cuda.add", x, s, y),        // where h was
			launchOf("cuda.add", left, right, z), // of y
		},
	}
	for cut, want := range map[int][]int{1: {x}, 2: {h, x}, 3: {x, s}, 4: {left, right}, 5: nil} {
		if got := handedOn(p, cut); !slices.Equal(got, want) {
			t.Errorf("before launch %d: buffers %v, want %v", cut, got, want)
		}
	}
}

// TestOnlySteps wants plans that are not cut to be told from those that are.
func TestOnlySteps(t *testing.T) {
	for _, c := range []struct {
		pp     int
		main   string
		beside []string
		ok     bool
	}{{1, "embed", []string{"image"}, true}, {2, engine.StepFunc, nil, true}, {2, engine.StepFunc, []string{"image"}, false}, {2, "embed", nil, false}} {
		if err := OnlySteps(c.pp, c.main, c.beside); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
