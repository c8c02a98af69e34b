package compiler

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/cachedir"
	"llmc/internal/cli"
)

// hashing is that of a checkpoint's files, beside a build: it takes as long as packing some formats, and one file has one thread. Where a build may take
// several threads, each packs when it has nothing to hash any more.
type hashing struct {
	checkpoint *hf.Checkpoint
	running    *hf.Hashing
	task       *cli.Task
	cancel     context.CancelFunc
	sums       *cachedir.Sums // that are known; nil: none
}

func startHashing(ctx context.Context, c *hf.Checkpoint, threads int, progress *cli.Progress, sums *cachedir.Sums) *hashing {
	ctx, cancel := context.WithCancel(ctx)
	h := &hashing{checkpoint: c, cancel: cancel, sums: sums}
	total := int64(0)
	for _, f := range h.files() {
		total += f.Bytes
	}
	h.task = progress.Start("hashing the checkpoint", total)
	h.running = c.StartHashing(ctx, threads, h.task.Add, sums)
	if threads <= 1 {
		h.running.Wait(0)
	}
	return h
}

// files lists what is hashed, with room for the hashes. The size of a file that is not there is 0.
func (h *hashing) files() []engine.SourceFile {
	var files []engine.SourceFile
	for _, name := range h.checkpoint.SourceFiles() {
		f := engine.SourceFile{Name: name, SHA256: make([]byte, len(hf.Digest{}.SHA256))}
		if info, err := os.Stat(filepath.Join(h.checkpoint.Dir, name)); err == nil {
			f.Bytes = info.Size()
		}
		files = append(files, f)
	}
	return files
}

// wait waits until the n-th thread has nothing to hash any more.
func (h *hashing) wait(n int) {
	if h != nil {
		h.running.Wait(n)
	}
}

// complete fills in the hashes of what files gave, which is at the beginning of list.
func (h *hashing) complete(list []engine.SourceFile) error {
	digests, err := h.running.Digests()
	if err != nil {
		return err
	}
	h.task.Done()
	_ = h.sums.Save() // or they are hashed again
	for i, d := range digests {
		f := &list[i]
		if f.Name != d.Name || f.Bytes != d.Bytes {
			return fmt.Errorf("%s: %d bytes instead of %d: it changed while it was read", filepath.Join(h.checkpoint.Dir, d.Name), d.Bytes, f.Bytes)
		}
		copy(f.SHA256, d.SHA256[:])
	}
	return nil
}

// stop ends what is still hashed.
func (h *hashing) stop() {
	h.cancel()
	_, _ = h.running.Digests()
}
