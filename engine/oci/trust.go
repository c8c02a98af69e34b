package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"llmc/engine/sign"
	"llmc/internal/cachedir"
	"llmc/internal/cli"
)

// policyName is what a policy knows a reference by.
func (r Ref) policyName() string {
	name := r.plain()
	if r.Dir != "" {
		if abs, err := filepath.Abs(r.Dir); err == nil {
			name = LayoutScheme + abs
		}
	}
	if r.Tag != "" {
		name += ":" + r.Tag
	}
	if r.Digest != "" {
		name += "@" + r.Digest.String()
	}
	return name
}

// trust holds the manifest that a reference names to the policy, before anything of it is used. kept is the file of signatures that were good before, so that a digest in the cache
// needs no network; "": there is none. What is kept is checked again: a key that the policy has no more counts no more.
func (c *Client) trust(ctx context.Context, s store, ref Ref, d digest.Digest, kept string) error {
	if c.Policy == nil {
		return nil
	}
	demand, err := c.Policy.For(ref.policyName())
	if err != nil {
		return err
	}
	return c.demand(ctx, s, ref, d, demand, kept)
}

func (c *Client) demand(ctx context.Context, s store, ref Ref, d digest.Digest, demand *sign.Demand, kept string) error {
	if demand.Unsigned() {
		return nil
	}
	how := fmt.Sprintf("'llmc sign %s@%s --key KEY' makes one", ref.repository(), d)
	met := func(all []sign.Signature) error {
		return demand.Met(len(all), func(k *sign.PublicKey) bool {
			for i := range all {
				if all[i].By(k, d.String()) {
					return true
				}
			}
			return false
		}, how)
	}
	if kept != "" && met(readKept(kept)) == nil {
		return nil
	}
	all, err := c.signatures(ctx, s, d)
	if err != nil {
		return fmt.Errorf("signatures: %w", err)
	}
	if err := met(all); err != nil || kept == "" {
		return err
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return cachedir.WriteWhole(kept, data)
}

// readKept reads signatures of the cache; what is no such file holds none.
func readKept(path string) (all []sign.Signature) {
	data, err := cli.ReadFile(path, 2*maxSignatures*2*sign.MaxPayload)
	if err != nil || json.Unmarshal(data, &all) != nil {
		return nil
	}
	return all
}

// VerifySignature returns the digest of what a reference names if a key has signed it.
func (c *Client) VerifySignature(ctx context.Context, ref Ref, demand *sign.Demand) (*Signed, error) {
	s, r, err := c.lookUp(ctx, ref, false)
	if err != nil {
		return nil, err
	}
	if err := c.demand(ctx, s, ref, r.desc.Digest, demand, ""); err != nil {
		return nil, ref.about(err)
	}
	ref.Digest = r.desc.Digest
	return &Signed{Reference: ref.String(), Digest: r.desc.Digest.String(), Signature: signatureTag(r.desc.Digest)}, nil
}
