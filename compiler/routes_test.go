package compiler_test

import (
	"slices"
	"strings"
	"testing"

	"llmc/engine"
	"llmc/ir"
	"llmc/ir/interp"
)

// routed is a model that remembers by what its rows chose experts. Two experts may be so close that rounding decides between them, and the wrong one is
// much more than rounding: a reference that chooses as the model did computes the same, and what it would have chosen by must be near.
type routed struct {
	engine.Tracer
	logits map[string][]float32 // of experts, by the name of the value
}

// Step implements engine.Model.
func (m *routed) Step(step *engine.Step, out []engine.Sampled) error {
	return m.Trace(step, out, func(name string, rows [][]float32) {
		if strings.HasSuffix(name, ".router") {
			m.logits[name] = append(m.logits[name], slices.Concat(rows...)...)
		}
	})
}

// guide lets a machine choose experts as the model did.
func (m *routed) guide(t *testing.T, machine *interp.Machine) {
	machine.Revise = func(v *ir.Value, x interp.Tensor) interp.Tensor {
		if !strings.HasSuffix(v.Name, ".router") {
			return x
		}
		own := m.logits[v.Name]
		if len(own) != len(x.Data) {
			t.Fatalf("%s: the model has %d numbers, the reference %d", v.Name, len(own), len(x.Data))
		}
		if most, _ := relative(own, x.Data); !(most <= 2e-2) {
			t.Errorf("%s: logits of experts are off by %.2g of their range", v.Name, most)
		}
		return interp.Tensor{Rows: x.Rows, Cols: x.Cols, Data: own}
	}
}
