package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"llmc/internal/cli"
)

// held is an entry of the cache as it lies there.
type held struct {
	dir   string
	bytes int64
	used  time.Time
}

// entries lists what the cache has, the least recently used first. An entry that is being fetched counts as it will be.
func (c *Cache) entries() ([]held, error) {
	dirs, err := os.ReadDir(c.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []held
	for _, d := range dirs {
		if digest.NewDigestFromEncoded(digest.SHA256, d.Name()).Validate() != nil || !d.IsDir() {
			continue
		}
		h := held{dir: filepath.Join(c.dir, d.Name())}
		for _, name := range []string{"plan", "partial"} {
			if info, err := os.Stat(filepath.Join(h.dir, name)); err == nil {
				h.bytes += info.Size()
			}
		}
		if info, err := os.Stat(filepath.Join(h.dir, "lock")); err == nil {
			h.used = info.ModTime()
		}
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b held) int { return a.used.Compare(b.used) })
	return all, nil
}

// makeRoom removes what was not used for longest and is not in use, until a plan of so many bytes fits, and sets these aside for it.
func (c *Cache) makeRoom(ctx context.Context, needed int64, partial string) error {
	if needed > c.most {
		return fmt.Errorf("%w: the plan has %s and the cache may hold %s: set %s", ErrSpace, cli.FormatBytes(needed), cli.FormatBytes(c.most), CacheSizeVariable)
	}
	lock, err := c.wait(ctx, filepath.Join(c.dir, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	all, err := c.entries()
	if err != nil {
		return err
	}
	total := needed
	for _, h := range all {
		if h.dir != filepath.Dir(partial) {
			total += h.bytes
		}
	}
	for _, h := range all {
		if total <= c.most {
			break
		}
		if h.dir != filepath.Dir(partial) && remove(h.dir) == nil {
			total -= h.bytes
		}
	}
	if total > c.most {
		return fmt.Errorf("%w: the cache %s may hold %s, and plans in use leave no %s of it: set %s", ErrSpace, c.dir, cli.FormatBytes(c.most), cli.FormatBytes(needed), CacheSizeVariable)
	}
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(needed), f.Close())
}

// remove removes an entry that nobody uses: the plan first, the lock last.
func remove(dir string) error {
	lock, err := lockFile(filepath.Join(dir, "lock"), exclusive|now)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := removeAll(dir, func(name string) bool { return name != "lock" }); err != nil {
		return err
	}
	if err := os.Remove(lock.Name()); err != nil {
		return err
	}
	_ = os.Remove(dir) // unless somebody has come for it again
	return nil
}

// removeAll removes files of a directory.
func removeAll(dir string, which func(name string) bool) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if which(f.Name()) {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeWhole(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return cli.WriteFile(path, func(w io.Writer) error { _, err := w.Write(data); return err })
}

// donors are the layers of all plans that are here whole.
func (c *Cache) donors() donors {
	all, err := c.entries()
	if err != nil {
		return nil
	}
	found := donors{}
	for _, h := range all {
		plan := filepath.Join(h.dir, "plan")
		if _, err := os.Stat(plan); err != nil {
			continue
		}
		data, err := readBounded(filepath.Join(h.dir, "manifest.json"))
		if err != nil {
			continue
		}
		r, err := decode(digestOf("", data), data)
		if err != nil || r.plan == nil {
			continue
		}
		at := int64(0)
		for _, l := range r.plan.Layers {
			found[l.Digest] = donor{plan, at}
			at += l.Size
		}
	}
	return found
}
