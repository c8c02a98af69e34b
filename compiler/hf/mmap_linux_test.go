package hf

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A file that is cut while it is mapped gives an error instead of a crash.
func TestFileShortenedWhileMapped(t *testing.T) {
	dir := directory(t, map[string]string{singleFile: counted(t, "w", 1000, 1000)})
	c := open(t, dir)
	w, err := c.Tensor("w", 1000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, singleFile), 4096); err != nil {
		t.Fatal(err)
	}
	wantError(t, w.ReadRows(make([]float32, 1000), 999, 1000), `model.safetensors: tensor "w": the file can no longer be read`)
	wantError(t, w.ReadRaw(make([]byte, 4000), 999, 1000), "no longer be read")
	_, err = Open(dir)
	wantError(t, err, `tensor "w"`, "truncated")
}

// A pipe in place of a file is refused instead of waited for.
func TestPipesAreRefused(t *testing.T) {
	for _, name := range []string{ConfigFile, singleFile, GenerationFile} {
		files := map[string]string{ConfigFile: `{}`, singleFile: counted(t, "w", 1, 1), GenerationFile: `{}`}
		dir := directory(t, files)
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Skip(err)
		}
		_, err := Open(dir)
		wantError(t, err, name+": is not a regular file")
	}
}

// Streaming a tensor far larger than the bound leaves its pages neither mapped nor copied.
func TestStreamingIsBounded(t *testing.T) {
	const rows, cols, bound = 16384, 4096, 32 << 20
	dir := directory(t, nil)
	header := fileOf(headerOf(t, map[string]entry{"w": {"F32", []int64{rows, cols}, [2]int64{0, 4 * rows * cols}}}), 0)
	put(t, dir, singleFile, string(header))
	if err := os.Truncate(filepath.Join(dir, singleFile), int64(len(header))+4*rows*cols); err != nil { // a hole: zeros without disk
		t.Fatal(err)
	}
	c := open(t, dir)
	w, err := c.Tensor("w", rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	before := resident(t)
	dst := make([]float32, 32*cols)
	most := int64(0)
	for lo := int64(0); lo < rows; lo += 32 {
		if err := w.ReadRows(dst, lo, lo+32); err != nil {
			t.Fatal(err)
		}
		if lo%1024 == 0 {
			most = max(most, resident(t)-before)
		}
	}
	if most > bound {
		t.Errorf("reading %d MB took %d MB", int64(4*rows*cols)>>20, most>>20)
	}
}

// resident returns the bytes of memory that the process occupies, file pages included.
func resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	for line := range bytes.Lines(text) {
		if rest, ok := strings.CutPrefix(string(line), "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Skip("no VmRSS")
	return 0
}
