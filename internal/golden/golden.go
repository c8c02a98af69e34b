// Package golden compares results with files kept beside the tests, and rewrites those files when UPDATE=1 is set.
// It owns the txtar form of test cases and the way to the conformance data outside the repository. Only tests import it.
package golden

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// Updating tells whether goldens are to be rewritten instead of compared.
func Updating() bool { return os.Getenv("UPDATE") == "1" }

// Archive is one txtar file: a comment and named sections, some of them inputs, some expected results.
type Archive struct {
	path    string
	parsed  *txtar.Archive
	changed bool
}

// Each runs test as a subtest for every txtar file that pattern matches, in order of name.
// Under UPDATE=1 a file whose sections changed is written back.
func Each(t *testing.T, pattern string, test func(t *testing.T, a *Archive)) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no file matches %s", pattern)
	}
	slices.Sort(paths)
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		t.Run(name, func(t *testing.T) {
			parsed, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			a := &Archive{path: path, parsed: parsed}
			test(t, a)
			a.save(t)
		})
	}
}

func (a *Archive) save(t *testing.T) {
	if !a.changed || t.Failed() {
		return
	}
	if err := os.WriteFile(a.path, txtar.Format(a.parsed), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Sections returns the names of the sections in file order.
func (a *Archive) Sections() []string {
	var names []string
	for _, f := range a.parsed.Files {
		names = append(names, f.Name)
	}
	return names
}

// Get returns the section called name, and whether there is one.
func (a *Archive) Get(name string) (string, bool) {
	for _, f := range a.parsed.Files {
		if f.Name == name {
			return string(f.Data), true
		}
	}
	return "", false
}

// Input returns the section called name and fails the test when it is missing.
func (a *Archive) Input(t *testing.T, name string) string {
	t.Helper()
	text, ok := a.Get(name)
	if !ok {
		t.Fatalf("%s: no section %q", a.path, name)
	}
	return text
}

// Check compares got with the section called name. Under UPDATE=1 it sets the section, adding it at the end when it is new.
func (a *Archive) Check(t *testing.T, name, got string) {
	t.Helper()
	if got != "" && !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	want, ok := a.Get(name)
	if ok && want == got {
		return
	}
	if Updating() {
		a.set(name, got)
		return
	}
	if !ok {
		t.Errorf("%s: no section %q (UPDATE=1 adds it); got:\n%s", a.path, name, got)
		return
	}
	t.Errorf("%s: section %q differs (-want +got; UPDATE=1 rewrites):\n%s", a.path, name, diff(want, got))
}

func (a *Archive) set(name, text string) {
	a.changed = true
	for i := range a.parsed.Files {
		if a.parsed.Files[i].Name == name {
			a.parsed.Files[i].Data = []byte(text)
			return
		}
	}
	a.parsed.Files = append(a.parsed.Files, txtar.File{Name: name, Data: []byte(text)})
}

// File compares got with the file at path, or writes it under UPDATE=1.
func File(t *testing.T, path string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(path)
	if err == nil && bytes.Equal(want, got) {
		return
	}
	if !Updating() {
		if err != nil {
			t.Fatalf("%v (UPDATE=1 writes it)", err)
		}
		t.Fatalf("%s differs (-want +got; UPDATE=1 rewrites):\n%s", path, diff(string(want), string(got)))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, got, 0o644); err != nil {
		t.Fatal(err)
	}
}

func diff(want, got string) string {
	return cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n"))
}

// Root returns the module's root directory.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir {
			t.Fatalf("no go.mod above the test's directory: %v", err)
		}
		dir = parent
	}
}

// Shared returns the path of the conformance data beside the repository, joined with elem, and skips the test where it is absent.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{Root(t), "..", "shared"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("conformance data is absent: %v", err)
	}
	return path
}
