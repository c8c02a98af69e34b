package compiler

import (
	"fmt"
	"slices"
	"strings"

	"llmc/engine"
	"llmc/ir"
	"llmc/passes"
)

// conversions are the ops that quantize puts before products.
var conversions = []string{"cast", "quantize"}

// roundInputs makes an imported module round the inputs of its products as the plan's program does: by pass quantize alone, with the formats
// that the plan's weights have and the target's answers. What a product is multiplied with belongs to the format, as the codes of the
// weights do. Every other pass is left to be judged, and this one as far as its result is the module itself but for the conversions.
func (s *storedWeights) roundInputs(m *ir.Module, program *engine.Program) error {
	row, err := engine.FindTarget(program.Target)
	if err != nil {
		return err
	}
	target, _, err := backends[row.Device](row)
	if err != nil {
		return err
	}
	imported := m.Clone()
	options := passes.Options{Target: target, Policy: s.policy(m), Disabled: []string{"cast-in-producer", "raw-input"}}
	if _, err := passes.RunOne("quantize", m, options); err != nil {
		return err
	}
	for i, f := range m.Funcs {
		if err := sameButConversions(imported.Funcs[i], f); err != nil {
			return fmt.Errorf("function @%s: %w", f.Name, err)
		}
	}
	return nil
}

// policy names for each weight of an imported module the format in which the plan stores it.
func (s *storedWeights) policy(m *ir.Module) passes.Policy {
	var p passes.Policy
	for _, w := range m.Weights {
		cols, _ := w.Type.Cols()
		for run := range w.Recipe.Runs(cols, 0, w.Recipe.Rows(cols)) {
			if places := s.places[run.Source.Tensor]; len(places) > 0 && places[0].weight.format != nil {
				p.Overrides = append(p.Overrides, passes.Override{Pattern: literal.Replace(w.Name), Format: places[0].weight.format.Name})
				break
			}
		}
	}
	return p
}

// literal makes a name the pattern of itself.
var literal = strings.NewReplacer(`\\`, `\\\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// sameButConversions wants the ops of was in order, with nothing between them but conversions of the numbers that they read.
func sameButConversions(was, now *ir.Func) error {
	origin := map[*ir.Value]*ir.Value{} // of values of now, in was
	for i, p := range now.Params {
		origin[p] = was.Params[i]
	}
	same := func(a, b *ir.Value) bool {
		return a == nil && b == nil || a != nil && b != nil && (origin[b] == a || a.Weight != nil && b.Weight != nil && a.Name == b.Name)
	}
	next := 0
	for _, op := range now.Ops {
		if next < len(was.Ops) {
			if old := was.Ops[next]; old.Kind == op.Kind && slices.Equal(old.Attrs, op.Attrs) && slices.EqualFunc(old.Args, op.Args, same) {
				for i, r := range op.Results {
					origin[r] = old.Results[i]
				}
				next++
				continue
			}
		}
		if !slices.Contains(conversions, op.Kind.Name) {
			return fmt.Errorf("%s is not what was imported", op.Kind.Name)
		}
		origin[op.Result()] = origin[op.Arg("x")]
	}
	if next != len(was.Ops) || !slices.EqualFunc(was.Results, now.Results, same) {
		return fmt.Errorf("%d of %d ops are as imported", next, len(was.Ops))
	}
	return nil
}
