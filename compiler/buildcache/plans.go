package buildcache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"llmc/engine"
	"llmc/internal/cachedir"
	"llmc/internal/cli"
)

// Cache keeps plans and codes, each in a directory that has the key of what it was made from for a name:
//
//	builds/KEY/lock         held shared by who uses the plan, exclusively by who keeps or removes it; its time is that of the last use
//	builds/KEY/plan         the plan: another name of the file that the build has made, a copy of it on another file system
//	builds/KEY/record.json  its digest and stamp, and those of files that were made of it
//	codes/KEY/...           likewise, see Codes
//	hashes/DIRECTORY.json   of files of checkpoints
//
// All it holds counts towards cachedir's size.
type Cache struct {
	builds, codes *cachedir.Dir
}

// Open finds the cache; cachedir.ErrOff if there is to be none.
func Open() (*Cache, error) {
	builds, err := cachedir.Open(cachedir.Builds)
	if err != nil {
		return nil, err
	}
	codes, err := cachedir.Open(cachedir.Codes)
	return &Cache{builds, codes}, err
}

// Empty tells whether nothing is kept, so that nothing can be found.
func (c *Cache) Empty() bool {
	for _, part := range []*cachedir.Dir{c.builds, c.codes} {
		if all, err := part.Entries(); err != nil || len(all) > 0 {
			return false
		}
	}
	return true
}

// Sums are the known hashes of the files of a directory.
func (c *Cache) Sums(dir string) *cachedir.Sums { return c.builds.Sums(dir) }

// SumOf is the hash of a file, which is read if it has changed.
func (c *Cache) SumOf(path string) ([32]byte, error) { return c.builds.SumOf(path) }

// Record says what a kept plan is.
type Record struct {
	Digest  string          `json:"digest"`
	Report  json.RawMessage `json:"report"` // of the build
	Plan    cachedir.Stamp  `json:"plan"`
	Outputs []Output        `json:"outputs"` // files that have the plan's bytes, the newest last

	Weights map[string]Weight `json:"weights"` // by what they are made of
}

// Output is a file that was made of a plan, and how it was left.
type Output struct {
	Path  string         `json:"path"`
	Stamp cachedir.Stamp `json:"stamp"`
}

const (
	planName       = "plan"
	recordName     = "record.json"
	maxRecordBytes = 16 << 20
	maxOutputs     = 16
)

// Plan is a kept plan; until Close it is not removed.
type Plan struct {
	Record
	dir  string
	lock *os.File
}

// hold takes an entry of a part, with its record; nil where there is none that can be used now.
func hold(d *cachedir.Dir, key, file string, record any) (dir string, lock *os.File) {
	dir = d.Path(key)
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		return dir, nil
	}
	lock, err := cachedir.Lock(filepath.Join(dir, "lock"), cachedir.Shared|cachedir.Now)
	if err != nil {
		return dir, nil
	}
	data, err := cli.ReadFile(filepath.Join(dir, recordName), maxRecordBytes)
	if err != nil || json.Unmarshal(data, record) != nil {
		lock.Close()
		return dir, nil
	}
	cachedir.Touch(lock)
	return dir, lock
}

// Find returns the plan of a key; nil where there is none.
func (c *Cache) Find(key string) *Plan {
	p := &Plan{}
	if p.dir, p.lock = hold(c.builds, key, planName, &p.Record); p.lock == nil {
		return nil
	}
	return p
}

// Close lets the plan go.
func (p *Plan) Close() error { return p.lock.Close() }

// Path is where the plan lies.
func (p *Plan) Path() string { return filepath.Join(p.dir, planName) }

// InPlace tells whether a file has the plan's bytes already.
func (p *Plan) InPlace(out string) bool {
	out, err := filepath.Abs(out)
	if err != nil {
		return false
	}
	i := slices.IndexFunc(p.Outputs, func(o Output) bool { return o.Path == out })
	if i < 0 {
		return false
	}
	now, err := cachedir.StampOf(out)
	return err == nil && now == p.Outputs[i].Stamp && hasDigest(out, p.Digest)
}

// hasDigest opens a plan, which checks all but its weights.
func hasDigest(path, digest string) bool {
	plan, err := engine.Open(path)
	if err != nil {
		return false
	}
	defer plan.Close()
	return plan.Digest() == digest
}

