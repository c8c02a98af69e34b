package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/engine/sign"
)

// Signatures of a manifest lie where cosign has them: simple signing payloads as layers of a manifest under the tag sha256-DIGEST.sig, and bundles among the referrers.
const (
	maxSignatures = 100
	maxBundles    = 64 << 20 // bytes of all beside one manifest
)

func signatureTag(d digest.Digest) string { return referrersTag(d) + ".sig" }

// Signed says what Sign has done.
type Signed struct {
	Reference string `json:"reference"` // with the digest, which is signed
	Digest    string `json:"digest"`
	Signature string `json:"signature"` // the tag that it is under
	Added     bool   `json:"added"`     // false: the key has signed it before
}

// Sign signs what a reference names: an index with all targets of a plan, or one manifest.
func (c *Client) Sign(ctx context.Context, ref Ref, key *sign.PrivateKey) (*Signed, error) {
	s, r, err := c.lookUp(ctx, ref, true)
	if err != nil {
		return nil, err
	}
	out := &Signed{Digest: r.desc.Digest.String(), Signature: signatureTag(r.desc.Digest)}
	if out.Added, err = c.addSignature(ctx, s, ref, r.desc.Digest, key); err != nil {
		return nil, ref.about(err)
	}
	ref.Digest = r.desc.Digest
	out.Reference = ref.String()
	return out, nil
}

func (c *Client) addSignature(ctx context.Context, s store, ref Ref, d digest.Digest, key *sign.PrivateKey) (added bool, err error) {
	layers, err := signatureLayers(ctx, s, d)
	if err != nil {
		return false, err
	}
	for _, l := range layers {
		if have, err := c.payload(ctx, s, l); err == nil && have.By(key.Public, d.String()) {
			return false, nil
		}
	}
	made, err := key.Sign(ref.plain(), d.String())
	if err != nil {
		return false, err
	}
	layer := newPart(sign.PayloadType, made.Payload, map[string]string{sign.SignatureKey: made.Annotation()})
	if err := sendParts(ctx, s, layer); err != nil {
		return false, err
	}
	return true, putSignatures(ctx, s, d, append(layers, layer.desc))
}

// putSignatures stores the list of a manifest's signatures, whose payloads are there.
func putSignatures(ctx context.Context, s store, d digest.Digest, layers []ocispec.Descriptor) error {
	config, err := signatureConfig(layers)
	if err != nil {
		return err
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config.desc, Layers: layers}
	data, err := json.Marshal(&m)
	if err != nil {
		return err
	}
	if err := sendParts(ctx, s, config); err != nil {
		return err
	}
	return s.put(ctx, digestOf(ocispec.MediaTypeImageManifest, data), data, signatureTag(d))
}

// signatureKeyOf tells signatures apart.
func signatureKeyOf(l ocispec.Descriptor) string {
	return l.Digest.String() + l.Annotations[sign.SignatureKey]
}

// signatureConfig makes the config that tools want of an image, since cosign's signatures are ones.
func signatureConfig(layers []ocispec.Descriptor) (part, error) {
	var image struct {
		Architecture string   `json:"architecture"`
		OS           string   `json:"os"`
		Config       struct{} `json:"config"`
		RootFS       struct {
			Type    string          `json:"type"`
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	image.RootFS.Type = "layers"
	for _, l := range layers {
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, l.Digest)
	}
	data, err := json.Marshal(&image)
	return newPart(ocispec.MediaTypeImageConfig, data, nil), err
}

// signatureLayers lists the payloads under a manifest's tag of signatures.
func signatureLayers(ctx context.Context, s store, d digest.Digest) ([]ocispec.Descriptor, error) {
	_, data, err := s.manifest(ctx, signatureTag(d))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%w: signatures %s: %w", ErrNoPlan, signatureTag(d), err)
	}
	if len(m.Layers) > maxSignatures {
		return nil, fmt.Errorf("%w: there are %d signatures under %s; at most %d are read", ErrNoPlan, len(m.Layers), signatureTag(d), maxSignatures)
	}
	return slices.DeleteFunc(m.Layers, func(l ocispec.Descriptor) bool {
		return l.MediaType != sign.PayloadType || l.Annotations[sign.SignatureKey] == ""
	}), nil
}

func (c *Client) payload(ctx context.Context, s store, l ocispec.Descriptor) (*sign.Signature, error) {
	data, err := c.readPart(ctx, s, l, sign.MaxPayload)
	if err != nil {
		return nil, err
	}
	return sign.ParseSignature(data, l.Annotations[sign.SignatureKey])
}

// signatures fetches all signatures of a manifest. One that can not be had for good is no signature; a registry that does not answer is an error.
func (c *Client) signatures(ctx context.Context, s store, d digest.Digest) ([]sign.Signature, error) {
	layers, err := signatureLayers(ctx, s, d)
	if err != nil {
		return nil, err
	}
	var all []sign.Signature
	for _, l := range layers {
		one, err := c.payload(ctx, s, l)
		if errors.Is(err, ErrServer) || errors.Is(err, ErrDenied) || ctx.Err() != nil {
			return nil, err
		}
		if err == nil {
			all = append(all, *one)
		}
	}
	bundles, err := c.bundles(ctx, s, d, sign.MaxPayload)
	if err != nil {
		return nil, err
	}
	for _, b := range bundles {
		if sign.IsSignature(b) {
			all = append(all, sign.Signature{Bundle: b})
		}
	}
	return all, nil
}

// bundles fetches the bundles among a manifest's referrers, those of at most so many bytes.
func (c *Client) bundles(ctx context.Context, s store, d digest.Digest, most int64) (all [][]byte, err error) {
	list, _, err := referrers(ctx, s, d)
	if err != nil {
		return nil, err
	}
	total := 0
	for _, m := range list {
		if m.ArtifactType != sign.BundleType {
			continue
		}
		_, data, err := s.manifest(ctx, m.Digest.String())
		if errors.Is(err, ErrServer) || errors.Is(err, ErrDenied) || ctx.Err() != nil {
			return nil, err
		}
		var found ocispec.Manifest
		if err != nil || json.Unmarshal(data, &found) != nil {
			continue
		}
		for _, l := range found.Layers {
			if l.MediaType != sign.BundleType || l.Size > most {
				continue
			}
			data, err := c.readPart(ctx, s, l, most)
			if errors.Is(err, ErrServer) || errors.Is(err, ErrDenied) || ctx.Err() != nil {
				return nil, err
			}
			if err == nil {
				all = append(all, data)
			}
			if total += len(data); total > maxBundles {
				return nil, fmt.Errorf("%w: the bundles beside %s have more than %d bytes", ErrNoPlan, d, maxBundles)
			}
		}
	}
	return all, nil
}

// plain is the reference of the repository without a scheme, as payloads and policies have it.
func (r Ref) plain() string {
	if r.Dir != "" {
		return r.repository()
	}
	return r.Registry + "/" + r.Repository
}
