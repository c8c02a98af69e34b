package compiler

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"llmc/compiler/calib"
	"llmc/engine"
)

// chosenCodes is how the codes of one weight are chosen by a calibration.
type chosenCodes struct {
	begin  sync.Once
	panels []*chosenMatrix // of each panel; nil: its codes are the nearest ones
	loss   []calib.Loss    // of each panel
}

// chosenMatrix is a weight, or a matrix of a stack, whose products have one input. The rounder is there while its panels are packed: it takes as much memory as the input's moments.
type chosenMatrix struct {
	input   *calib.Input
	factors []float32
	once    sync.Once
	rounder atomic.Pointer[calib.Rounder]
	err     error
	left    atomic.Int64 // panels
}

// output is what the weight's products lose, relative to what they are; 0 where the calibration says nothing of it.
func (c *chosenCodes) output() float64 {
	var sum panelLoss
	for _, l := range c.loss {
		sum.err, sum.ref = sum.err+l.Err, sum.ref+l.Ref
	}
	return relative(sum)
}

// choosable tells whether a calibration chooses codes of the weight one by one, where it knows the inputs of its products.
func (j *packJob) choosable() bool {
	return j.format != nil && j.format.Choosable() && j.weight.Stored == ""
}

// prepare finds the inputs that the panels of a weight meet: formats whose codes are not chosen one by one have none, nor have panels of whose inputs the text says nothing.
func (c *calibrated) prepare(j *packJob) {
	if c == nil || !j.choosable() {
		return
	}
	of := &j.chosen
	of.panels, of.loss = make([]*chosenMatrix, j.panels), make([]calib.Loss, j.panels)
	last := &chosenMatrix{}
	for panel := range j.panels {
		from, to := j.rowRange(panel)
		rows := j.sourceRows(from, to)
		if c.kept != nil {
			if c.codes.stateOf(rows) == rowChosen {
				last.left.Add(1)
				of.panels[panel] = last
			}
			continue
		}
		input, factors := c.inputOfRows(j.weight, j.cols, from, to)
		if input == nil {
			c.codes.nearest(rows)
			continue
		}
		if input != last.input {
			last = &chosenMatrix{input: input, factors: factors}
		}
		last.left.Add(1)
		of.panels[panel] = last
	}
}

// choose makes the codes of a panel, whose rows have been read, as the calibration has it; chosen is false where it has nothing to say.
func (w *packWorker) choose(j *packJob, panel int64) (chosen bool, err error) {
	j.chosen.begin.Do(func() { w.calibrated.prepare(j) })
	if j.chosen.panels == nil || j.chosen.panels[panel] == nil {
		return false, nil
	}
	m := j.chosen.panels[panel]
	first, last := j.rowRange(panel)
	rows := j.sourceRows(first, last)
	loss, kept, err := w.calibrated.codes.load(rows, &w.block)
	if err == nil && !kept {
		loss, err = w.round(m, rows)
	}
	j.chosen.loss[panel] = loss
	if m.left.Add(-1) == 0 {
		m.rounder.Store(nil)
	}
	return true, err
}

// round chooses the codes of rows, which have been read, and keeps them.
func (w *packWorker) round(m *chosenMatrix, rows sourceRows) (loss calib.Loss, err error) {
	if m.input == nil {
		return loss, fmt.Errorf("rows %d to %d: %w", rows.first, rows.last, errNotKept) // covers has looked
	}
	m.once.Do(func() {
		var r *calib.Rounder
		r, m.err = calib.NewRounder(rows.format, w.calibrated.method, m.input.Moments, m.input.Cols, m.factors)
		m.rounder.Store(r)
	})
	if m.err != nil {
		return loss, m.err
	}
	if loss, err = m.rounder.Load().Round(&w.block, w.rows, &w.scratch); err != nil {
		return loss, err
	}
	return loss, w.calibrated.codes.keep(rows, &w.block, w.scratch.Losses())
}

// isCalibrated tells whether codes of a plan may have been chosen by a calibration.
func isCalibrated(plan *engine.Plan) bool {
	p, err := plan.Provenance()
	return err == nil && slices.ContainsFunc(p.Options, func(o engine.Option) bool { return o.Name == methodOption })
}
