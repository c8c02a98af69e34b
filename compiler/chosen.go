package compiler

import (
	"slices"
	"sync"
	"sync/atomic"

	"llmc/compiler/calib"
	"llmc/engine"
)

// chosenCodes is how the codes of one weight are chosen by a calibration. The rounder is there while panels are packed: it takes as much memory as the input's moments.
type chosenCodes struct {
	once    sync.Once
	rounder atomic.Pointer[calib.Rounder]
	chosen  bool
	err     error
	left    atomic.Int64 // panels
	loss    []calib.Loss // of each panel
}

// output is what the weight's products lose, relative to what they are; 0 where the calibration says nothing of it.
func (c *chosenCodes) output() float64 {
	var sum panelLoss
	for _, l := range c.loss {
		sum.err, sum.ref = sum.err+l.Err, sum.ref+l.Ref
	}
	return relative(sum)
}

// choose makes the codes of a panel, whose rows have been read, as the calibration has it; chosen is false where it has nothing to say.
func (w *packWorker) choose(j *packJob, panel int64) (chosen bool, err error) {
	c := &j.chosen
	c.once.Do(func() {
		var r *calib.Rounder
		r, c.err = w.calibrated.rounder(j)
		if r != nil {
			c.rounder.Store(r)
			c.chosen, c.loss = true, make([]calib.Loss, j.panels)
			c.left.Store(j.panels)
		}
	})
	if c.err != nil || !c.chosen {
		return false, c.err
	}
	c.loss[panel], err = c.rounder.Load().Round(&w.block, w.rows, &w.scratch)
	if c.left.Add(-1) == 0 {
		c.rounder.Store(nil)
	}
	return true, err
}

// isCalibrated tells whether codes of a plan may have been chosen by a calibration.
func isCalibrated(plan *engine.Plan) bool {
	p, err := plan.Provenance()
	return err == nil && slices.ContainsFunc(p.Options, func(o engine.Option) bool { return o.Name == methodOption })
}
