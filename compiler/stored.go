package compiler

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/quant"
	"llmc/internal/rotation"
	"llmc/ir"
)

// storedWeights are the checkpoint's tensors as a plan stores them: rounded, quantized, packed, and read back through the recipes. It
// implements interp.Weights, so that the interpreter computes with the very numbers that the plan's kernels read.
type storedWeights struct {
	checkpoint *hf.Checkpoint
	weights    []*storedWeight
	places     map[string][]place // by tensor, or by the recipe of a turned matrix
}

// storedWeight is one weight of a plan, a matrix of rows; those of a vector have one element.
type storedWeight struct {
	*engine.WeightEntry
	recipe     *ir.Recipe
	rows, cols int64
	data       []byte
	packed     layout.Packed // nil for row-major weights
	format     *quant.Format // nil for row-major weights
	kept       bool          // codes are the checkpoint's own
	chosen     bool          // codes may have been chosen by a calibration, which are not the nearest ones
}

// place is where rows of a tensor lie in a plan.
type place struct {
	weight *storedWeight
	row    int64 // of the weight
	run    ir.Run
}

// newStoredWeights finds all weights of the plan; the tensors are put together from those that programs read.
func newStoredWeights(checkpoint *hf.Checkpoint, plan *engine.Plan, programs []*engine.Program) (*storedWeights, error) {
	s := &storedWeights{checkpoint: checkpoint, places: map[string][]place{}}
	var used []string
	for _, p := range programs {
		used = append(used, p.Weights...)
	}
	for i := range plan.Weights() {
		w, err := newStoredWeight(plan, &plan.Weights()[i])
		if err != nil {
			return nil, fmt.Errorf("weight %q: %w", plan.Weights()[i].Name, err)
		}
		s.weights = append(s.weights, w)
		if !slices.Contains(used, w.Name) {
			continue
		}
		row := int64(0)
		for run := range w.recipe.Runs(w.cols, 0, w.rows) {
			if key := sourceKey(run.Source, w.cols); key != "" {
				s.places[key] = append(s.places[key], place{w, row, run})
			}
			row += run.Rows
		}
	}
	return s, nil
}

// sourceKey names what rows come from, "" where they are not its own: constants, and numbers that a transform changed.
func sourceKey(r *ir.Recipe, cols int64) string {
	switch {
	case r.Kind == ir.Rotated:
		return r.Whole(cols).String()
	case r.Kind == ir.FromTensor && r.Transform == "":
		return r.Tensor
	}
	return ""
}

func newStoredWeight(plan *engine.Plan, entry *engine.WeightEntry) (*storedWeight, error) {
	w := &storedWeight{WeightEntry: entry, rows: entry.Shape[0], cols: 1}
	for _, d := range entry.Shape[1:] {
		w.cols *= d
	}
	if len(entry.Shape) == 3 {
		w.rows, w.cols = entry.Experts()*entry.N(), entry.K()
	}
	var err error
	if w.recipe, err = ir.ParseRecipe(entry.Recipe, w.cols); err != nil {
		return nil, err
	}
	if have := w.recipe.Rows(w.cols); have != w.rows {
		return nil, fmt.Errorf("its recipe gives %d rows, it has %d", have, w.rows)
	}
	if entry.Format != "" {
		if w.format, err = quant.Find(entry.Format); err != nil {
			return nil, err
		}
		w.chosen = w.format.Choosable() && isCalibrated(plan)
	}
	if _, w.data, err = plan.Weight(entry.Name); err != nil || entry.Layout == "" {
		return w, err
	}
	w.packed, err = entry.Packed()
	return w, err
}

// markKept finds the weights whose codes the passes left as the checkpoint has them.
func (s *storedWeights) markKept(final *ir.Module) {
	for _, w := range final.Weights {
		for _, have := range s.weights {
			if have.Name == w.Name && w.Stored != "" && w.Type.Quant != "" {
				have.kept = true
			}
		}
	}
}

// decode reads rows from first on into dst, [any, cols].
func (w *storedWeight) decode(dst []float32, first int64) {
	if w.packed == nil {
		data := w.data[4*first*w.cols:]
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		return
	}
	for r := int64(0); r*w.cols < int64(len(dst)); r++ {
		w.packed.Row(dst[r*w.cols:(r+1)*w.cols], w.data, int(first+r))
	}
}

// Tensor implements interp.Weights. What a plan does not store as it is comes from the checkpoint.
func (s *storedWeights) Tensor(name string) ([]float32, error) {
	data, err := tensors{s.checkpoint}.Tensor(name)
	if err != nil {
		return nil, err
	}
	for _, p := range s.places[name] {
		cols := p.weight.cols
		have := int64(len(data)) / cols
		if total := p.run.Source.Total; total != 0 {
			have = int64(len(data)) / total
		}
		if p.run.First+p.run.Rows > have {
			return nil, fmt.Errorf("weight %q is made of rows up to %d of tensor %q, which has %d", p.weight.Name, p.run.First+p.run.Rows, name, have)
		}
		if !p.run.Source.Transpose {
			p.weight.decode(data[p.run.First*cols:(p.run.First+p.run.Rows)*cols], p.row)
			continue
		}
		rows := make([]float32, p.run.Rows*cols)
		p.weight.decode(rows, p.row)
		for i, v := range rows {
			r, c := int64(i)/cols, p.run.Source.Left+int64(i)%cols
			data[c*have+p.run.First+r] = v
		}
	}
	return data, nil
}

