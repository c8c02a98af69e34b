package compiler

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"llmc/compiler/calib"
	"llmc/internal/quant"
	"llmc/ir"
)

// tunedWeights are the model's weights as the plan is going to have them. They implement grad.Weights.
type tunedWeights struct {
	*sequence
	scales map[string]*tunedScales // by source
	room   *calib.Room             // of all their numbers
	block  quant.Block
}

// mostTuned is how many rows a matrix has at most whose scales are tuned: that of logits, whose product takes longest, has more.
const mostTuned = 1 << 15

// newTunedWeights finds the scales that there are to tune.
func (s *sequence) newTunedWeights(f *ir.Func) (*tunedWeights, error) {
	t := &tunedWeights{sequence: s, scales: map[string]*tunedScales{}}
	rows, total := map[string]int64{}, int64(0)
	for of, run := range productRuns(f) {
		key := sourceKey(run.Source, of.cols)
		if of.format = s.formats[key]; !tunable(of.format) || s.codes.stateOf(of) != rowChosen {
			continue
		}
		if t.scales[key] == nil {
			cols := int(of.cols)
			t.scales[key] = &tunedScales{format: of.format, cols: cols, each: of.format.Scales(cols), columns: of.format.BoundColumns(cols)}
		}
		rows[key] = max(rows[key], run.First+run.Rows)
	}
	for key, of := range t.scales {
		total += 4 * rows[key] * int64(of.each)
	}
	if total == 0 {
		return nil, fmt.Errorf("--method %s: there is no product whose scales could be tuned; take --method gptq", s.method.Name)
	}
	var err error
	if t.room, err = calib.NewRoom(s.dir, total); err != nil {
		return nil, err
	}
	free := t.room.Numbers()
	for key, of := range t.scales {
		for _, part := range []*[]float32{&of.now, &of.slopes, &of.mean, &of.squares} {
			n := rows[key] * int64(of.each)
			*part, free = free[:n:n], free[n:]
		}
	}
	return t, t.begin(f)
}

// productRuns are the rows, in no format yet, of the matrices of products whose scales may be tuned, and where they come from.
func productRuns(f *ir.Func) iter.Seq2[sourceRows, ir.Run] {
	return func(yield func(sourceRows, ir.Run) bool) {
		for _, op := range f.Ops {
			if op.Kind.Name != "linear" {
				continue
			}
			w, at := op.Arg("w").Weight, int64(0)
			rows, cols, _ := w.Type.Matrix()
			if rows > mostTuned {
				continue
			}
			for run := range w.Recipe.Runs(cols, 0, rows) {
				of := sourceRows{recipe: w.Recipe, cols: cols, first: at, last: at + run.Rows}
				if at = of.last; sourceKey(run.Source, cols) != "" && !yield(of, run) {
					return
				}
			}
		}
	}
}

// tunable tells whether a format has scales by which numbers grow, and no rows that share any.
func tunable(f *quant.Format) bool {
	return f != nil && f.Choosable() && f.Rows == 0 && (f.ScaleBits == 16 || f.ScaleBits == 32)
}

// begin takes the scales that have been chosen.
func (t *tunedWeights) begin(f *ir.Func) error {
	for rows, run := range productRuns(f) {
		of := t.scales[sourceKey(run.Source, rows.cols)]
		if of == nil {
			continue
		}
		rows.format = of.format
		_, there, err := t.codes.load(rows, &t.block)
		if err == nil && !there {
			err = errNotKept
		}
		if err != nil {
			return fmt.Errorf("%s: %w", run.Source, err)
		}
		copy(of.now[run.First*int64(of.each):], t.block.Scales)
	}
	return nil
}

// Rows implements grad.Weights.
func (t *tunedWeights) Rows(w *ir.Weight, lo, hi int64, to []float32) error {
	_, cols, matrix := w.Type.Matrix()
	var format *quant.Format
	if matrix {
		format = t.formatOfRows(w.Recipe, cols, lo, hi)
	}
	if format == nil || !format.Choosable() || format.Rows > 0 {
		return checkpointRows{t.build.checkpoint}.Rows(w, lo, hi, to)
	}
	_, chosen, err := t.codes.load(sourceRows{format, w.Recipe, cols, lo, hi}, &t.block)
	switch {
	case err != nil:
		return err
	case chosen:
		t.putScales(w.Recipe, cols, lo, hi)
	default: // of the nearest codes
		if err := (checkpointRows{t.build.checkpoint}).Rows(w, lo, hi, to); err != nil {
			return err
		}
		if err := format.Quantize(&t.block, to, int(cols)); err != nil {
			return err
		}
	}
	format.Dequantize(to, &t.block)
	return nil
}

// putScales puts the scales of rows into the block that has their codes.
func (t *tunedWeights) putScales(recipe *ir.Recipe, cols, lo, hi int64) {
	at := int64(0)
	for run := range recipe.Runs(cols, lo, hi) {
		if of := t.scales[sourceKey(run.Source, cols)]; of != nil && run.Source.Kind != ir.FromZeros {
			each := int64(of.each)
			for i, x := range of.now[run.First*each : (run.First+run.Rows)*each] {
				t.block.Scales[at*each+int64(i)] = of.format.NearestScale(x)
			}
		}
		at += run.Rows
	}
}

// keep writes the codes down with their scales.
func (t *tunedWeights) keep() error {
	for _, key := range slices.Sorted(maps.Keys(t.scales)) {
		of := t.scales[key]
		name := of.format.Name + " " + key
		for row := range int64(len(of.now) / of.each) {
			scale := func(i int) float32 { return of.format.NearestScale(of.row(of.now, row)[i]) }
			err := t.codes.rescale(of.format, name, row, of.cols, scale, t.journal != nil)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
