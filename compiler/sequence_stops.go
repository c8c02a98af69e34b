package compiler

import (
	"cmp"
	"slices"

	"llmc/engine"
	"llmc/ir"
)

// findStops finds where steps stop, in order.
func (s *sequence) findStops(plan *engine.Plan) (bool, error) {
	program, err := plan.Program(engine.StepFunc, calibrationTarget)
	if err != nil {
		return false, err
	}
	if len(s.sorted) > 0 {
		return false, nil
	}
	for i := range program.Launches {
		for _, o := range program.Launches[i].Operands {
			if o.Kind != engine.OperandWeight {
				continue
			}
			entry, _, err := plan.Weight(program.Weights[o.Index])
			if err != nil {
				return false, err
			}
			input, mixed, err := s.inputOfEntry(entry)
			if err != nil || mixed {
				return false, err
			}
			if input == "" || !reads(program, i, input) { // a table that is a product's matrix too is looked up first
				continue
			}
			at := slices.IndexFunc(s.stops, func(t stop) bool { return t.input == input })
			if at < 0 {
				at = len(s.stops)
				s.stops = append(s.stops, stop{launch: i, input: input})
			}
			if w := &s.stops[at].weights; !slices.Contains(*w, entry) {
				*w = append(*w, entry)
			}
		}
	}
	slices.SortStableFunc(s.stops, func(a, b stop) int { return cmp.Compare(a.launch, b.launch) })
	return len(s.stops) > 0 && !s.cachesCross(program), nil
}

// reads tells whether a launch has a value of that name among its operands.
func reads(program *engine.Program, launch int, name string) bool {
	return slices.ContainsFunc(program.Launches[launch].Operands, func(o engine.Operand) bool {
		return o.Kind == engine.OperandBuffer && program.Buffers[o.Index].Name == name
	})
}

// inputOfEntry names the input that a weight of the f32 plan is multiplied with, "" where it is none of the calibration's.
func (s *sequence) inputOfEntry(entry *engine.WeightEntry) (input string, mixed bool, err error) {
	if entry.Layout == "" || len(entry.Shape) != 2 {
		return "", false, nil
	}
	recipe, err := ir.ParseRecipe(entry.Recipe, entry.K())
	if err != nil {
		return "", false, err
	}
	if _, out := recipe.Unmixed(); out != "" {
		return "", true, nil
	}
	for run := range recipe.Runs(entry.K(), 0, entry.N()) {
		if of := s.inputs[sourceKey(run.Source, entry.K())]; of != "" {
			input = of
		}
	}
	return input, false, nil
}

// cachesCross tells whether launches of two parts share what they cache, which steps of other windows would write in between.
func (s *sequence) cachesCross(program *engine.Program) bool {
	parts := map[[2]int64]int{} // by cache and layer
	for i := range program.Launches {
		l := &program.Launches[i]
		part, _ := slices.BinarySearchFunc(s.stops, i, func(t stop, i int) int { return cmp.Compare(t.launch, i+1) })
		for _, o := range l.Operands {
			if o.Kind != engine.OperandCache {
				continue
			}
			key := [2]int64{int64(o.Index), l.Int("layer", 0)}
			if before, known := parts[key]; known && before != part {
				return true
			}
			parts[key] = part
		}
	}
	return false
}
