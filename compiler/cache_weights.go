package compiler

import (
	"context"

	"llmc/compiler/buildcache"
	"llmc/engine"
)

// copyBytes is how much of a weight is copied at a time.
const copyBytes = 8 << 20

// weightKey names the bytes of a weight that is made from the build's source, "" where they depend on a calibration too.
func (b *Options) weightKey(j *packJob) (string, error) {
	if b.Calibration != nil && j.choosable() {
		return "", nil
	}
	e := j.entry()
	e.Name = ""
	return buildcache.Key([]any{e, j.weight.Stored})
}

// donors finds weights that earlier builds from the same source have packed. The caller closes them.
func (b *build) donors(ctx context.Context) (map[*packJob]buildcache.Donor, *buildcache.Donors, error) {
	if b.earlier == nil {
		return nil, nil, nil
	}
	source, err := b.sourceName(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, found := b.earlier.Donors(ctx, source, b.Threads), map[*packJob]buildcache.Donor{}
	for _, j := range b.weights.jobs {
		key, err := b.weightKey(j)
		if err != nil {
			all.Close()
			return nil, nil, err
		}
		if d, there := all.Find(key); there && key != "" {
			found[j] = d
		}
	}
	return found, all, nil
}

// keptWeights are the weights of the plan, for later builds.
func (b *build) keptWeights() (map[string]buildcache.Weight, error) {
	kept := map[string]buildcache.Weight{}
	for _, j := range b.weights.jobs {
		key, err := b.weightKey(j)
		if err != nil {
			return nil, err
		}
		if key == "" {
			continue
		}
		var sum panelLoss
		for _, l := range j.loss {
			sum.err, sum.ref = sum.err+l.err, sum.ref+l.ref
		}
		kept[key] = buildcache.Weight{Name: j.weight.Name, Err: sum.err, Ref: sum.ref}
	}
	return kept, nil
}

// copyKept copies the weights that there are of earlier builds, and returns the jobs that are left.
func (p *packer) copyKept(ctx context.Context, threads int) ([]*packJob, error) {
	var copied []piece
	var left []*packJob
	for _, j := range p.jobs {
		if d, there := p.donors[j]; there && p.fits(j, d) {
			copied = append(copied, j.pieces(j.entry().Bytes, copyBytes)...)
			j.loss = []panelLoss{{d.Err, d.Ref}}
			continue
		}
		left = append(left, j)
	}
	return left, p.spread(ctx, threads, copied, func(w *packWorker, j *packJob, first, last int64) error {
		d := w.donors[j]
		_, data, err := d.Plan.Weight(d.Name)
		if err != nil {
			return err
		}
		if _, err = w.writer.Weight(j.index).WriteAt(data[first:last], first); err == nil {
			w.task.Add(last - first)
		}
		return err
	})
}

// fits looks whether a plan has the weight in the form that is asked for.
func (p *packer) fits(j *packJob, d buildcache.Donor) bool {
	e, _, err := d.Plan.Weight(d.Name)
	want := j.entry()
	return err == nil && e.Recipe == want.Recipe && samePlace(&engine.WeightEntry{Name: want.Name, Shape: e.Shape, DType: e.DType, Format: e.Format, Layout: e.Layout, Segment: e.Segment, Bytes: e.Bytes}, &want)
}
