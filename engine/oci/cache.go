package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"llmc/engine"
	"llmc/internal/cli"
	"llmc/internal/retry"
)

// Environment of the cache.
const (
	CacheVariable     = "LLMC_CACHE"      // directory, of which plans have a part; CacheOff: there is none
	CacheSizeVariable = "LLMC_CACHE_SIZE" // of all plans, such as 200G
	CacheOff          = "off"

	defaultCacheSize = 64 << 30
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
type Cache struct {
	client *Client
	dir    string
	most   int64
}

// OpenCache finds the cache.
func OpenCache(c *Client) (*Cache, error) {
	dir := os.Getenv(CacheVariable)
	switch dir {
	case CacheOff:
		return nil, fmt.Errorf("%s is %s, and plans of registries are served from a cache: set it to a directory, or fetch the plan with 'llmc pull'", CacheVariable, CacheOff)
	case "":
		user, err := os.UserCacheDir() // XDG_CACHE_HOME, or ~/.cache
		if err != nil {
			return nil, fmt.Errorf("directory of the cache: %w; set %s", err, CacheVariable)
		}
		dir = filepath.Join(user, "llmc")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	most := cli.Bytes(defaultCacheSize)
	if text := os.Getenv(CacheSizeVariable); text != "" {
		if err := most.Set(text); err != nil {
			return nil, fmt.Errorf("%s: %w", CacheSizeVariable, err)
		}
	}
	return &Cache{client: c, dir: filepath.Join(dir, "plans"), most: int64(most)}, nil
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
	return filepath.Join(c.dir, "index", d.Encoded()+".sig.json")
}

func (c *Cache) entry(d digest.Digest) string { return filepath.Join(c.dir, d.Encoded()) }

// use takes a plan that is there; nil if there is none.
func (c *Cache) use(ref Ref, r *resolved) (*Entry, error) {
	dir := c.entry(r.desc.Digest)
	plan := filepath.Join(dir, "plan")
	if _, err := os.Stat(plan); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	lock, err := lockFile(filepath.Join(dir, "lock"), shared|now)
	if errors.Is(err, errLocked) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !intact(plan, r) {
		return nil, lock.Close()
	}
	stamp := time.Now()
	_ = os.Chtimes(lock.Name(), stamp, stamp) // else it counts as used earlier
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
	lock, err := c.wait(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	plan, partial := filepath.Join(dir, "plan"), filepath.Join(dir, "partial")
	if intact(plan, r) {
		return nil
	}
	if err := removeAll(dir, func(name string) bool { return name != "lock" && name != "partial" && name != journalName("partial") }); err != nil {
		return err
	}
	if err := c.makeRoom(ctx, planSize(r.plan), partial); err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(dir, "manifest.json"), r.data); err != nil {
		return err
	}
	return c.client.fetchPlan(ctx, s, r, partial, plan, c.donors())
}

// How often a lock that another process holds is tried, and when it is said that one waits.
const (
	lockEvery = 100 * time.Millisecond
	sayAfter  = 2 * time.Second
)

// wait takes a lock exclusively.
func (c *Cache) wait(ctx context.Context, path string) (*os.File, error) {
	for start, said := time.Now(), false; ; {
		lock, err := lockFile(path, exclusive|now)
		if !errors.Is(err, errLocked) {
			return lock, err
		}
		if !said && time.Since(start) > sayAfter {
			said = true
			c.client.Progress.Say("another process is fetching the plan; waiting for it")
		}
		if err := retry.Sleep(ctx, lockEvery); err != nil {
			return nil, err
		}
	}
}
