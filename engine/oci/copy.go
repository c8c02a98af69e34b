package oci

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Copy copies a plan as it is, all its targets or the one manifest that is named, to another repository or layout. Layers go through memory, a piece at a time.
func (c *Client) Copy(ctx context.Context, from, to Ref) (*Pushed, error) {
	source, r, err := c.lookUp(ctx, from, false)
	if err != nil {
		return nil, err
	}
	if to.Digest != "" && to.Digest != r.desc.Digest {
		return nil, to.at(fmt.Errorf("%w: %s is %s", ErrDigest, from, r.desc.Digest))
	}
	target, err := c.open(ctx, to, true)
	if err != nil {
		return nil, err
	}
	plans := []*resolved{r}
	if r.index != nil {
		plans = nil
		for _, m := range r.index.Manifests {
			p, err := resolve(ctx, source, m.Digest.String())
			if err != nil || p.plan == nil {
				return nil, from.about(cmp.Or(err, fmt.Errorf("%w: the index holds another index", ErrNoPlan)))
			}
			plans = append(plans, p)
		}
	}
	out, err := c.copyBlobs(ctx, source, target, from, plans)
	if err != nil {
		return nil, err
	}
	for _, p := range plans {
		if p == r {
			break
		}
		if err := target.put(ctx, p.desc, p.data, ""); err != nil {
			return nil, err
		}
	}
	named := plans
	if r.index != nil {
		named = append(named, r)
	}
	for _, p := range named {
		if err := c.copyCompanions(ctx, source, target, p.desc.Digest); err != nil {
			return nil, from.about(err)
		}
	}
	if err := target.put(ctx, r.desc, r.data, to.Tag); err != nil {
		return nil, err
	}
	to.Digest = r.desc.Digest
	out.Reference, out.Digest, out.Plan, out.Targets = to.String(), r.desc.Digest.String(), clean(plans[0].plan.Annotations[planDigestKey]), targetsIn(plans[0].plan.Annotations)
	return out, nil
}

// copyBlobs copies the blobs of manifests that are not there.
func (c *Client) copyBlobs(ctx context.Context, source, target store, from Ref, plans []*resolved) (*Pushed, error) {
	seen := map[digest.Digest]bool{}
	var blobs []ocispec.Descriptor
	out := &Pushed{}
	for _, p := range plans {
		if err := checkDigest(p.plan.Config.Digest); err != nil {
			return nil, from.about(err)
		}
		for _, d := range append([]ocispec.Descriptor{p.plan.Config}, p.plan.Layers...) {
			if !seen[d.Digest] {
				seen[d.Digest] = true
				blobs = append(blobs, d)
				out.Bytes += d.Size
			}
		}
	}
	out.Layers = len(blobs)
	task := c.Progress.Start("copy", out.Bytes)
	var sent atomic.Int64
	err := each(ctx, len(blobs), parallel, func(ctx context.Context, i int) error {
		d := blobs[i]
		there, err := target.has(ctx, d)
		if err == nil && !there {
			there, err = target.mount(ctx, d, from)
		}
		if err != nil {
			return err
		}
		if there {
			task.Add(d.Size)
			return nil
		}
		sent.Add(d.Size)
		return target.upload(ctx, d, func(ctx context.Context, at int64) (io.ReadCloser, error) {
			body, err := source.blob(ctx, d, at)
			return body, from.about(err)
		}, task.Add)
	})
	if err != nil {
		task.Stop()
		return nil, err
	}
	task.Done()
	out.Uploaded = sent.Load()
	return out, nil
}

// targetsIn reads the annotation of targets.
func targetsIn(notes map[string]string) []string {
	if notes[targetsKey] == "" {
		return []string{}
	}
	return strings.Split(clean(notes[targetsKey]), ",")
}
