package oci

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// copyCompanions copies what belongs to a manifest: signatures under their tag, and what refers to it. What is there already stays.
func (c *Client) copyCompanions(ctx context.Context, source, target store, subject digest.Digest) error {
	d, data, err := source.manifest(ctx, signatureTag(subject))
	if err == nil {
		err = c.copySignatures(ctx, source, target, subject, d, data)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	list, _, err := referrers(ctx, source, subject)
	if err != nil || len(list) == 0 {
		return err
	}
	have, native, err := referrers(ctx, target, subject)
	if err != nil {
		return err
	}
	there := map[digest.Digest]bool{}
	for _, h := range have {
		there[h.Digest] = true
	}
	added := false
	for _, r := range list {
		if there[r.Digest] {
			continue
		}
		d, data, err := source.manifest(ctx, r.Digest.String())
		if err != nil {
			return err
		}
		if err := copySmall(ctx, source, target, d, data, ""); err != nil {
			return err
		}
		have, added = append(have, r), true
	}
	if native || !added {
		return nil
	}
	return putReferrers(ctx, target, subject, have)
}

// copySignatures adds the signatures of one store to those of another.
func (c *Client) copySignatures(ctx context.Context, source, target store, subject digest.Digest, d ocispec.Descriptor, data []byte) error {
	theirs, err := signatureLayers(ctx, target, subject)
	if err != nil {
		return err
	}
	if len(theirs) == 0 {
		return copySmall(ctx, source, target, d, data, signatureTag(subject))
	}
	ours, err := signatureLayers(ctx, source, subject)
	if err != nil {
		return err
	}
	all, err := c.merge(ctx, source, target, theirs, ours)
	if err != nil || len(all) == len(theirs) {
		return err
	}
	return putSignatures(ctx, target, subject, all)
}

// merge sends the payloads of one list that another has not, and returns both.
func (c *Client) merge(ctx context.Context, source, target store, have, more []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	seen := map[string]bool{}
	for _, l := range have {
		seen[signatureKeyOf(l)] = true
	}
	for _, l := range more {
		if seen[signatureKeyOf(l)] {
			continue
		}
		if err := copyBlob(ctx, source, target, l); err != nil {
			return nil, err
		}
		have = append(have, l)
	}
	return have, nil
}

// copySmall copies a manifest with its blobs.
func copySmall(ctx context.Context, source, target store, d ocispec.Descriptor, data []byte, tag string) error {
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	for _, l := range append(m.Layers, m.Config) {
		if err := copyBlob(ctx, source, target, l); err != nil {
			return err
		}
	}
	if m.MediaType != "" {
		d.MediaType = m.MediaType
	}
	return target.put(ctx, d, data, tag)
}

func copyBlob(ctx context.Context, source, target store, d ocispec.Descriptor) error {
	if err := checkDigest(d.Digest); err != nil {
		return err
	}
	there, err := target.has(ctx, d)
	if err != nil || there {
		return err
	}
	return target.upload(ctx, d, func(ctx context.Context, at int64) (io.ReadCloser, error) { return source.blob(ctx, d, at) }, func(int64) {})
}
