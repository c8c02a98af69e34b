package compiler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"llmc/compiler/calib"
	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/engine"
	"llmc/internal/dense"
	"llmc/ir"
	"llmc/ir/grad"
)

// tuning moves the scales of all codes that have been chosen, so that what the model says of the next token diverges less from what the unquantized one says: the second phase of EfficientQAT (Chen et al. 2024,
// arXiv:2407.11062), with the divergence of the two in place of a loss of labels. Codes stay. What rounding makes of each product has been made up for by then as far as the product knows; what is left is what the whole
// model makes of all of them together.
type tuning struct {
	*sequence
	f       *ir.Func
	weights *tunedWeights
	tape    *grad.Tape
	values  *calib.Room // of the tape
	taught  *calib.Room // logits of the unquantized model, [T, vocabulary]
}

// tuneBatch is how many windows a step of tuning adds up.
const tuneBatch = 2

// tune does so, unless a build that was broken off has.
func (s *sequence) tune(ctx context.Context) error {
	if s.journal != nil && s.journal.Tuned {
		return nil
	}
	t, err := s.newTuning()
	if t != nil {
		defer t.close()
	}
	if err != nil {
		return err
	}
	task := s.build.Progress.Start("tuning", int64(len(s.tuning)))
	defer task.Done()
	steps := len(s.tuning) / tuneBatch
	for i := range steps {
		for _, window := range s.tuning[i*tuneBatch : (i+1)*tuneBatch] {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := t.window(window); err != nil {
				return fmt.Errorf("--calib: tuning: %w", err)
			}
			task.Add(1)
		}
		for _, of := range t.weights.scales {
			of.move(i, steps)
		}
	}
	if err := t.weights.keep(); err != nil || s.journal == nil {
		return err
	}
	s.journal.Tuned, s.journal.End, s.journal.Codes = true, s.codes.end, s.codes.sources
	return s.write()
}

func (s *sequence) newTuning() (t *tuning, err error) {
	t = &tuning{sequence: s, f: s.build.model.Module.Func(engine.StepFunc)}
	t.f.Number()
	if t.weights, err = s.newTunedWeights(t.f); err != nil {
		return t, err
	}
	size, err := grad.Size(t.f, calib.Window)
	if err != nil {
		return t, err
	}
	if t.values, err = calib.NewRoom(s.dir, size); err != nil {
		return t, err
	}
	if t.taught, err = calib.NewRoom(s.dir, int64(calib.Window*s.build.model.Info.Vocab)); err != nil {
		return t, err
	}
	if t.tape, err = grad.New(t.f, calib.Window, s.build.Threads, t.values.Numbers()); err != nil {
		return t, err
	}
	t.tape.Product = t.see
	return t, nil
}

func (t *tuning) close() {
	for _, room := range []*calib.Room{t.values, t.taught} {
		if room != nil {
			_ = room.Close()
		}
	}
	if t.weights != nil && t.weights.room != nil {
		_ = t.weights.room.Close()
	}
}

// window runs a window in both models, and goes back through the one that is tuned.
func (t *tuning) window(ids []int32) error {
	logits, err := t.tape.Forward(checkpointRows{t.build.checkpoint}, ids)
	if err != nil {
		return err
	}
	taught := t.taught.Numbers()
	if len(logits.Data) > len(taught) {
		return errors.New("the model has more logits than its vocabulary")
	}
	copy(taught, logits.Data)
	if logits, err = t.tape.Forward(t.weights, ids); err != nil {
		return err
	}
	each(len(ids), t.build.Threads, func(m int) {
		divergenceSlopes(logits.Row(m, logits.Stride), taught[m*logits.Stride:], 1/float64(len(ids)))
	})
	return t.tape.Backward()
}

// each calls do with every i below n from some goroutines.
func each(n, threads int, do func(i int)) {
	var all sync.WaitGroup
	for part := range threads {
		all.Go(func() {
			for i := part; i < n; i += threads {
				do(i)
			}
		})
	}
	all.Wait()
}

// divergenceSlopes replaces logits by the slopes, times by, of the divergence of what they say from what others do: the difference of the probabilities.
func divergenceSlopes(logits, others []float32, by float64) {
	share := func(logits []float32) func(x float32) float64 {
		top, sum := math.Inf(-1), 0.0
		for _, x := range logits {
			top = max(top, float64(x))
		}
		for _, x := range logits {
			sum += math.Exp(float64(x) - top)
		}
		return func(x float32) float64 { return math.Exp(float64(x)-top) / sum }
	}
	own, other := share(logits), share(others[:len(logits)])
	for i, x := range logits {
		logits[i] = float32(by * (own(x) - other(others[i])))
	}
}

// seenRows is how many rows of a product one goroutine takes at a time.
const seenRows = 32

// see adds up slopes of the scales of a product's rows.
func (t *tuning) see(p grad.Product) error {
	w := p.Op.Arg("w").Weight
	if rows, _, _ := w.Type.Matrix(); rows > mostTuned {
		return nil
	}
	cols, at := p.X.Stride, 0
	for run := range w.Recipe.Runs(int64(cols), int64(p.First), int64(p.First+p.Rows)) {
		n, first := int(run.Rows), at
		if of := t.weights.scales[sourceKey(run.Source, int64(cols))]; of != nil && run.Source.Kind != ir.FromZeros {
			each((n+seenRows-1)/seenRows, t.build.Threads, func(i int) {
				lo, hi := i*seenRows, min(n, (i+1)*seenRows)
				sum := dense.Matrix{Data: make([]float32, (hi-lo)*cols), Stride: cols}
				p.AddSlopes(sum, first+lo, hi-lo)
				for r := lo; r < hi; r++ {
					of.add(run.First+int64(r), p.W.Row(first+r, cols), sum.Row(r-lo, cols))
				}
			})
		}
		at += n
	}
	return nil
}

// checkpointRows reads weights by their recipes.
type checkpointRows struct{ checkpoint *hf.Checkpoint }

// Rows implements grad.Weights. Recipes of vectors count their elements as rows.
func (c checkpointRows) Rows(w *ir.Weight, lo, hi int64, to []float32) error {
	if w.Type.Rank() == 1 {
		lo, hi = lo*int64(len(to)), hi*int64(len(to))
	}
	return models.ReadRows(c.checkpoint, w.Recipe, to, w.Type.Rank(), lo, hi)
}
