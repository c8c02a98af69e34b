package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/internal/retry"
)

// maxReferrers bounds what is read of what refers to a manifest.
const maxReferrers = 100

// companionTag is a tag of something that belongs to a manifest: cosign's signatures, and referrers where a registry keeps no list of them (OCI distribution 1.1).
var companionTag = regexp.MustCompile(`^sha256-[0-9a-f]{64}(\.(sig|att|sbom))?$`)

// referrersTag is the tag of an index of referrers.
func referrersTag(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

// referrers lists the manifests whose subject a manifest is. native: the registry has made the list, and makes the next one.
func referrers(ctx context.Context, s store, d digest.Digest) (list []ocispec.Descriptor, native bool, err error) {
	data, native, err := s.referrers(ctx, d)
	if err == nil && !native {
		if _, data, err = s.manifest(ctx, referrersTag(d)); errors.Is(err, ErrNotFound) {
			return nil, false, nil
		}
	}
	if err != nil {
		return nil, native, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, native, fmt.Errorf("%w: the list of referrers: %w", ErrNoPlan, err)
	}
	for _, m := range index.Manifests {
		if checkDigest(m.Digest) != nil || len(list) == maxReferrers {
			continue
		}
		if err := describe(ctx, s, &m); err != nil {
			return nil, native, err
		}
		list = append(list, m)
	}
	return list, native, nil
}

// describe fills in what a manifest says of itself where its entry in a list does not: cosign 2 names the type of the empty config there.
func describe(ctx context.Context, s store, m *ocispec.Descriptor) error {
	if m.ArtifactType != "" && m.ArtifactType != ocispec.MediaTypeEmptyJSON {
		return nil
	}
	_, data, err := s.manifest(ctx, m.Digest.String())
	var said ocispec.Manifest
	switch {
	case errors.Is(err, ErrNotFound) || errors.Is(err, ErrDigest) || errors.Is(err, ErrNoPlan):
		return nil // no statement and no signature, then
	case err != nil:
		return err
	case json.Unmarshal(data, &said) == nil && said.ArtifactType != "":
		m.ArtifactType, m.Annotations = said.ArtifactType, said.Annotations
	}
	return nil
}

// referrers asks a registry for its list; without native it has none.
func (s *remoteStore) referrers(ctx context.Context, d digest.Digest) (data []byte, native bool, err error) {
	err = s.client.retry(ctx, func() (bool, error) {
		resp, err := s.do(ctx, request{method: http.MethodGet, url: s.address("referrers", d.String()), header: http.Header{"Accept": {ocispec.MediaTypeImageIndex}}},
			http.StatusOK, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		if native = resp.StatusCode == http.StatusOK && mediaTypeOf(resp.Header.Get("Content-Type")) == ocispec.MediaTypeImageIndex; !native {
			return false, nil
		}
		if data, err = io.ReadAll(io.LimitReader(resp.Body, maxManifestBytes)); err != nil {
			return false, s.unreached(ctx, err)
		}
		return false, nil
	})
	return data, native, s.ref.at(err)
}

func (s *layoutStore) referrers(context.Context, digest.Digest) ([]byte, bool, error) {
	return nil, false, nil
}

// part is a blob of a few bytes.
type part struct {
	desc ocispec.Descriptor
	data []byte
}

func newPart(mediaType string, data []byte, annotations map[string]string) part {
	d := digestOf(mediaType, data)
	d.Annotations = annotations
	return part{d, data}
}

// sendParts stores blobs that are not there.
func sendParts(ctx context.Context, s store, parts ...part) error {
	for i := range parts {
		p := &parts[i]
		there, err := s.has(ctx, p.desc)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		open := func(context.Context, int64) (io.ReadCloser, error) { return bytesBody(p.data)() }
		if err := s.upload(ctx, p.desc, open, func(int64) {}); err != nil {
			return err
		}
	}
	return nil
}

// readPart fetches a blob of at most so many bytes, and holds it to its digest.
func (c *Client) readPart(ctx context.Context, s store, d ocispec.Descriptor, most int64) (data []byte, err error) {
	if d.Size < 0 || d.Size > most {
		return nil, fmt.Errorf("%w: blob %.80s has %d bytes; at most %d are read", ErrNoPlan, d.Digest, d.Size, most)
	}
	if err := checkDigest(d.Digest); err != nil {
		return nil, err
	}
	err = c.retry(ctx, func() (bool, error) {
		body, err := s.blob(ctx, d, 0)
		if err != nil {
			return false, err
		}
		defer body.Close()
		if data, err = io.ReadAll(io.LimitReader(contextReader{ctx, body}, d.Size+1)); err != nil {
			return false, err
		}
		if int64(len(data)) < d.Size {
			return false, &retry.Transient{Err: fmt.Errorf("%w: it ended after %d of %d bytes", ErrServer, len(data), d.Size), Pause: -1}
		}
		if got := digest.FromBytes(data); got != d.Digest {
			return false, fmt.Errorf("%w: what came is %s and not %s: it was changed on the way or in the registry", ErrDigest, got, d.Digest)
		}
		return false, nil
	})
	return data, err
}

// attach stores a manifest that refers to another, and lists it where the registry does not. What is there already is not stored again.
func attach(ctx context.Context, s store, subject ocispec.Descriptor, artifactType string, annotations map[string]string, layers ...part) (ocispec.Descriptor, error) {
	empty := newPart(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data, nil)
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: empty.desc, Annotations: annotations, Subject: &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.desc)
	}
	data, err := json.Marshal(&m)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := digestOf(ocispec.MediaTypeImageManifest, data)
	list, native, err := referrers(ctx, s, subject.Digest)
	if err != nil || slices.ContainsFunc(list, func(have ocispec.Descriptor) bool { return have.Digest == d.Digest }) {
		return d, err
	}
	if err := sendParts(ctx, s, append(layers, empty)...); err != nil {
		return d, err
	}
	if err := s.put(ctx, d, data, ""); err != nil || native {
		return d, err
	}
	d.ArtifactType, d.Annotations = artifactType, annotations
	return d, putReferrers(ctx, s, subject.Digest, append(list, d))
}

// putReferrers stores the list of referrers of a manifest under its tag.
func putReferrers(ctx context.Context, s store, subject digest.Digest, list []ocispec.Descriptor) error {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: list}
	data, err := json.Marshal(&index)
	if err != nil {
		return err
	}
	return s.put(ctx, digestOf(ocispec.MediaTypeImageIndex, data), data, referrersTag(subject))
}