// Intact tells whether the plan is as it was kept. Where its stamp does not say so, all of it is hashed.
func (p *Plan) Intact(ctx context.Context, threads int) bool {
	now, err := cachedir.StampOf(p.Path())
	if err != nil {
		return false
	}
	if now == p.Plan {
		return hasDigest(p.Path(), p.Digest)
	}
	plan, err := engine.Open(p.Path())
	if err != nil {
		return false
	}
	defer plan.Close()
	if plan.Digest() != p.Digest || plan.Verify(ctx, threads, nil) != nil {
		return false
	}
	if then, err := cachedir.Settle(p.Path()); err == nil && then == now { // as when a backup has been brought back
		p.Plan = now
		_ = p.save()
	}
	return true
}

// CopyTo makes a file of the plan: a name more where it has no other, since two files of the user's must not change with each other; else a copy.
func (p *Plan) CopyTo(out string) error {
	take := engine.CopyFile
	if hasOneName(p.Path()) {
		take = nameOrCopy
	}
	if err := take(p.Path(), out); err != nil {
		return err
	}
	p.note(out)
	if now, err := cachedir.StampOf(p.Path()); err == nil { // names count for the time of its last change
		p.Plan = now
	}
	_ = p.save() // or the next build makes it again
	return nil
}

func hasOneName(path string) bool {
	var s unix.Stat_t
	return unix.Stat(path, &s) == nil && s.Nlink == 1
}

// note adds a file to those that have the plan's bytes.
func (p *Plan) note(out string) {
	out, err := filepath.Abs(out)
	if err != nil {
		return
	}
	stamp, err := cachedir.Settle(out)
	if err != nil {
		return
	}
	p.Outputs = slices.DeleteFunc(p.Outputs, func(o Output) bool { return o.Path == out })
	p.Outputs = append(p.Outputs, Output{out, stamp})
	p.Outputs = p.Outputs[max(0, len(p.Outputs)-maxOutputs):]
}

func (p *Plan) save() error { return saveRecord(p.dir, &p.Record) }

func saveRecord(dir string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return cachedir.WriteWhole(filepath.Join(dir, recordName), data)
}

// Keep takes in a plan that was just built. An error says why it is not kept; the build is none the worse for it. Whoever writes into the file later, instead of putting
// another in its place, changes what is kept, which its stamp shows.
func (c *Cache) Keep(ctx context.Context, key, out string, record Record) (err error) {
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	dir, lock, err := fill(ctx, c.builds, key, info.Size())
	if lock == nil {
		return err
	}
	defer release(dir, lock, &err)
	p := &Plan{dir: dir, Record: record}
	if err := put(out, dir, planName, nameOrCopy); err != nil {
		return err
	}
	p.note(out)
	if p.Plan, err = cachedir.Settle(p.Path()); err != nil {
		return err
	}
	return p.save()
}

// release lets an entry go that was filled, or leaves none where that failed.
func release(dir string, lock *os.File, err *error) {
	if *err != nil {
		_ = cachedir.Clear(dir)
	}
	_ = lock.Close()
}

// partialName is a file that sets room aside.
const partialName = "partial"

// put takes a file into an entry, instead of what set room aside for it.
func put(file, dir, name string, take func(from, to string) error) error {
	if err := take(file, filepath.Join(dir, name)); err != nil {
		return err
	}
	return os.Remove(filepath.Join(dir, partialName))
}

// nameOrCopy gives a file another name or, on another file system, copies it.
func nameOrCopy(from, to string) error {
	if engine.LinkFile(from, to) == nil {
		return nil
	}
	return engine.CopyFile(from, to)
}

// fill takes an entry, of which nothing is left but its lock, to put so many bytes there. Without a lock and an error another process is doing so.
func fill(ctx context.Context, d *cachedir.Dir, key string, bytes int64) (dir string, lock *os.File, err error) {
	dir = d.Path(key)
	if lock, err = cachedir.Lock(filepath.Join(dir, "lock"), cachedir.Exclusive|cachedir.Now); err != nil {
		if errors.Is(err, cachedir.ErrLocked) {
			err = nil
		}
		return dir, nil, err
	}
	if err = cachedir.Clear(dir); err == nil {
		if free := cachedir.FreeBytes(dir); free/2 < bytes { // a cache is not what fills a disk
			err = fmt.Errorf("%w: %s has %s free", cachedir.ErrRoom, dir, cli.FormatBytes(free))
		}
	}
	if err == nil {
		err = d.MakeRoom(ctx, bytes, filepath.Join(dir, partialName), func() {})
	}
	if err != nil {
		lock.Close()
		return dir, nil, err
	}
	cachedir.Touch(lock)
	return dir, lock, nil
}
