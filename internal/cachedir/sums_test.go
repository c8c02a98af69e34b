package cachedir_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"llmc/internal/cachedir"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(text), 0o600))
}

// TestSums wants hashes to be known as long as files are what they were, and by another process too.
func TestSums(t *testing.T) {
	t.Setenv(cachedir.Variable, t.TempDir())
	cache, err := cachedir.Open(cachedir.Builds)
	check(t, err)
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	learn := func(text string) {
		sums := cache.Sums(dir)
		reading := sums.Begin("x")
		reading.Learn(sha256.Sum256([]byte(text)))
		check(t, sums.Save())
	}
	known := func() bool {
		sum, n, ok := cache.Sums(dir).Find("x")
		return ok && n == 5 && sum == sha256.Sum256([]byte("12345"))
	}
	write(t, path, "12345")
	learn("12345")
	if known() {
		t.Error("a file that was written this moment may be written again without another stamp")
	}
	_, err = cachedir.Settle(path)
	check(t, err)
	learn("12345")
	if !known() {
		t.Error("not known")
	}
	modified := time.Now().Add(-time.Hour)
	check(t, os.Chtimes(path, modified, modified))
	learn("12345")
	for _, change := range []struct {
		name string
		do   func()
	}{
		{"the same size, and the time set back", func() { write(t, path, "12346"); check(t, os.Chtimes(path, modified, modified)) }},
		{"another file of the name", func() { check(t, os.Remove(path)); write(t, path, "12345") }},
		{"gone", func() { check(t, os.Remove(path)) }},
	} {
		change.do()
		if known() {
			t.Errorf("%s: the old hash is known", change.name)
		}
	}
	write(t, path, "12345")
	sums := cache.Sums(dir)
	_, err = cachedir.Settle(path)
	check(t, err)
	reading := sums.Begin("x")
	write(t, path, "54321") // while it is hashed
	reading.Learn(sha256.Sum256([]byte("12345")))
	if _, _, ok := sums.Find("x"); ok {
		t.Error("what changed while it was read is known")
	}
}

// TestSumsOfNoJSON wants a file that is damaged to be one that knows nothing.
func TestSumsOfNoJSON(t *testing.T) {
	t.Setenv(cachedir.Variable, t.TempDir())
	cache, err := cachedir.Open(cachedir.Builds)
	check(t, err)
	path := filepath.Join(t.TempDir(), "x")
	write(t, path, "12345")
	_, err = cachedir.Settle(path)
	check(t, err)
	for range 2 {
		if sum, err := cache.SumOf(path); err != nil || sum != sha256.Sum256([]byte("12345")) {
			t.Errorf("%x, %v", sum, err)
		}
		found, _ := filepath.Glob(filepath.Join(os.Getenv(cachedir.Variable), "hashes", "*"))
		if len(found) != 1 {
			t.Fatalf("what is known lies in %v", found)
		}
		write(t, found[0], `{"x": {"sha256": "00`)
	}
}

// TestRoom fills parts of a cache: what was used last stays, whatever part it is in, and what is in use.
func TestRoom(t *testing.T) {
	t.Setenv(cachedir.Variable, t.TempDir())
	t.Setenv(cachedir.SizeVariable, "100")
	put := func(part, name string, size int64) (string, error) {
		d, err := cachedir.Open(part)
		check(t, err)
		lock, err := cachedir.Lock(d.Path(name, "lock"), cachedir.Exclusive|cachedir.Now)
		check(t, err)
		defer lock.Close()
		path := d.Path(name, "file")
		cachedir.Touch(lock)
		return path, d.MakeRoom(t.Context(), size, path, func() {})
	}
	there := func(path string) bool { _, err := os.Stat(path); return err == nil }
	a, err := put(cachedir.Plans, "a", 40)
	check(t, err)
	b, err := put(cachedir.Builds, "b", 40)
	check(t, err)
	held, err := cachedir.Lock(filepath.Join(filepath.Dir(a), "lock"), cachedir.Shared|cachedir.Now)
	check(t, err)
	c, err := put(cachedir.Codes, "c", 50)
	check(t, err)
	if !there(a) || there(b) || !there(c) {
		t.Errorf("in use: %v; not, and older: %v; new: %v", there(a), there(b), there(c))
	}
	if _, err := put(cachedir.Builds, "d", 101); !errors.Is(err, cachedir.ErrRoom) || !strings.Contains(err.Error(), cachedir.SizeVariable) {
		t.Errorf("more than all: %v", err)
	}
	if _, err := put(cachedir.Builds, "e", 70); !errors.Is(err, cachedir.ErrRoom) {
		t.Errorf("beside what is in use: %v", err)
	}
	check(t, held.Close())
	if f, err := put(cachedir.Builds, "f", 100); err != nil || there(a) || !there(f) {
		t.Errorf("nothing is in use: %v, old %v, new %v", err, there(a), there(f))
	}
}
