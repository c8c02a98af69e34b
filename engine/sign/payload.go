package sign

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Names of cosign's signatures beside images.
const (
	PayloadType   = "application/vnd.dev.cosign.simplesigning.v1+json"
	SignatureKey  = "dev.cosignproject.cosign/signature" // annotation of a layer that is a payload: the signature of it, base64
	payloadIntent = "cosign container image signature"
	MaxPayload    = 64 << 10 // bytes of a payload, and of a bundle's JSON around one
)

// payload is what is signed of a manifest in a registry: Red Hat's simple signing format (containers/image, docs/containers-signature.5.md), as cosign fills it in.
type payload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

// Signature is a signature of a manifest, in one of two forms.
type Signature struct {
	Payload []byte          `json:"payload,omitempty"` // simple signing, with Bytes
	Bytes   []byte          `json:"signature,omitempty"`
	Bundle  json.RawMessage `json:"bundle,omitempty"` // a bundle over a statement, as cosign 3 makes them
}

// Sign signs a manifest's digest ("sha256:..."). repository, REGISTRY/REPOSITORY, is said in the payload.
func (k *PrivateKey) Sign(repository, digest string) (*Signature, error) {
	var p payload
	p.Critical.Identity.Reference, p.Critical.Image.Digest, p.Critical.Type = repository, digest, payloadIntent
	data, err := json.Marshal(&p)
	if err != nil {
		return nil, err
	}
	bytes, err := k.sign(sha256.Sum256(data))
	return &Signature{Payload: data, Bytes: bytes}, err
}

// By tells whether a signature is a key's, and of a manifest with this digest.
func (s *Signature) By(k *PublicKey, digest string) bool {
	if s.Bundle != nil {
		statement, err := OpenStatement(s.Bundle, k)
		return err == nil && statement.PredicateType == signPredicate && statement.about(digest)
	}
	if !k.checks(sha256.Sum256(s.Payload), s.Bytes) {
		return false
	}
	var p payload
	return json.Unmarshal(s.Payload, &p) == nil && p.Critical.Type == payloadIntent && p.Critical.Image.Digest == digest
}

// ParseSignature reads a payload with its annotation.
func ParseSignature(payload []byte, annotation string) (*Signature, error) {
	bytes, err := base64.StdEncoding.DecodeString(annotation)
	if err != nil {
		return nil, fmt.Errorf("annotation %s is no base64: %w", SignatureKey, err)
	}
	return &Signature{Payload: payload, Bytes: bytes}, nil
}

// Annotation is the signature as an annotation has it.
func (s *Signature) Annotation() string { return base64.StdEncoding.EncodeToString(s.Bytes) }

// IsSignature tells whether a bundle says of itself that it is a signature of a manifest, and nothing else.
func IsSignature(data []byte) bool {
	s, err := OpenStatement(data, nil)
	return err == nil && s.PredicateType == signPredicate
}
