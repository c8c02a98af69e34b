package compiler

import (
	"fmt"
	"slices"
	"strings"

	"llmc/compiler/calib"
	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/internal/quant"
	"llmc/ir"
	"llmc/passes"
)

// smoothRows is how many rows of a weight factors are tried on, spread over all of it.
const smoothRows = 128

// smoother says for pass smooth by what the columns of inputs are divided; nil where the method scales none.
func (b *build) smoother() func(*passes.Smoothing) ([]float32, error) {
	c := b.calibrated
	if c == nil || !c.method.Smooths() {
		return nil
	}
	return func(s *passes.Smoothing) ([]float32, error) {
		var keys []string
		for _, w := range s.Weights {
			keys = append(keys, w.Recipe.String())
		}
		key := strings.Join(keys, "\n")
		factors, known := c.factors[key]
		if known {
			return factors, nil
		}
		if c.kept != nil {
			return nil, errNotKept
		}
		var err error
		if factors, err = b.findFactors(s); err != nil {
			return nil, err
		}
		if c.factors == nil {
			c.factors = map[string][]float32{}
		}
		c.factors[key] = factors
		return factors, nil
	}
}

// findFactors asks the method.
func (b *build) findFactors(s *passes.Smoothing) ([]float32, error) {
	format, err := quant.Find(b.quant)
	if err != nil || format.Plain() || format.Imported() {
		return nil, nil // of formats that take no part
	}
	of := calib.Smoothing{Format: format, Factors: s.Factors, Factor: s.Factor}
	for _, w := range s.Weights {
		input, _ := b.calibrated.inputOf(w, s.Columns)
		if input == nil || w.Stored != "" || of.Input != nil && input != of.Input {
			return nil, nil
		}
		of.Input = input
		read := b.someRows
		if b.calibrated.method.Largest {
			read = b.largestRow
		}
		rows, err := read(w, int(s.Columns))
		if err != nil {
			return nil, fmt.Errorf("weight %q: %w", w.Name, err)
		}
		of.Rows = append(of.Rows, rows...)
	}
	return b.calibrated.method.FactorsOf(&of), nil
}

// someRows reads rows that are spread over all of a weight.
func (b *build) someRows(w *ir.Weight, cols int) ([]float32, error) {
	n, _, _ := w.Type.Matrix()
	take := min(n, smoothRows)
	rows := make([]float32, int(take)*cols)
	for i := range take {
		at := i * n / take
		if err := models.ReadRows(b.checkpoint, w.Recipe, rows[int(i)*cols:(int(i)+1)*cols], w.Type.Rank(), at, at+1); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// largestRow reads all of a weight and returns the largest magnitude of each column.
func (b *build) largestRow(w *ir.Weight, cols int) ([]float32, error) {
	n, _, _ := w.Type.Matrix()
	largest, rows := make([]float32, cols), make([]float32, smoothRows*cols)
	for at := int64(0); at < n; at += smoothRows {
		end := min(n, at+smoothRows)
		some := rows[:int(end-at)*cols]
		if err := models.ReadRows(b.checkpoint, w.Recipe, some, w.Type.Rank(), at, end); err != nil {
			return nil, err
		}
		for i, x := range some {
			largest[i%cols] = max(largest[i%cols], x, -x)
		}
	}
	return largest, nil
}

// narrowInputs tells whether products of the plan's format round their inputs to 8 bits.
func (b *build) narrowInputs() bool {
	f, err := quant.Find(b.quant)
	return err == nil && (f.Activation == "s8t" || f.Activation == "q8g")
}

// inputOf returns what is known of the input of a weight's products, nil where nothing is, and what a smoothing has divided its columns by, nil for nothing.
func (c *calibrated) inputOf(w *ir.Weight, cols int64) (input *calib.Input, factors []float32) {
	rows, _, _ := w.Type.Matrix()
	return c.inputOfRows(w, cols, 0, rows)
}

// inputOfRows does so for rows [from, to) alone, of a stack's matrices those of one.
func (c *calibrated) inputOfRows(w *ir.Weight, cols, from, to int64) (input *calib.Input, factors []float32) {
	for run := range w.Recipe.Runs(cols, from, to) {
		if run.Source.Kind == ir.FromZeros {
			continue
		}
		source, by := unsmoothed(run.Source)
		of := c.moments.Of(c.inputName(sourceKey(source, cols), run))
		if of == nil || of.Cols != int(cols) || input != nil && (of != input || !slices.Equal(by, factors)) {
			return nil, nil
		}
		input, factors = of, by
	}
	return input, factors
}

// inputName names the input of the rows of a run, "" where none is known or an expert was sent too few rows.
func (c *calibrated) inputName(key string, run ir.Run) string {
	i := slices.IndexFunc(c.stacks[key], func(s stackRows) bool { return s.first <= run.First && run.First+run.Rows <= s.last })
	if i < 0 {
		return c.inputs[key]
	}
	if of := c.moments.Of(c.stacks[key][i].input); of == nil || of.Rows < fewTokens {
		return ""
	}
	return c.stacks[key][i].input
}

// unsmoothed takes factors off a recipe that pass smooth has put around it, and returns those of columns.
func unsmoothed(r *ir.Recipe) (source *ir.Recipe, columns []float32) {
	for r.Kind == ir.Rotated && r.In == "" && r.Out == "" {
		if r.ByRow {
			r = r.Parts[0]
			continue
		}
		if r.Scale().Kind != ir.FromValues {
			break
		}
		columns, r = r.Scale().Values, r.Parts[0]
	}
	return r, columns
}

// smooth puts in place of the imported module the one whose columns are scaled as those of the plan's weights are, if any are. These two compute the same with the numbers of the checkpoint,
// or it is an error.
func (r *reference) smooth(checkpoint *hf.Checkpoint) error {
	scaled := map[string][]float32{} // factors of columns, by the recipe that they are put around
	var find func(of *ir.Recipe)
	find = func(of *ir.Recipe) {
		if of.Kind == ir.Rotated && of.In == "" && of.Out == "" && !of.ByRow && of.Scale().Kind == ir.FromValues {
			scaled[of.Parts[0].String()] = of.Scale().Values
		}
		for _, p := range of.Parts {
			find(p)
		}
	}
	for _, w := range r.final.Weights {
		find(w.Recipe)
	}
	if len(scaled) == 0 {
		return nil
	}
	options := passes.Options{Smooth: func(s *passes.Smoothing) ([]float32, error) {
		columns := scaled[s.Weights[0].Recipe.String()]
		if int64(len(columns)) != s.Columns {
			return nil, nil
		}
		factors := make([]float32, s.Factors)
		for i, f := range columns {
			factors[s.Factor(i)] = f
		}
		return factors, nil
	}}
	smoothed := r.imported.Clone()
	if _, err := passes.RunOne("smooth", smoothed, options); err != nil {
		return err
	}
	if err := r.sameLogits(smoothed, tensors{checkpoint}); err != nil {
		return err
	}
	r.imported = smoothed
	return nil
}
