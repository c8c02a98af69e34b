package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds of what is read.
const (
	maxLayers    = 20000
	maxManifests = 64
	maxPlanBytes = 1 << 50
)

// resolved is what a reference names.
type resolved struct {
	desc  ocispec.Descriptor
	data  []byte
	index *ocispec.Index    // nil: it is a manifest
	plan  *ocispec.Manifest // nil: it is an index
}

// resolve asks a store for what is named, and checks it as far as it is used.
func resolve(ctx context.Context, s store, want string) (*resolved, error) {
	d, data, err := s.manifest(ctx, want)
	if err != nil {
		return nil, err
	}
	return decode(d, data)
}

// lookUp opens the store of a reference and resolves what it names. write says what credentials are asked for.
func (c *Client) lookUp(ctx context.Context, ref Ref, write bool) (store, *resolved, error) {
	s, err := c.open(ctx, ref, write)
	if err != nil {
		return nil, nil, err
	}
	r, err := resolve(ctx, s, ref.wanted())
	if err != nil {
		return nil, nil, ref.about(err)
	}
	return s, r, nil
}

// decode reads an index or a manifest of a plan.
func decode(d ocispec.Descriptor, data []byte) (*resolved, error) {
	r := &resolved{desc: d, data: data}
	var kind struct{ MediaType string }
	if err := json.Unmarshal(data, &kind); err != nil {
		return nil, fmt.Errorf("%w: the manifest is not in JSON: %w", ErrNoPlan, err)
	}
	if kind.MediaType != "" { // what is in it is under the digest, the header is not
		r.desc.MediaType = kind.MediaType
	}
	switch r.desc.MediaType {
	case ocispec.MediaTypeImageIndex:
		r.index = &ocispec.Index{}
		if err := json.Unmarshal(data, r.index); err != nil {
			return nil, fmt.Errorf("%w: the index: %w", ErrNoPlan, err)
		}
		return r, checkIndex(r.index)
	case ocispec.MediaTypeImageManifest:
		r.plan = &ocispec.Manifest{}
		if err := json.Unmarshal(data, r.plan); err != nil {
			return nil, fmt.Errorf("%w: the manifest: %w", ErrNoPlan, err)
		}
		return r, checkPlan(r.plan)
	}
	return nil, fmt.Errorf("%w: its type is %.80q; llmc push makes %s", ErrNoPlan, r.desc.MediaType, ocispec.MediaTypeImageIndex)
}

func checkIndex(index *ocispec.Index) error {
	if n := len(index.Manifests); n == 0 || n > maxManifests {
		return fmt.Errorf("%w: the index has %d manifests; from 1 to %d are allowed", ErrNoPlan, n, maxManifests)
	}
	for _, m := range index.Manifests {
		if err := checkDigest(m.Digest); err != nil {
			return err
		}
		if m.Annotations[planDigestKey] == "" {
			return fmt.Errorf("%w: it holds a manifest of type %.80q that llmc push did not make, an image perhaps", ErrNoPlan, m.ArtifactType)
		}
	}
	return nil
}

func checkPlan(m *ocispec.Manifest) error {
	if m.Config.MediaType == ocispec.MediaTypeImageConfig && m.Annotations[planDigestKey] != "" {
		return fmt.Errorf("%w: it is an image for volumes that 'llmc push --image' made; mount it, or push the plan under another tag without --image", ErrNoPlan)
	}
	if m.ArtifactType != ArtifactType || m.Annotations[planDigestKey] == "" {
		return fmt.Errorf("%w: it is of type %.80q and llmc push did not make it, an image perhaps", ErrNoPlan, m.ArtifactType)
	}
	if n := len(m.Layers); n == 0 || n > maxLayers {
		return fmt.Errorf("%w: the manifest has %d layers; from 1 to %d are allowed", ErrNoPlan, n, maxLayers)
	}
	total := int64(0)
	for i, l := range m.Layers {
		if err := checkDigest(l.Digest); err != nil {
			return err
		}
		if l.Size <= 0 || l.Size > maxPlanBytes-total {
			return fmt.Errorf("%w: layer %d has %d bytes", ErrNoPlan, i, l.Size)
		}
		total += l.Size
	}
	return nil
}

func planSize(m *ocispec.Manifest) (total int64) {
	for _, l := range m.Layers {
		total += l.Size
	}
	return total
}

// choose returns the manifest of the first target that the index has one for; without targets, that of the whole plan.
func choose(index *ocispec.Index, targets []string) (ocispec.Descriptor, error) {
	if len(targets) == 0 {
		return index.Manifests[0], nil
	}
	var has []string
	for _, t := range targets {
		for _, m := range index.Manifests {
			if m.Annotations[targetKey] == t {
				return m, nil
			}
		}
	}
	for _, m := range index.Manifests {
		has = append(has, clean(m.Annotations[targetKey]))
	}
	has = slices.DeleteFunc(has, func(t string) bool { return t == "" })
	if len(has) == 0 { // an adapter, which no target is for
		return index.Manifests[0], nil
	}
	return ocispec.Descriptor{}, fmt.Errorf("%w: it has programs for %s, and this machine runs %s: build it with --arch %s and push it again",
		ErrTarget, strings.Join(has, ", "), strings.Join(targets, ", "), targets[0])
}

// clean makes text of a registry fit to be printed.
func clean(text string) string { return strings.Map(printable, text[:min(len(text), 200)]) }

// planOf follows a reference to the manifest of a plan, by way of an index.
func planOf(ctx context.Context, s store, r *resolved, targets []string) (*resolved, error) {
	if r.plan != nil {
		return r, nil
	}
	d, err := choose(r.index, targets)
	if err != nil {
		return nil, err
	}
	p, err := resolve(ctx, s, d.Digest.String())
	if err == nil && p.plan == nil {
		err = fmt.Errorf("%w: the index holds another index", ErrNoPlan)
	}
	return p, err
}
