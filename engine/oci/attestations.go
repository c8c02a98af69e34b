package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"llmc/engine"
	"llmc/engine/attest"
	"llmc/engine/sign"
)

// Annotations of manifests that hold a statement: those of sigstore's bundles, and BuildKit's name of the predicate.
const (
	bundleContentKey   = "dev.sigstore.bundle.content"
	bundlePredicateKey = "dev.sigstore.bundle.predicateType"
	predicateKey       = "in-toto.io/predicate-type"
	statementContent   = "dsse-envelope"

	maxAttestation = 16 << 20
)

// Attach says what is said of a plan beside it.
type Attach struct {
	Kinds   []*attest.Kind
	Builder string           // URI of who has built it; "": attest.LocalBuilder
	Key     *sign.PrivateKey // signs the statements; nil: they are stored without a signature
}

// Attach attaches statements to what Push has stored of a plan, and signs it if there is a key.
func (c *Client) Attach(ctx context.Context, plan *engine.Plan, pushed *Pushed, how Attach) error {
	if len(how.Kinds) == 0 && how.Key == nil {
		return nil
	}
	ref, err := ParseRef(pushed.Reference)
	if err != nil {
		return err
	}
	s, err := c.open(ctx, ref, true)
	if err != nil {
		return err
	}
	subject := pushed.artifact.root
	if how.Key != nil {
		if _, err := c.addSignature(ctx, s, ref, subject.Digest, how.Key); err != nil {
			return ref.about(err)
		}
	}
	subjects := []sign.Subject{sign.NewSubject(ref.plain(), subject.Digest.String())}
	for _, m := range pushed.artifact.manifests {
		subjects = append(subjects, sign.NewSubject(ref.plain(), m.desc.Digest.String()))
	}
	for _, kind := range how.Kinds {
		predicate, err := kind.Make(plan, how.Builder)
		if err != nil {
			return err
		}
		statement, err := sign.NewStatement(kind.Predicate, predicate, subjects...)
		if err != nil {
			return err
		}
		if err := c.attach(ctx, s, subject, statement, how.Key); err != nil {
			return ref.about(err)
		}
	}
	return nil
}

// attach stores a statement about a manifest: signed, in a bundle as 'cosign attest' makes it; else as it is. A key signs the same statement once.
func (c *Client) attach(ctx context.Context, s store, subject ocispec.Descriptor, statement *sign.Statement, key *sign.PrivateKey) error {
	data, err := json.Marshal(statement)
	if err != nil {
		return err
	}
	if key == nil {
		_, err = attach(ctx, s, subject, sign.StatementType, map[string]string{predicateKey: statement.PredicateType},
			newPart(sign.StatementType, data, map[string]string{predicateKey: statement.PredicateType}))
		return err
	}
	have, err := c.bundles(ctx, s, subject.Digest, maxAttestation)
	if err != nil {
		return err
	}
	for _, b := range have {
		if there, err := sign.OpenStatement(b, key.Public); err == nil && there.PredicateType == statement.PredicateType && string(there.Predicate) == string(statement.Predicate) {
			return nil
		}
	}
	bundle, err := key.SignStatement(statement)
	if err != nil {
		return err
	}
	_, err = attach(ctx, s, subject, sign.BundleType, map[string]string{bundleContentKey: statementContent, bundlePredicateKey: statement.PredicateType}, newPart(sign.BundleType, bundle, nil))
	return err
}

// Attested is a statement about a plan.
type Attested struct {
	Reference string          `json:"reference"` // with the digest that it is about
	Kind      string          `json:"kind"`
	Signed    bool            `json:"signed"` // by the key that was asked for
	Predicate json.RawMessage `json:"-"`
	Statement *sign.Statement `json:"-"`
}

// Attestation fetches what is said of a plan: with a key, what that has signed; without, the first of that kind, for which nobody vouches.
func (c *Client) Attestation(ctx context.Context, ref Ref, kind *attest.Kind, key *sign.PublicKey) (*Attested, error) {
	s, r, err := c.lookUp(ctx, ref, false)
	if err != nil {
		return nil, err
	}
	ref.Digest = r.desc.Digest
	found, err := c.statements(ctx, s, r.desc.Digest, key)
	if err != nil {
		return nil, ref.about(err)
	}
	for _, st := range found {
		if st.Check(kind.Predicate, r.desc.Digest.String()) == nil {
			return &Attested{Reference: ref.String(), Kind: kind.Name, Signed: key != nil, Predicate: st.Predicate, Statement: st}, nil
		}
	}
	if key != nil {
		if all, err := c.statements(ctx, s, r.desc.Digest, nil); err == nil && slices.ContainsFunc(all, func(st *sign.Statement) bool { return st.PredicateType == kind.Predicate }) {
			return nil, ref.at(fmt.Errorf("%w: there is %s, and %s has not signed it", sign.ErrUntrusted, kind.Article, key.Name))
		}
	}
	return nil, ref.at(fmt.Errorf("%w: there is no %s of it: 'llmc push --%s' attaches one", ErrNotFound, kind.Name, kind.Name))
}

// statements fetches those about a manifest: signed by a key, or all.
func (c *Client) statements(ctx context.Context, s store, d digest.Digest, key *sign.PublicKey) (all []*sign.Statement, err error) {
	bundles, err := c.bundles(ctx, s, d, maxAttestation)
	if err != nil {
		return nil, err
	}
	for _, b := range bundles {
		if st, err := sign.OpenStatement(b, key); err == nil {
			all = append(all, st)
		}
	}
	if key != nil {
		return all, nil
	}
	list, _, err := referrers(ctx, s, d)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if r.ArtifactType != sign.StatementType {
			continue
		}
		_, data, err := s.manifest(ctx, r.Digest.String())
		if err != nil {
			return nil, err
		}
		var m ocispec.Manifest
		if json.Unmarshal(data, &m) != nil || len(m.Layers) != 1 {
			continue
		}
		if data, err = c.readPart(ctx, s, m.Layers[0], maxAttestation); err != nil {
			return nil, err
		}
		if st, err := sign.ParseStatement(data); err == nil {
			all = append(all, st)
		}
	}
	return all, nil
}

// attested lists the kinds of statements that a manifest has, by what their annotations say; one of another kind by its type.
func attested(ctx context.Context, s store, d digest.Digest) ([]string, error) {
	list, _, err := referrers(ctx, s, d)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	var names []string
	for _, r := range list {
		predicate := r.Annotations[predicateKey] + r.Annotations[bundlePredicateKey]
		name := clean(predicate)
		for _, k := range attest.Kinds {
			if k.Predicate == predicate {
				name = k.Name
			}
		}
		if name != "" && !strings.HasSuffix(predicate, "/cosign/sign/v1") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
