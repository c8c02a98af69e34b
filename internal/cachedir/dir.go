package cachedir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"llmc/internal/cli"
	"llmc/internal/retry"
)

// Environment of the cache.
const (
	Variable     = "LLMC_CACHE"      // directory; Off: there is none
	SizeVariable = "LLMC_CACHE_SIZE" // of all parts together, such as 200G
	Off          = "off"

	defaultSize = 64 << 30
)

// Parts are the directories that entries lie in, each PART/ENTRY/lock and files beside it. Room is made among the entries of all of them.
const (
	Plans  = "plans"  // fetched from registries
	Builds = "builds" // plans that were built
	Codes  = "codes"  // chosen by calibrations
)

// parts are those that count towards the size.
var parts = []string{Plans, Builds, Codes}

// Reasons why there is no cache.
var (
	ErrOff  = fmt.Errorf("%s is %s", Variable, Off)
	ErrHome = errors.New("no directory for a cache") // the user has no home
)

// Dir is one part of the cache.
type Dir struct {
	root, part string
	most       int64
}

// Open finds a part of the cache, which need not be there yet.
func Open(part string) (*Dir, error) {
	root := os.Getenv(Variable)
	switch root {
	case Off:
		return nil, ErrOff
	case "":
		user, err := os.UserCacheDir() // XDG_CACHE_HOME, or ~/.cache
		if err != nil {
			return nil, fmt.Errorf("%w: %w; set %s", ErrHome, err, Variable)
		}
		root = filepath.Join(user, "llmc")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	most := cli.Bytes(defaultSize)
	if text := os.Getenv(SizeVariable); text != "" {
		if err := most.Set(text); err != nil {
			return nil, fmt.Errorf("%s: %w", SizeVariable, err)
		}
	}
	return &Dir{root: root, part: part, most: int64(most)}, nil
}

// Path is a path below the part.
func (d *Dir) Path(names ...string) string {
	return filepath.Join(append([]string{d.root, d.part}, names...)...)
}

// Most is how many bytes all parts may hold together.
func (d *Dir) Most() int64 { return d.most }

// How often a lock that another process holds is tried, and when it is said that one waits.
const (
	lockEvery = 100 * time.Millisecond
	sayAfter  = 2 * time.Second
)

// Wait takes a lock exclusively. waiting is called once when that takes long.
func Wait(ctx context.Context, path string, waiting func()) (*os.File, error) {
	for start, said := time.Now(), false; ; {
		lock, err := Lock(path, Exclusive|Now)
		if !errors.Is(err, ErrLocked) {
			return lock, err
		}
		if !said && time.Since(start) > sayAfter {
			said = true
			waiting()
		}
		if err := retry.Sleep(ctx, lockEvery); err != nil {
			return nil, err
		}
	}
}

// Touch counts an entry as used now. Where that fails it counts as used earlier.
func Touch(lock *os.File) {
	stamp := time.Now()
	_ = os.Chtimes(lock.Name(), stamp, stamp)
}

// WriteWhole writes a small file, which appears whole or not at all, and the directories above it.
func WriteWhole(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return cli.WriteFile(path, func(w io.Writer) error { _, err := w.Write(data); return err })
}
