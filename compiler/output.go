package compiler

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"llmc/compiler/buildcache"
	"llmc/compiler/calib"
	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/cli"
)

// output is a plan on its way to the disk: sections that are known, weights that stream through.
type output struct {
	checkpoint *hf.Checkpoint
	hashing    *hashing
	origin     *engine.Provenance // in the sections, without hashes of the checkpoint's files; nil: they have none
	jobs       []*packJob
	donors     map[*packJob]buildcache.Donor // of some of them
	path       string
	gate       Gate
	calibrated *calibrated
	quality    *calib.Quality // what was measured on a text; nil: nothing
	threads    int
	progress   *cli.Progress
}

// write lays out the plan, streams the weights and finishes the file. The report has what only the file and the weights tell.
func (o *output) write(ctx context.Context, sections []engine.Content) (*Report, error) {
	spec := engine.Spec{Sections: sections, Late: []string{engine.KindAccuracy}}
	total := int64(0)
	for _, j := range o.jobs {
		e := j.entry()
		spec.Weights = append(spec.Weights, e)
		total += e.Bytes
	}
	w, err := engine.NewWriter(o.path, spec)
	if err != nil {
		return nil, err
	}
	report, err := o.fill(ctx, w, total)
	if err != nil {
		w.Abort()
		return nil, err
	}
	return report, nil
}

func (o *output) fill(ctx context.Context, w *engine.Writer, total int64) (*Report, error) {
	p := packer{checkpoint: o.checkpoint, hashing: o.hashing, writer: w, jobs: o.jobs, donors: o.donors, calibrated: o.calibrated, task: o.progress.Start("weights", total)}
	if err := p.run(ctx, o.threads); err != nil {
		return nil, err
	}
	p.task.Done()
	if err := o.writeHashes(w); err != nil {
		return nil, err
	}
	report := &Report{Plan: o.path, Accuracy: accuracy(o.jobs)}
	if o.calibrated != nil {
		report.Accuracy.Method, report.Accuracy.Text = o.calibrated.method.Name, o.quality
	}
	if err := o.gate.check(&report.Accuracy); err != nil {
		return nil, err
	}
	data, err := json.Marshal(report.Accuracy)
	if err != nil {
		return nil, err
	}
	if err := w.WriteLate(engine.KindAccuracy, data); err != nil {
		return nil, err
	}
	report.Accuracy.Weights = nil // the plan has them; the summary names the worst
	written := time.Now()
	report.Digest, err = w.Finish()
	report.SyncSeconds = time.Since(written).Seconds()
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(o.path); err == nil {
		report.PlanBytes = info.Size()
	}
	return report, nil
}

// writeHashes completes the provenance.
func (o *output) writeHashes(w *engine.Writer) error {
	if o.origin == nil {
		return nil
	}
	if err := o.hashing.complete(o.origin.Files); err != nil {
		return err
	}
	c, err := engine.ProvenanceContent(o.origin)
	if err != nil {
		return err
	}
	return w.Rewrite(c)
}
