package oci

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"llmc/engine"
	"llmc/internal/cachedir"
	"llmc/internal/cli"
	"llmc/internal/retry"
)

// fetch puts a plan together in a file that is not the plan yet.
type fetch struct {
	client  *Client
	store   store
	from    *resolved // the manifest
	file    *os.File
	journal *journal
	offsets []int64 // of layers in the file
	donors  donors
	task    *cli.Task
}

const (
	copyBytes  = 256 << 10
	noteEvery  = 4 << 20  // bytes between two lines of the journal
	spareBytes = 64 << 20 // what a fetch leaves free on a disk
)

// fetchPlan fetches a plan into the file called partial, or what is missing there, verifies it whole, every layer and every hash that the plan holds itself, and
// only then gives it its name. Where it is interrupted, partial and its journal stay and the next call goes on; where what came is not what was named, they are removed.
func (c *Client) fetchPlan(ctx context.Context, s store, from *resolved, partial, out string, given donors) (err error) {
	file, err := cachedir.Lock(partial, cachedir.Exclusive|cachedir.Now)
	if errors.Is(err, cachedir.ErrLocked) {
		return fmt.Errorf("%s: another process is fetching into it; wait for it", partial)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	f := &fetch{client: c, store: s, from: from, file: file, donors: given}
	if err := f.reserve(partial); err != nil {
		return err
	}
	if f.journal, err = openJournal(journalName(partial), from.desc, from.plan.Layers); err != nil {
		return err
	}
	defer f.journal.file.Close()
	if err = f.run(ctx, partial); err == nil {
		return publish(partial, out)
	}
	for _, bad := range []error{ErrDigest, engine.ErrChecksum, engine.ErrFormat, engine.ErrNotPlan, engine.ErrTruncated, engine.ErrVersion} {
		if errors.Is(err, bad) {
			return errors.Join(err, os.Remove(partial), os.Remove(journalName(partial)))
		}
	}
	return err
}

func journalName(partial string) string { return partial + ".log" }

// reserve gives the file its size, if the disk has room for it.
func (f *fetch) reserve(partial string) error {
	at := int64(0)
	for _, l := range f.from.plan.Layers {
		f.offsets = append(f.offsets, at)
		at += l.Size
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.file.Fd()), &stat); err != nil {
		return err
	}
	if needed, free := at-stat.Blocks*512, cachedir.FreeBytes(filepath.Dir(partial)); needed > free-spareBytes {
		return fmt.Errorf("%w: %s are to be fetched and %s has %s free: make room", ErrSpace, cli.FormatBytes(needed), filepath.Dir(partial), cli.FormatBytes(free))
	}
	return f.file.Truncate(at)
}

func (f *fetch) run(ctx context.Context, partial string) error {
	layers := f.from.plan.Layers
	f.task = f.client.Progress.Start("pull", planSize(f.from.plan))
	err := each(ctx, len(layers), parallel, func(ctx context.Context, i int) error {
		if err := f.layer(ctx, i); err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
		}
		return nil
	})
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		f.task.Stop()
		return err
	}
	f.task.Done()
	return verifyPlan(ctx, partial, f.from.plan)
}

// verifyPlan holds a fetched file to the digest that the manifest names, and to all hashes in it.
func verifyPlan(ctx context.Context, path string, m *ocispec.Manifest) error {
	plan, err := engine.Open(path)
	if err != nil {
		return err
	}
	defer plan.Close()
	if want := m.Annotations[planDigestKey]; plan.Digest() != want {
		return fmt.Errorf("%w: the plan is %s and the manifest names %.80q: push it again", ErrDigest, plan.Digest(), want)
	}
	return plan.Verify(ctx, 0, nil)
}

// filling is one layer on its way into the file.
type filling struct {
	*fetch
	number  int
	d       ocispec.Descriptor
	offset  int64
	have    int64
	sum     hash.Hash
	resumed bool // some of it is from an earlier time
	noted   int64
}

func (f *fetch) layer(ctx context.Context, i int) error {
	l := &filling{fetch: f, number: i, d: f.from.plan.Layers[i], offset: f.offsets[i], sum: sha256.New()}
	if err := l.resume(); err != nil {
		return err
	}
	if l.have == 0 && l.donated(ctx) {
		return nil
	}
	err := f.client.retry(ctx, func() (bool, error) {
		before := l.have
		err := l.more(ctx)
		if errors.Is(err, ErrDigest) && l.resumed { // what an earlier time left was not what it said
			l.restart()
			return true, &retry.Transient{Err: err, Pause: 0}
		}
		return l.have > before, err
	})
	return err
}

// resume takes over what an earlier time has left.
func (l *filling) resume() error {
	have := l.journal.have[l.number]
	if have == 0 {
		return nil
	}
	if _, err := io.Copy(l.sum, io.NewSectionReader(l.file, l.offset, have)); err != nil {
		return err
	}
	l.have, l.noted, l.resumed = have, have, true
	l.task.Add(have)
	return nil
}

func (l *filling) restart() {
	l.task.Add(-l.have)
	l.have, l.noted, l.resumed = 0, 0, false
	l.sum.Reset()
}

// donated takes the layer from a plan that is here already.
func (l *filling) donated(ctx context.Context) bool {
	d, ok := l.donors[l.d.Digest]
	if !ok {
		return false
	}
	from, err := os.Open(d.path)
	if err != nil {
		return false
	}
	defer from.Close()
	err = l.take(contextReader{ctx, io.NewSectionReader(from, d.offset, l.d.Size)})
	if err == nil {
		err = l.check()
	}
	if err != nil {
		l.restart()
	}
	return err == nil
}

// more fetches what is missing.
func (l *filling) more(ctx context.Context) error {
	if l.have < l.d.Size {
		body, err := l.store.blob(ctx, l.d, l.have)
		if err != nil {
			return err
		}
		defer body.Close()
		if err := l.take(contextReader{ctx, body}); err != nil {
			return err
		}
	}
	return l.check()
}

// take writes what comes, up to the layer's size.
func (l *filling) take(from io.Reader) error {
	buffer := make([]byte, copyBytes)
	for l.have < l.d.Size {
		n, err := from.Read(buffer[:min(int64(len(buffer)), l.d.Size-l.have)])
		if n > 0 {
			if _, err := l.file.WriteAt(buffer[:n], l.offset+l.have); err != nil {
				return err
			}
			l.sum.Write(buffer[:n])
			l.have += int64(n)
			l.task.Add(int64(n))
		}
		if l.have-l.noted >= noteEvery || err != nil && l.have > l.noted {
			l.noted = l.have
			if err := l.journal.note(l.number, l.have); err != nil {
				return err
			}
		}
		if err == io.EOF && l.have < l.d.Size {
			return &retry.Transient{Err: fmt.Errorf("%w: it ended after %d of %d bytes", ErrServer, l.have, l.d.Size), Pause: -1}
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// check compares the digest of all that is there.
func (l *filling) check() error {
	if got := digest.NewDigestFromBytes(digest.SHA256, l.sum.Sum(nil)); got != l.d.Digest {
		return fmt.Errorf("%w: what came is %s and not %s: it was changed on the way or in the registry; nothing of it is kept", ErrDigest, got, l.d.Digest)
	}
	return l.journal.note(l.number, l.have)
}
