package compiler

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
	"llmc/passes"
)

// reference judges a plan in two halves, which meet in the IR after the passes as the plan keeps it. The passes are judged without any rounding to
// narrower formats: there, what they made computes the same function as the imported module, to the last digits of f32. The program is judged
// with all roundings, which are those of the IR after the passes.
type reference struct {
	imported, final *ir.Module
	weights         interp.Weights
	function        string
	verifyInput
	turned bool // by rotate
}

// passTolerance is how far f32 and the order of sums put values of the same function.
var passTolerance = Tolerance{Max: 5e-5, Mean: 1e-6}

// finalModule reads the IR that the programs of a target were generated from, which has all of their functions.
func finalModule(plan *engine.Plan, programs []*engine.Program) (*ir.Module, error) {
	section, program := finalIR, programs[0]
	if targets := plan.Targets(program.Func); targets[0] != program.Target {
		section += "/" + program.Target
	}
	text, err := plan.Section(engine.KindIR, section)
	if err != nil {
		return nil, err
	}
	m, err := ir.Parse(string(text))
	if err == nil {
		err = ir.Verify(m)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: section ir %s: %w", plan.Path(), section, err)
	}
	for _, p := range programs {
		if m.Func(p.Func) == nil {
			return nil, fmt.Errorf("%s: section ir %s: no function @%s", plan.Path(), section, p.Func)
		}
	}
	return m, nil
}

// rotateTolerance is how far the logits of a model that is turned may be from the checkpoint's: its weights are sums of others', rounded to f32.
var rotateTolerance = Tolerance{Max: 1e-4, Mean: 1e-5}

// rotate puts in place of the imported module the one that the plan's weights are of, if the model was turned. These two compute the same with the numbers of the
// checkpoint, or it is an error; that the others make of the turned one is for verify to judge.
func (r *reference) rotate(plan *engine.Plan, checkpoint *hf.Checkpoint) error {
	level := passes.RotateNone
	for _, w := range r.final.Weights {
		if w.Recipe.Turned() {
			level = passes.RotateWeights
		}
	}
	if level == passes.RotateNone {
		return nil
	}
	if slices.ContainsFunc(r.final.Func(r.function).Ops, func(op *ir.Op) bool { return op.Kind.Name == "hadamard" }) {
		level = passes.RotateInputs
	}
	provenance, err := plan.Provenance()
	if err != nil {
		return err
	}
	options := passes.Options{Rotation: level}
	for _, o := range provenance.Options {
		if o.Name == "disabled" {
			options.Disabled = append(options.Disabled, o.Value)
		}
	}
	turned := r.imported.Clone()
	if _, err := passes.RunOne("rotate", turned, options); err != nil {
		return err
	}
	if err := r.sameLogits(turned, tensors{checkpoint}); err != nil {
		return err
	}
	r.imported, r.turned = turned, true
	return nil
}

// sameLogits compares the imported module with another one on weights.
func (r *reference) sameLogits(other *ir.Module, weights interp.Weights) error {
	ignore := func(_ *ir.Value, t interp.Tensor) interp.Tensor { return t }
	on := reference{imported: r.imported, weights: weights, function: r.function, verifyInput: r.verifyInput}
	want, err := on.run(r.imported, true, ignore)
	if err != nil {
		return fmt.Errorf("imported IR: %w", err)
	}
	got, err := on.run(other, true, ignore)
	if err != nil {
		return fmt.Errorf("turned IR: %w", err)
	}
	if len(got) == 0 || len(want) == 0 || got[0].Rows != want[0].Rows || got[0].Cols != want[0].Cols {
		return errors.New("the turned IR does not give the logits that the imported one does")
	}
	c := &comparison{Verification: Verification{Tolerance: rotateTolerance}}
	if !c.judge("logits", got[0], want[0]) {
		return fmt.Errorf("turning the model moves its logits by %.2g of their range, %.2g at most", c.MaxErr, rotateTolerance.Max)
	}
	return nil
}

// passes compares the functions that the two modules compute: the logits, and what they call by the same names.
func (r *reference) passes() (*comparison, error) {
	values := map[string]interp.Tensor{}
	keep := func(v *ir.Value, t interp.Tensor) interp.Tensor {
		if v.Name != "" {
			values[v.Name] = t
		}
		return t
	}
	got, err := r.run(r.final, true, keep)
	if err != nil {
		return nil, fmt.Errorf("IR after the passes: %w", err)
	}
	c := &comparison{shown: values, Verification: Verification{Tolerance: passTolerance}}
	want, err := r.run(r.imported, true, func(v *ir.Value, t interp.Tensor) interp.Tensor {
		c.compare(v, t)
		return t // no error is to hide behind another one
	})
	if err != nil {
		return nil, fmt.Errorf("imported IR: %w", err)
	}
	if len(got) == 0 || len(want) == 0 || got[0].Rows != want[0].Rows || got[0].Cols != want[0].Cols {
		return nil, fmt.Errorf("the IR after the passes does not give the logits that the imported one does")
	}
	c.judge("logits", got[0], want[0])
	return c, nil
}

// program compares what a program made of each value with what its IR makes of the program's values before it.
func (r *reference) program(shown map[string]interp.Tensor, t Tolerance) (*comparison, error) {
	c := &comparison{shown: shown, Verification: Verification{Tolerance: t}}
	if _, err := r.run(r.final, false, c.compare); err != nil {
		return nil, fmt.Errorf("IR after the passes: %w", err)
	}
	return c, nil
}

// run computes the function with the numbers that the plan stores.
func (r *reference) run(m *ir.Module, exact bool, revise func(*ir.Value, interp.Tensor) interp.Tensor) ([]interp.Tensor, error) {
	m = m.Clone()
	for _, f := range m.Funcs {
		f.Number() // as programs call values without a name
	}
	for _, w := range m.Weights {
		w.Type.DType, w.Type.Quant = dtype.F32, "" // stored numbers are not to be rounded again
	}
	batch := &interp.Batch{}
	batch.Add(0, 0, len(r.tokens), r.tokens...)
	batch.SampleAll()
	r.fill(batch)
	machine := interp.New(m, r.weights)
	machine.KeepBytes = 0 // each weight is read once
	machine.Exact, machine.Revise = exact, revise
	if r.encodes() {
		nameApart(m.Func(models.EncodeFunc), exact)
		if _, err := machine.Run(models.EncodeFunc, batch); err != nil {
			return nil, err
		}
	}
	results, err := machine.Run(r.function, batch)
	return slices.DeleteFunc(results, func(t interp.Tensor) bool { return len(t.Data) == 0 }), err
}

// encodes tells whether what is verified attends to a text, which another function encodes.
func (r *reference) encodes() bool {
	return r.function == engine.StepFunc && r.imported != nil && r.imported.Func(models.EncodeFunc) != nil
}

// nameApart puts "encode:" before the names of the function's values, as devices show them. Numbers of values without names are those of one module alone.
func nameApart(f *ir.Func, namedAlone bool) {
	for _, op := range f.Ops {
		for _, v := range op.Results {
			switch {
			case v.Name != "":
				v.Name = models.EncodeFunc + ":" + v.Name
			case !namedAlone:
				v.Name = models.EncodeFunc + ":" + strconv.Itoa(v.ID)
			}
		}
	}
}