// Rotated implements interp.RotatedWeights.
func (s *storedWeights) Rotated(whole *ir.Recipe, cols int64) ([]float32, bool, error) {
	places := s.places[whole.String()]
	if len(places) == 0 {
		return nil, false, nil
	}
	data := make([]float32, whole.Count*cols)
	for _, p := range places {
		if p.weight.cols != cols || p.run.First+p.run.Rows > whole.Count {
			return nil, false, fmt.Errorf("weight %q takes rows %d:%d of a matrix that has %d", p.weight.Name, p.run.First, p.run.First+p.run.Rows, whole.Count)
		}
		p.weight.decode(data[p.run.First*cols:(p.run.First+p.run.Rows)*cols], p.row)
	}
	return data, true, nil
}

// firstBad returns the first weight whose numbers are further from the checkpoint's than its format explains, nil if there is none.
func (s *storedWeights) firstBad() (*storedWeight, error) {
	for _, w := range s.weights {
		limits, err := s.limits(w)
		if err != nil {
			return nil, err
		}
		step, err := w.rowsAtOnce()
		if err != nil {
			return nil, err
		}
		got, want := make([]float32, step*w.cols), make([]float32, step*w.cols)
		for first := int64(0); first < w.rows; first += step {
			n := min(step, w.rows-first) * w.cols
			if err := models.ReadRows(s.checkpoint, w.recipe, want[:n], len(w.Shape), first, min(w.rows, first+step)); err != nil {
				return nil, fmt.Errorf("weight %q: %w", w.Name, err)
			}
			w.decode(got[:n], first)
			for at := int64(0); at < n; at += w.cols {
				if !w.near(got[at:at+w.cols], want[at:at+w.cols], int(first+at/w.cols), limits) {
					return w, nil
				}
			}
		}
	}
	return nil, nil
}

// rowsAtOnce is how many rows to compare at a time: more where rows are turned together.
func (w *storedWeight) rowsAtOnce() (int64, error) {
	least := int64(layout.Lanes)
	if _, out := w.recipe.Unmixed(); out != "" {
		matrix, err := rotation.Find(out)
		if err != nil {
			return 0, fmt.Errorf("weight %q: %w", w.Name, err)
		}
		least = max(least, int64(matrix.Block))
	}
	return min(w.rows, least), nil
}

// roundingBounds are the largest errors of a number in plain formats, as parts of the number or half the least number.
var roundingBounds = map[string]struct{ part, least float64 }{"f32": {0, 0x1p-133}, "bf16": {0x1p-8, 0x1p-133}, "f16": {0x1p-11, 0x1p-25}}

// limits finds the largest magnitudes of what shares a scale; nil where every row has scales of its own.
func (s *storedWeights) limits(w *storedWeight) (*quant.Limits, error) {
	if w.format == nil || w.format.Rows == 0 || w.kept {
		return nil, nil
	}
	limits := w.format.NewLimits(int(w.rows), int(w.cols))
	step := min(w.rows, layout.Lanes)
	rows := make([]float32, step*w.cols)
	for first := int64(0); first < w.rows; first += step {
		n := min(step, w.rows-first) * w.cols
		err := models.ReadRows(s.checkpoint, w.recipe, rows[:n], len(w.Shape), first, min(w.rows, first+step))
		if err == nil {
			err = limits.Add(rows[:n], int(first))
		}
		if err != nil {
			return nil, fmt.Errorf("weight %q: %w", w.Name, err)
		}
	}
	return limits, nil
}

// near judges one row: numbers one by one, codes by what their format promises for a group, those of the checkpoint as equal.
func (w *storedWeight) near(got, want []float32, row int, limits *quant.Limits) bool {
	if w.kept {
		return slices.Equal(got, want)
	}
	if w.format == nil || w.format.Plain() {
		bound := roundingBounds["f32"]
		if w.format != nil {
			bound = roundingBounds[w.format.Name]
		}
		for i, x := range want {
			if !(math.Abs(float64(got[i])-float64(x)) <= bound.part*math.Abs(float64(x))+bound.least) {
				return false
			}
		}
		return true
	}
	if w.chosen {
		return newPanelLoss(want, got).within(chosenMost[w.format.DType.Bits()])
	}
	size := w.format.BoundColumns(len(want))
	for at := 0; at < len(want); at += size {
		g, x := got[at:min(len(got), at+size)], want[at:min(len(want), at+size)]
		amax, sum := float32(0), 0.0
		for i := range x {
			amax = max(amax, float32(math.Abs(float64(x[i]))))
			d := float64(g[i]) - float64(x[i])
			sum += d * d
		}
		if limits != nil {
			amax = limits.Of(row, at/size)
		}
		if rms, _ := w.format.ErrorBound(amax, len(x)); !(math.Sqrt(sum/float64(len(x))) <= 1.01*float64(rms)) {
			return false
		}
	}
	return true
}

// chosenMost is how far codes of so many bits that a calibration chose may be from a row, as a part of it: twice and more what rounding is, since they make up for one another. Another row's are
// 1.4 away.
var chosenMost = map[int]float64{4: 0.6, 8: 0.15}

// within tells whether the error is at most such a part.
func (l panelLoss) within(part float64) bool { return l.err <= part*part*l.ref }
