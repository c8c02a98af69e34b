package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"llmc/engine"
	"llmc/internal/cachedir"
)

// Cache keeps plans of registries, each in a directory that has the digest of its manifest for a name:
//
//	plans/DIGEST/lock           held shared by who uses the plan, exclusively by who fetches or removes it; its time is that of the last use
//	plans/DIGEST/plan           the plan, whole and verified; NAME.plan are further names of the same file
//	plans/DIGEST/manifest.json  what its layers are
//	plans/DIGEST/partial        a plan on its way, and its journal
//	plans/index/DIGEST.json     indexes, so that a digest needs no network
//	plans/index/DIGEST.sig.json signatures of indexes and manifests, likewise
//	plans/lock                  held while room is made
//
// cachedir says where that is and how large it may get.
type Cache struct {
	client *Client
	dir    *cachedir.Dir
}

// OpenCache finds the cache.
func OpenCache(c *Client) (*Cache, error) {
	dir, err := cachedir.Open(cachedir.Plans)
	if errors.Is(err, cachedir.ErrOff) {
		return nil, fmt.Errorf("%w, and plans of registries are served from a cache: set it to a directory, or fetch the plan with 'llmc pull'", err)
	}
	return &Cache{client: c, dir: dir}, err
}

// Entry is a plan of the cache in use: until Close, or the end of the process, it is not removed.
type Entry struct {
	Path string // a file called like the repository
	lock *os.File
}

// Close lets the plan go.
func (e *Entry) Close() error { return e.lock.Close() }

// Get returns the plan that a reference names, of an index what the first of targets that it has needs of it (without targets, all), and fetches it if it is not there. A tag is looked up
// each time; a digest that is in the cache needs no network.
func (c *Cache) Get(ctx context.Context, ref Ref, targets []string) (*Entry, error) {
	s := &cachedStore{cache: c, ref: ref}
	r, err := resolve(ctx, s, ref.wanted())
	if err == nil {
		err = c.client.trust(ctx, s, ref, r.desc.Digest, c.signaturesPath(r.desc.Digest))
	}
	if err == nil {
		r, err = planOf(ctx, s, r, targets)
	}
	if err != nil {
		return nil, ref.about(err)
	}
	for {
		e, err := c.use(ref, r)
		if err != nil || e != nil {
			return e, err
		}
		if err := c.fill(ctx, s, r); err != nil {
			return nil, ref.about(err)
		}
	}
}

func (c *Cache) signaturesPath(d digest.Digest) string {
	return c.dir.Path("index", d.Encoded()+".sig.json")
}

func (c *Cache) entry(d digest.Digest) string { return c.dir.Path(d.Encoded()) }

// use takes a plan that is there; nil if there is none.
func (c *Cache) use(ref Ref, r *resolved) (*Entry, error) {
	dir := c.entry(r.desc.Digest)
	plan := filepath.Join(dir, "plan")
	if _, err := os.Stat(plan); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	lock, err := cachedir.Lock(filepath.Join(dir, "lock"), cachedir.Shared|cachedir.Now)
	if errors.Is(err, cachedir.ErrLocked) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !intact(plan, r) {
		return nil, lock.Close()
	}
	cachedir.Touch(lock)
	path := filepath.Join(dir, fileNameOf(ref))
	if err := os.Link(plan, path); err != nil && !errors.Is(err, os.ErrExist) {
		path = plan
	}
	return &Entry{path, lock}, nil
}

// fileNameOf is what an entry's plan is called, and so the model that is served.
func fileNameOf(ref Ref) string {
	if name := ref.Name(); name != "." && name != ".." && name != string(filepath.Separator) {
		return name + ".plan"
	}
	return "model.plan"
}

// intact tells whether a plan is the one of a manifest, as far as opening it shows.
func intact(path string, r *resolved) bool {
	plan, err := engine.Open(path)
	if err != nil {
		return false
	}
	defer plan.Close()
	return plan.Digest() == r.plan.Annotations[planDigestKey] && plan.Header().FileSize == planSize(r.plan)
}

// fill fetches a plan, unless another process has in the meantime.
func (c *Cache) fill(ctx context.Context, s store, r *resolved) error {
	dir := c.entry(r.desc.Digest)
	lock, err := cachedir.Wait(ctx, filepath.Join(dir, "lock"), c.sayWaiting)
	if err != nil {
		return err
	}
	defer lock.Close()
	plan, partial := filepath.Join(dir, "plan"), filepath.Join(dir, "partial")
	if intact(plan, r) {
		return nil
	}
	if err := cachedir.Clear(dir, "partial", journalName("partial")); err != nil {
		return err
	}
	if err := c.dir.MakeRoom(ctx, planSize(r.plan), partial, c.sayWaiting); errors.Is(err, cachedir.ErrRoom) {
		return fmt.Errorf("%w: %w", ErrSpace, err)
	} else if err != nil {
		return err
	}
	if err := cachedir.WriteWhole(filepath.Join(dir, "manifest.json"), r.data); err != nil {
		return err
	}
	return c.client.fetchPlan(ctx, s, r, partial, plan, c.donors())
}

func (c *Cache) sayWaiting() {
	c.client.Progress.Say("another process is fetching the plan; waiting for it")
}
