package compiler

import (
	"fmt"

	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/ir"
)

// keepScales lets a module that was turned keep the weights of norms that went into its products: adapters that are served beside it need them. No op
// reads them.
func keepScales(m *ir.Module) {
	names, kept := m.Names(), map[string]bool{}
	var keep func(r *ir.Recipe)
	keep = func(r *ir.Recipe) {
		if r.Kind == ir.Rotated && r.Scale() != nil && !kept[r.Scale().String()] {
			scale := r.Scale()
			kept[scale.String()] = true
			w := &ir.Weight{Recipe: scale}
			w.Name, w.Type = ir.Fresh(names, "lora.scale"), ir.Tensor(dtype.F32, sym.Const(scale.Rows(1)))
			w.Value.Weight = w
			m.Weights = append(m.Weights, w)
		}
		for _, p := range r.Parts {
			keep(p)
		}
	}
	for _, w := range m.Weights {
		keep(w.Recipe)
	}
}

// checkLoraRank refuses models beside which no adapters are served.
func (b *build) checkLoraRank() error {
	switch m := b.model.Module; {
	case b.LoraRank == 0:
		return nil
	case b.LoraRank < 0 || b.LoraRank > engine.MaxAdapterRank:
		return fmt.Errorf("max-lora-rank is %d: must be within 1..%d", b.LoraRank, engine.MaxAdapterRank)
	case len(m.Funcs) != 1 || m.Func(engine.StepFunc) == nil:
		return fmt.Errorf("max-lora-rank: adapters are served beside models that generate, and this one has %s", functionNames(m))
	}
	return nil
}
