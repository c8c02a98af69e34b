package passes

import (
	"fmt"

	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir"
)

// Property is something that holds for a module from the pass that establishes it on.
type Property uint8

// The properties.
const (
	Shared    Property = iota // no two ops compute the same
	Live                      // every result reaches a result of the function
	Quantized                 // every linear's input has the form that the weight's format multiplies with
	Selected                  // every op but views has a kernel
	LaidOut                   // every matrix of weights has a layout
	Scheduled                 // nothing is read before all workers have waited for its writer
	Planned                   // every activation has a place, and no two that live at once share bytes
)

var properties = [...]struct {
	name  string
	check func(m *ir.Module, f *ir.Func) error
}{
	Shared:    {"shared", checkShared},
	Live:      {"live", checkLive},
	Quantized: {"quantized", checkQuantized},
	Selected:  {"selected", checkSelected},
	LaidOut:   {"laid-out", checkLaidOut},
	Scheduled: {"scheduled", checkScheduled},
	Planned:   {"planned", checkPlanned},
}

func (p Property) String() string { return properties[p].name }

func (p Property) check(m *ir.Module, f *ir.Func) error { return properties[p].check(m, f) }

func checkShared(_ *ir.Module, f *ir.Func) error {
	seen := map[string]*ir.Op{}
	for _, op := range f.Ops {
		key := identity(op)
		if twin := seen[key]; twin != nil {
			return fmt.Errorf("%s and %s compute the same", describe(twin.Result()), describe(op.Result()))
		}
		seen[key] = op
	}
	return nil
}

func checkLive(_ *ir.Module, f *ir.Func) error {
	live := liveOps(f)
	for _, op := range f.Ops {
		if !live[op] {
			return fmt.Errorf("nobody reads %s", describe(op.Result()))
		}
	}
	return nil
}

func checkQuantized(_ *ir.Module, f *ir.Func) error {
	for _, op := range f.Ops {
		w := matrixOf(op)
		if w == nil || looksUp(op) {
			continue
		}
		if op.Kind.Name == "linear_heads" {
			if err := checkHeadInput(op, w); err != nil {
				return err
			}
			continue
		}
		if x, want := op.Arg("x").Type, ownForm(w); !want.fits(x) && !multipliesAs(x, w) {
			return fmt.Errorf("%s multiplies %v with a weight %v; its input must be %v", describe(op.Result()), x, w.Type, want)
		}
	}
	return nil
}

// checkHeadInput wants an op that rounds its input itself to do so as its weight needs.
func checkHeadInput(op *ir.Op, w *ir.Weight) error {
	want, input := ownForm(w), op.Text("input")
	if input == want.format || want.format == "" && input == want.dtype.String() || w.Type.Quant != "" && (input == plainForm.dtype.String() || multiplies(input, w)) || w.Type.DType == dtype.F8E4M3 && input == dtype.F32.String() {
		return nil
	}
	return fmt.Errorf("%s rounds its input to %s for a weight %v; it must be %v", describe(op.Result()), input, w.Type, want)
}

// multipliesAs tells whether inputs of type x are another form that a weight of codes is multiplied with on some target.
func multipliesAs(x ir.Type, w *ir.Weight) bool {
	if w.Type.Quant == "" {
		return false
	}
	activation, _ := ir.SplitQuant(x.Quant)
	f, err := quant.FindType(w.Type.Quant)
	if w.Type.DType == dtype.F8E4M3 && (form{dtype: dtype.F32}).fits(x) {
		return true
	}
	return plainForm.fits(x) || err == nil && multiplies(activation, w) && codedForm(w, f, activation).fits(x)
}

func checkSelected(_ *ir.Module, f *ir.Func) error {
	for _, op := range f.Ops {
		if op.Kernel == "" && !op.Kind.Has(ir.View) {
			return fmt.Errorf("%s has no kernel", describe(op.Result()))
		}
	}
	return nil
}

func checkLaidOut(_ *ir.Module, f *ir.Func) error {
	for _, op := range f.Ops {
		if w := matrixOf(op); w != nil && w.Type.Layout == "" {
			return fmt.Errorf("weight %%%s has no layout", w.Name)
		}
	}
	return nil
}

// checkScheduled looks for a reader of what was written since the last wait.
func checkScheduled(_ *ir.Module, f *ir.Func) error {
	epoch := epochs(f)
	for _, op := range f.Ops {
		if op.Kind.Has(ir.View) {
			continue
		}
		for _, a := range op.Args {
			if a == nil {
				continue
			}
			if def := base(a).Def; def != nil && epoch[def] >= epoch[op] {
				return fmt.Errorf("%s reads %s without a wait between", describe(op.Result()), describe(a))
			}
		}
	}
	return nil
}
