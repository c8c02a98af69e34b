package oci

import (
	"context"
	"sync/atomic"

	"llmc/engine"
)

// parallel is how many layers are on their way at once.
const parallel = 4

// Pushed says what Push or Copy has done.
type Pushed struct {
	Reference string   `json:"reference"` // with the digest, which names it for ever
	Digest    string   `json:"digest"`    // of the index, or the image
	Plan      string   `json:"plan"`      // the plan's own digest
	Targets   []string `json:"targets"`
	Layers    int      `json:"layers"`
	Bytes     int64    `json:"bytes"`    // of all layers
	Uploaded  int64    `json:"uploaded"` // bytes that were not there yet

	artifact *artifact
}

// Push stores a plan under a tag: layers that are there are not sent, and no manifest before all that it names. The plan is verified first.
func (c *Client) Push(ctx context.Context, plan *engine.Plan, ref Ref) (*Pushed, error) {
	return c.push(ctx, plan, ref, func(count func(int64)) (*artifact, error) { return assemble(ctx, plan, c.cut(), count) })
}

// push verifies a plan and stores what is made of it, which reads it once more and counts that.
func (c *Client) push(ctx context.Context, plan *engine.Plan, ref Ref, assemble func(count func(int64)) (*artifact, error)) (*Pushed, error) {
	s, err := c.open(ctx, ref, true)
	if err != nil {
		return nil, err
	}
	check := c.Progress.Start("verify", 2*plan.Header().FileSize)
	done := int64(0)
	if err := plan.Verify(ctx, 1, func(now, _ int64) { check.Add(now - done); done = now }); err != nil {
		check.Stop()
		return nil, err
	}
	a, err := assemble(check.Add)
	if err != nil {
		check.Stop()
		return nil, err
	}
	check.Done()
	out := &Pushed{Digest: a.root.Digest.String(), Plan: plan.Digest(), Targets: targetsOf(plan), Layers: len(a.blobs), Bytes: a.size(), artifact: a}
	if out.Uploaded, err = c.sendBlobs(ctx, s, a); err != nil {
		return nil, err
	}
	for _, m := range a.manifests {
		if err := s.put(ctx, m.desc, m.data, ""); err != nil {
			return nil, err
		}
	}
	if err := s.put(ctx, a.root, a.rootData, ref.Tag); err != nil {
		return nil, err
	}
	ref.Digest = a.root.Digest
	out.Reference = ref.String()
	return out, nil
}

// sendBlobs sends what a store does not have, and returns how many bytes that was.
func (c *Client) sendBlobs(ctx context.Context, s store, a *artifact) (sent int64, err error) {
	task := c.Progress.Start("push", a.size())
	var total atomic.Int64
	err = each(ctx, len(a.blobs), parallel, func(ctx context.Context, i int) error {
		b := &a.blobs[i]
		there, err := s.has(ctx, b.desc)
		if err != nil {
			return err
		}
		if there {
			task.Add(b.desc.Size)
			return nil
		}
		total.Add(b.desc.Size)
		return s.upload(ctx, b.desc, b.open, task.Add)
	})
	if err != nil {
		task.Stop()
		return 0, err
	}
	task.Done()
	return total.Load(), nil
}
