package compiler

import (
	"context"
	"fmt"
	"path/filepath"

	"llmc/compiler/calib"
)

// measure builds the model as it is going to be for calibrationTarget, the same codes from the same calibration, and compares it with the one in f32 on the part of the text that was not
// calibrated on. nil: there is no calibration, or this is that build.
func (b *build) measure(ctx context.Context) (quality *calib.Quality, err error) {
	if b.Calibration == nil {
		return nil, nil
	}
	if b.calibrated.kept != nil {
		return b.calibrated.quality, nil
	}
	defer func() { b.calibrated.quality = quality }()
	o := b.alike(filepath.Join(b.calibrated.dir, "measured.plan"), b.measuredFormat())
	o.calibrated = b.calibrated
	if _, err := Build(ctx, o); err != nil {
		return nil, fmt.Errorf("the model for %s, to measure it: %w", calibrationTarget, err)
	}
	model, err := b.Calibration.Open(o.Out, b.calibrationSettings())
	if err != nil {
		return nil, err
	}
	defer model.Close()
	task := b.Progress.Start("accuracy", int64(len(b.calibrated.ids)/calib.Window))
	defer task.Done()
	return calib.Evaluate(ctx, model, b.calibrated.original, b.model.Info.Vocab, b.calibrated.ids, func(int, int) { task.Add(1) })
}

// measuredFormat is the format of the plan that is measured.
func (b *build) measuredFormat() string {
	if b.Quant == "" || b.Quant == Auto {
		return Auto
	}
	return b.quant
}

// checkGate refuses rules about figures that nothing measures.
func (o *Options) checkGate() error {
	for _, r := range o.Gate {
		if o.Calibration == nil && gateFigures[r.find()].text {
			return fmt.Errorf("the gate asks for %s, which is measured on a text: give one with --calib", r)
		}
	}
	return nil
}
