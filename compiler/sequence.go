package compiler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"llmc/compiler/calib"
	"llmc/engine"
	"llmc/internal/quant"
	"llmc/ir"
)

// sequence chooses codes product by product while the text runs, as GPTQ's authors do: a second copy of the model in f32 has what codes stand for in place of its weights, in all products whose
// codes have been chosen. Both are run from one product's input to the next, window after window, so an input has seen what all before it lose, and how far it has drifted from the unquantized
// model's is known too.
type sequence struct {
	*calibrated
	build   *build
	altered engine.PartTracer
	plan    *engine.Plan // its file
	stops   []stop
	columns map[string]int           // of inputs, by name
	formats map[string]*quant.Format // that rows are going to have, by source
	drifts  map[string]*calib.Drift  // of inputs whose products have not been rounded yet
	steps   []*engine.Step           // one for each window
	kept    [2][]byte                // what is read and written of a step that stops
}

// stop is where steps stop: before the first product that reads an input. Then all of its products get their codes.
type stop struct {
	launch  int
	input   string
	weights []*engine.WeightEntry
}

// newSequence prepares one; nil where the model can not be run in parts: experts, caches that are written on the other side of a stop, rows that are mixed.
func (c *calibrated) newSequence(b *build, columns map[string]int) (*sequence, error) {
	original, err := engine.Open(filepath.Join(c.dir, originalPlan))
	if err != nil {
		return nil, err
	}
	defer original.Close()
	s := &sequence{calibrated: c, build: b, columns: columns, drifts: map[string]*calib.Drift{}}
	if s.formats, err = b.formatsBySource(); err != nil {
		return nil, err
	}
	if ok, err := s.findStops(original); !ok || err != nil {
		return nil, err
	}
	path := filepath.Join(c.dir, "altered.plan")
	if c.journal == nil || c.journal.Done == 0 {
		if err := copyFile(path, original.Path()); err != nil {
			return nil, err
		}
	}
	if s.plan, err = engine.Open(path); err != nil {
		return nil, err
	}
	if s.altered, err = b.Calibration.Open(path, b.calibrationSettings()); err != nil {
		_ = s.plan.Close()
		return nil, err
	}
	return s, nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func (s *sequence) close() {
	for _, d := range s.drifts {
		_ = d.Close()
	}
	_ = s.altered.Close()
	_ = s.plan.Close()
}

// formatsBySource tells which formats rows are going to have in the plan that is measured.
func (b *build) formatsBySource() (map[string]*quant.Format, error) {
	jobs, err := b.measuredJobs()
	if err != nil {
		return nil, err
	}
	formats := map[string]*quant.Format{}
	for _, j := range jobs {
		for run := range j.weight.Recipe.Runs(j.cols, 0, j.rows) {
			if key := sourceKey(run.Source, j.cols); key != "" {
				formats[key] = j.format
			}
		}
	}
	return formats, nil
}

// measuredJobs lists the weights that get codes in the plan that is measured.
func (b *build) measuredJobs() ([]*packJob, error) {
	o := b.alike("", b.measuredFormat())
	p, _, err := policy(o.Quant)
	if err != nil {
		return nil, err
	}
	p.Overrides, p.Requantize = o.Override, o.Requantize
	target, err := engine.FindTarget(calibrationTarget)
	if err != nil {
		return nil, err
	}
	table := newWeightTable()
	if _, err := o.lower(b.model.Module, target, p, table, 0); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(table.jobs, func(j *packJob) bool { return j.format == nil || j.weight.Stored != "" }), nil
}

// run runs all windows from stop to stop and chooses the codes of the products there.
func (s *sequence) run(ctx context.Context, windows [][]int32) error {
	task := s.build.Progress.Start("calibration", int64(len(windows)*len(s.stops)))
	defer task.Done()
	limits, _ := s.original.Limits()
	for _, window := range windows {
		s.steps = append(s.steps, calibrationStep(&engine.Step{}, window, limits.PageSize))
		s.tokens += len(window)
	}
	done, err := s.resume()
	if err != nil {
		return err
	}
	task.Add(int64(done * len(windows)))
	for i := done; i < len(s.stops); i++ {
		for w := range s.steps {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.advance(w, i); err != nil {
				return fmt.Errorf("--calib: window %d: %w", w+1, err)
			}
			task.Add(1)
		}
		if err := s.round(ctx, &s.stops[i]); err != nil {
			return err
		}
		if err := s.note(i + 1); err != nil {
			return err
		}
	}
	return nil
}

// advance brings a window's step to a stop in both models, from the one before it.
func (s *sequence) advance(window, to int) error {
	seen := map[string][][]float32{}
	err := s.part(s.original, "original", window, to, func(name string, rows [][]float32) {
		if s.columns[name] == 0 {
			return
		}
		for _, row := range rows {
			seen[name] = append(seen[name], slices.Clone(row))
		}
	})
	if err != nil {
		return err
	}
	var failure error
	err = s.part(s.altered, "altered", window, to, func(name string, rows [][]float32) {
		if seen[name] == nil || failure != nil {
			return
		}
		s.moments.Add(name, rows)
		if s.drifts[name] == nil {
			if s.drifts[name], failure = calib.NewDrift(s.dir, s.columns[name], s.build.Threads); failure != nil {
				delete(s.drifts, name)
				return
			}
		}
		s.drifts[name].Add(rows, seen[name])
	})
	return errors.Join(err, failure)
}

// part runs launches of one model. Its state at a stop lies in a file, which is there until the stop after the next one is reached, so that both can be begun anew.
func (s *sequence) part(model engine.PartTracer, name string, window, to int, visit func(name string, rows [][]float32)) (err error) {
	path := func(stop int) string { return filepath.Join(s.dir, fmt.Sprintf("%s.%d.%d", name, stop%2, window)) }
	before, from := s.kept[0][:0], 0
	if to > 0 {
		from = s.stops[to-1].launch
		if before, err = readInto(before, path(to-1)); err != nil {
			return err
		}
	}
	s.kept[0] = before
	if s.kept[1], err = model.TracePart(s.steps[window], from, s.stops[to].launch, before, s.kept[1], visit, nil); err != nil {
		return err
	}
	return os.WriteFile(path(to), s.kept[1], 0o600)
}

// readInto reads a file, in the memory of data where that is enough.
func readInto(data []byte, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data = grow(data, int(info.Size()))
	_, err = io.ReadFull(f, data)
	return data, err
}

// round chooses the codes of all products of an input, and has the model go on with what they stand for.
func (s *sequence) round(ctx context.Context, at *stop) error {
	input, drift := s.moments.Of(at.input), s.drifts[at.input]
	if drift != nil {
		defer drift.Close()
		delete(s.drifts, at.input)
	}
	if input == nil {
		return fmt.Errorf("no input of the calibration reaches %q", at.weights[0].Name)
	}
	rounders := map[*quant.Format]*calib.Rounder{}
	for _, entry := range at.weights {
		recipe, err := ir.ParseRecipe(entry.Recipe, entry.K())
		if err != nil {
			return err
		}
		format := s.formatOf(recipe, entry)
		if format == nil || !format.Choosable() {
			continue
		}
		if rounders[format] == nil {
			r, err := calib.NewRounder(format, s.method, input.Moments, input.Cols, nil)
			if err != nil {
				return fmt.Errorf("weight %q: %w", entry.Name, err)
			}
			if drift != nil {
				r.Aim(drift)
			}
			rounders[format] = r
		}
		job := &alteredWeight{sequence: s, entry: entry, recipe: recipe, format: format, rounder: rounders[format]}
		if err := job.run(ctx); err != nil {
			return fmt.Errorf("weight %q: %w", entry.Name, err)
		}
	}
	return nil
}

// formatOf returns the format that a weight's rows are going to have, nil where they have none or several.
func (s *sequence) formatOf(recipe *ir.Recipe, entry *engine.WeightEntry) *quant.Format {
	return s.formatOfRows(recipe, entry.K(), 0, entry.N())
}

func (s *sequence) formatOfRows(recipe *ir.Recipe, cols, first, last int64) (format *quant.Format) {
	for run := range recipe.Runs(cols, first, last) {
		if run.Source.Kind == ir.FromZeros {
			continue
		}
		f := s.formats[sourceKey(run.Source, cols)]
		if f == nil || format != nil && f != format {
			return nil
		}
		format = f
	}
	return format
}
