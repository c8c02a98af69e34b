package hf

import (
	"context"
	"crypto/sha256"
	"io"

	"llmc/internal/cachedir"
)

// Digest identifies the contents of one file of a checkpoint.
type Digest struct {
	Name   string
	Bytes  int64
	SHA256 [sha256.Size]byte
}

// SourceFiles returns the names of the files that a plan of this checkpoint depends on, weights last.
func (c *Checkpoint) SourceFiles() []string {
	if c.container != nil {
		return c.container.Files
	}
	names := []string{ConfigFile}
	for _, name := range []string{GenerationFile, QuantizeFile, ModelOptFile} {
		if exists(c.Dir, name) {
			names = append(names, name)
		}
	}
	if c.Sentence != nil {
		names = append(names, c.Sentence.files...)
	}
	for p := range parts {
		if name := c.partName(Part(p)); name != "" {
			names = append(names, name)
		}
	}
	names = append(names, extraTemplateNames(c.Dir)...)
	return append(names, c.WeightFiles()...)
}

// Digests hashes the source files on up to threads threads. The result does not depend on their number. Progress, when it is not
// nil, is told of bytes as they are read, from several goroutines.
func (c *Checkpoint) Digests(ctx context.Context, threads int, progress func(bytes int64)) ([]Digest, error) {
	return c.StartHashing(ctx, threads, progress, nil).Digests()
}

// StartHashing does so while others go on. Files whose hashes are known, and have not changed since, are not read; those of others are learnt. sums may be nil.
func (c *Checkpoint) StartHashing(ctx context.Context, threads int, progress func(bytes int64), sums *cachedir.Sums) *Hashing {
	return startHashing(ctx, c.Dir, c.SourceFiles(), threads, progress, sums)
}

// Digests hashes the adapter's files.
func (a *Adapter) Digests(ctx context.Context) ([]Digest, error) {
	return startHashing(ctx, a.Dir, []string{AdapterConfigFile, AdapterWeightsFile}, 1, nil, nil).Digests()
}

// Hashing is work under way: files that are being hashed.
type Hashing struct {
	digests []Digest
	errs    []error         // of files
	threads []chan struct{} // closed when a thread has no more files
}

func startHashing(ctx context.Context, dir string, names []string, threads int, progress func(bytes int64), sums *cachedir.Sums) *Hashing {
	h := &Hashing{digests: make([]Digest, len(names)), errs: make([]error, len(names))}
	next := make(chan int, len(names))
	for i := range names {
		next <- len(names) - 1 - i // weights first: they take longest
	}
	close(next)
	for range max(1, min(threads, len(names))) {
		done := make(chan struct{})
		h.threads = append(h.threads, done)
		go func() {
			defer close(done)
			buf := make([]byte, digestBlock)
			for i := range next {
				h.digests[i], h.errs[i] = knownDigest(ctx, dir, names[i], buf, progress, sums)
			}
		}()
	}
	return h
}

// Wait waits for the n-th thread, for none if there are not so many.
func (h *Hashing) Wait(n int) {
	if n < len(h.threads) {
		<-h.threads[n]
	}
}

// Digests waits for all files.
func (h *Hashing) Digests() ([]Digest, error) {
	for n := range h.threads {
		h.Wait(n)
	}
	for _, err := range h.errs {
		if err != nil {
			return nil, err
		}
	}
	return h.digests, nil
}

const digestBlock = 1 << 20

// knownDigest is digest for a file that may have been hashed before.
func knownDigest(ctx context.Context, dir, name string, buf []byte, progress func(int64), sums *cachedir.Sums) (Digest, error) {
	if sum, size, known := sums.Find(name); known {
		if progress != nil {
			progress(size)
		}
		return Digest{name, size, sum}, nil
	}
	reading := sums.Begin(name)
	d, err := digest(ctx, dir, name, buf, progress)
	if err == nil {
		reading.Learn(d.SHA256)
	}
	return d, err
}

func digest(ctx context.Context, dir, name string, buf []byte, progress func(int64)) (Digest, error) {
	f, size, err := openRegular(dir, name)
	if err != nil {
		return Digest{}, err
	}
	defer f.Close()
	d, h := Digest{Name: name}, sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return Digest{}, err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		d.Bytes += int64(n)
		if progress != nil {
			progress(int64(n))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return Digest{}, fileError(name, "%w", cause(err))
		}
	}
	if d.Bytes != size {
		return Digest{}, fileError(name, "%d bytes instead of %d: it changed while it was read", d.Bytes, size)
	}
	h.Sum(d.SHA256[:0])
	return d, nil
}
