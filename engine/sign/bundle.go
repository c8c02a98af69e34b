package sign

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Types of what is signed and of what holds it.
const (
	BundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json" // github.com/sigstore/protobuf-specs, Bundle
	StatementType = "application/vnd.in-toto+json"                  // github.com/in-toto/attestation, Statement v1
	statementV1   = "https://in-toto.io/Statement/v1"
	statementV01  = "https://in-toto.io/Statement/v0.1"   // of 'cosign attest', of the same form
	signPredicate = "https://sigstore.dev/cosign/sign/v1" // of a statement that says nothing but that it is signed
	shaName       = "SHA2_256"

	maxStatementBytes = 16 << 20
)

// bundle is a signature with what it is of. One of Message and Envelope is there.
type bundle struct {
	MediaType string `json:"mediaType"`
	Material  struct {
		Key *keyHint `json:"publicKey,omitempty"`
	} `json:"verificationMaterial"`
	Message  *message  `json:"messageSignature,omitempty"`
	Envelope *envelope `json:"dsseEnvelope,omitempty"`
}

type keyHint struct {
	Hint string `json:"hint"`
}

// message is a signature of a file.
type message struct {
	Digest struct {
		Algorithm string `json:"algorithm"`
		Digest    []byte `json:"digest"`
	} `json:"messageDigest"`
	Signature []byte `json:"signature"`
}

// envelope is DSSE 1.0 (github.com/secure-systems-lab/dsse).
type envelope struct {
	Payload    []byte         `json:"payload"`
	Type       string         `json:"payloadType"`
	Signatures []envelopeSign `json:"signatures"`
}

type envelopeSign struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid,omitempty"`
}

// encoding is what of an envelope is signed: DSSE's PAE.
func (e *envelope) encoding() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "DSSEv1 %d %s %d ", len(e.Type), e.Type, len(e.Payload))
	h.Write(e.Payload)
	return [sha256.Size]byte(h.Sum(nil))
}

// Statement is an in-toto statement: a predicate, such as a provenance, about things with digests.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// Subject is what a statement is about.
type Subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// NewStatement makes a statement about things with digests ("sha256:..."), by their names.
func NewStatement(predicateType string, predicate any, subjects ...Subject) (*Statement, error) {
	data, err := json.Marshal(predicate)
	return &Statement{Type: statementV1, Subject: subjects, PredicateType: predicateType, Predicate: data}, err
}

// NewSubject names something with a digest ("sha256:...").
func NewSubject(name, digest string) Subject {
	algorithm, sum, _ := strings.Cut(digest, ":")
	return Subject{Name: name, Digest: map[string]string{algorithm: sum}}
}

func (s *Statement) about(digest string) bool {
	for _, subject := range s.Subject {
		if sum := subject.Digest["sha256"]; sum != "" && "sha256:"+sum == digest {
			return true
		}
	}
	return false
}

// Check holds a statement to what it must say: that it is one, of a predicate, and about a manifest.
func (s *Statement) Check(predicateType, digest string) error {
	switch {
	case s.Type != statementV1 && s.Type != statementV01:
		return fmt.Errorf("%w: it is a %.80q and no %s", ErrUntrusted, s.Type, statementV1)
	case s.PredicateType != predicateType:
		return fmt.Errorf("%w: it says %.80q and not %s", ErrUntrusted, s.PredicateType, predicateType)
	case !s.about(digest):
		return fmt.Errorf("%w: it is about something else than %s", ErrUntrusted, digest)
	}
	return nil
}

// SignStatement returns a bundle around a signed statement.
func (k *PrivateKey) SignStatement(s *Statement) ([]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	e := &envelope{Payload: data, Type: StatementType}
	sig, err := k.sign(e.encoding())
	if err != nil {
		return nil, err
	}
	e.Signatures = []envelopeSign{{Sig: sig}}
	return k.bundle(&bundle{Envelope: e})
}

func (k *PrivateKey) bundle(b *bundle) ([]byte, error) {
	b.MediaType, b.Material.Key = BundleType, &keyHint{k.Public.hint()}
	return json.Marshal(b)
}

func parseBundle(data []byte) (*bundle, error) {
	if len(data) > 2*maxStatementBytes {
		return nil, fmt.Errorf("%w: a bundle of %d bytes; at most %d are read", ErrUntrusted, len(data), 2*maxStatementBytes)
	}
	var b bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("%w: it is no bundle in JSON: %w", ErrUntrusted, err)
	}
	if !strings.HasPrefix(b.MediaType, "application/vnd.dev.sigstore.bundle") {
		return nil, fmt.Errorf("%w: its type is %.80q and not %s", ErrUntrusted, b.MediaType, BundleType)
	}
	return &b, nil
}

// OpenStatement returns the statement of a bundle if a key has signed it; without a key, whoever has.
func OpenStatement(data []byte, k *PublicKey) (*Statement, error) {
	b, err := parseBundle(data)
	if err != nil {
		return nil, err
	}
	e := b.Envelope
	if e == nil || e.Type != StatementType {
		return nil, fmt.Errorf("%w: the bundle holds no statement", ErrUntrusted)
	}
	if k != nil && !e.by(k) {
		return nil, fmt.Errorf("%w: it is not signed by %s", ErrUntrusted, k.Name)
	}
	return ParseStatement(e.Payload)
}

func (e *envelope) by(k *PublicKey) bool {
	const most = 64
	sum := e.encoding()
	for i, s := range e.Signatures {
		if i < most && k.checks(sum, s.Sig) {
			return true
		}
	}
	return false
}

// ParseStatement reads a statement that is not signed.
func ParseStatement(data []byte) (*Statement, error) {
	var s Statement
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%w: the statement is not in JSON: %w", ErrUntrusted, err)
	}
	return &s, nil
}

// SignFile returns a bundle with the signature of a file's bytes, as 'cosign sign-blob --bundle' writes one.
func (k *PrivateKey) SignFile(r io.Reader) ([]byte, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return nil, err
	}
	sum := [sha256.Size]byte(h.Sum(nil))
	m := &message{}
	m.Digest.Algorithm, m.Digest.Digest = shaName, sum[:]
	var err error
	if m.Signature, err = k.sign(sum); err != nil {
		return nil, err
	}
	return k.bundle(&bundle{Message: m})
}

// FileSignature is a signature of a file that lies beside it.
type FileSignature struct{ message *message }

// ParseFileSignature reads a bundle.
func ParseFileSignature(data []byte) (*FileSignature, error) {
	b, err := parseBundle(data)
	if err != nil {
		return nil, err
	}
	if b.Message == nil {
		return nil, fmt.Errorf("%w: the bundle holds no signature of a file", ErrUntrusted)
	}
	return &FileSignature{b.Message}, nil
}

// By tells whether the signature is a key's, of a file whose bytes hash to sum.
func (s *FileSignature) By(k *PublicKey, sum [sha256.Size]byte) bool {
	return k.checks(sum, s.message.Signature)
}

// counted prints a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}
