package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
)

// Pulled says what Pull has done.
type Pulled struct {
	Reference string `json:"reference"` // with the digest, which names it for ever
	Digest    string `json:"digest"`    // of the manifest
	Plan      string `json:"plan"`      // the plan's own digest
	Bytes     int64  `json:"bytes"`     // of the file
	Path      string `json:"path"`
}

// Pull writes the plan that a reference names to a file, which appears whole or not at all; of an index, the plan as it was pushed, or what the first of targets that
// it has needs of it.
func (c *Client) Pull(ctx context.Context, ref Ref, targets []string, out string) (*Pulled, error) {
	if info, err := os.Stat(out); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is there and is no regular file", out)
	}
	s, r, err := c.lookUp(ctx, ref, false)
	if err != nil {
		return nil, err
	}
	named := r.desc.Digest
	if err := c.trust(ctx, s, ref, named, ""); err != nil {
		return nil, ref.about(err)
	}
	if r, err = planOf(ctx, s, r, targets); err != nil {
		return nil, ref.about(err)
	}
	partial := filepath.Join(filepath.Dir(out), fmt.Sprintf(".%s.%.12s.partial", filepath.Base(out), r.desc.Digest.Encoded()))
	if err := c.fetchPlan(ctx, s, r, partial, out, c.cached()); err != nil {
		return nil, ref.about(err)
	}
	ref.Digest = named
	return &Pulled{Reference: ref.String(), Digest: r.desc.Digest.String(), Plan: r.plan.Annotations[planDigestKey], Bytes: planSize(r.plan), Path: out}, nil
}

// publish gives a verified file its name for good.
func publish(partial, out string) error {
	if err := os.Rename(partial, out); err != nil {
		return err
	}
	if err := os.Remove(journalName(partial)); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(out))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// about says which reference an error is about, once.
func (r Ref) about(err error) error {
	var known *refError
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	return r.at(err)
}

// donors are layers that lie in plans on this machine.
type donors map[digest.Digest]donor

type donor struct {
	path   string
	offset int64
}

// cached are the layers of plans in the cache; none if there is no cache.
func (c *Client) cached() donors {
	cache, err := OpenCache(c)
	if err != nil {
		return nil
	}
	return cache.donors()
}
