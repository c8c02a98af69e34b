package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/internal/golden"
)

// goldenPlan was written by the first release: it must open for ever, so UPDATE=1 does not rewrite it, it only makes it
// when it is not there. (Until the first release: remove both files and make them again when a kernel's row changes.)
const (
	goldenPlan   = "../testdata/plans/v1.plan"
	goldenDigest = "../testdata/plans/v1.digest"
)

func TestGoldenPlanOpens(t *testing.T) {
	if _, err := os.Stat(goldenPlan); errors.Is(err, os.ErrNotExist) && golden.Updating() {
		digest := writePlan(t, goldenPlan, fixtureSpec(t), 1, 1<<20, 0)
		if err := os.WriteFile(goldenDigest, []byte(digest+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := openPlan(t, goldenPlan)
	if want, err := os.ReadFile(goldenDigest); err != nil || p.Digest()+"\n" != string(want) {
		t.Errorf("digest %s, was %s (%v)", p.Digest(), want, err)
	}
	for _, target := range p.Targets("step") {
		if _, err := p.Program("step", target); err != nil {
			t.Error(err)
		}
	}
	if err := p.Verify(context.Background(), 1, nil); err != nil {
		t.Error(err)
	}
	_, data, err := p.Weight("qkv")
	if err != nil || !bytes.Equal(data, weightBytes(2, int64(len(data)))) {
		t.Errorf("weight qkv: other bytes, %v", err)
	}
}

// The bytes of a plan depend on its contents alone: not on the number of threads, the order in which the parts of
// weights arrive, their size, or the name and place of the file.
func TestByteIdentical(t *testing.T) {
	spec := fixtureSpec(t)
	spec.Weights = append(spec.Weights, WeightEntry{Name: "big", DType: "u8", Shape: []int64{300_000}, Bytes: 300_000})
	var want []byte
	for i, run := range []struct {
		threads, part int
		seed          uint64
	}{{1, 1 << 20, 0}, {1, 1000, 0}, {2, 777, 1}, {7, 4096, 2}, {16, 100_000, 3}} {
		path := filepath.Join(t.TempDir(), fmt.Sprint("name", i), "x.plan")
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writePlan(t, path, spec, run.threads, run.part, run.seed)
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%+v: other bytes than with one thread", run)
		}
		if err := openPlan(t, path).Verify(context.Background(), 3, nil); err != nil {
			t.Error(err)
		}
	}
}

// Write, WriteAt in order, and WriteAt in any order give the hash of the bytes in order; gaps and overlaps are errors.
func TestWeightWriter(t *testing.T) {
	spec := fixtureSpec(t)
	spec.Late = nil
	n := int(spec.Weights[0].Bytes)
	full := func(w *Writer, from int) {
		for i := from; i < len(spec.Weights); i++ {
			if _, err := w.Weight(i).Write(weightBytes(i, spec.Weights[i].Bytes)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		pieces [][2]int
		ok     bool
	}{
		{"whole", [][2]int{{0, n}}, true},
		{"back to front", [][2]int{{n / 2, n}, {100, n / 2}, {0, 100}}, true},
		{"empty parts", [][2]int{{50, 50}, {0, 100}, {100, 100}, {100, n}}, true},
		{"gap", [][2]int{{0, 100}, {101, n}}, false},
		{"overlap ahead", [][2]int{{50, n}, {0, 100}}, false},
		{"same part twice", [][2]int{{50, n - 1}, {50, n - 1}, {0, 50}}, false},
		{"overlap and gap of one size", [][2]int{{0, 100}, {50, 150}, {200, n}}, false},
		{"missing end", [][2]int{{0, n - 1}}, false},
		{"past the end", [][2]int{{0, n}, {n, n + 1}}, false},
		{"negative", [][2]int{{-1, 3}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "p")
			w, err := NewWriter(path, spec)
			if err != nil {
				t.Fatal(err)
			}
			data := append(weightBytes(0, int64(n)), 0)
			var failed error
			for _, p := range c.pieces {
				if _, err := w.Weight(0).WriteAt(data[max(0, p[0]):p[1]], int64(p[0])); err != nil {
					failed = err
				}
			}
			full(w, 1)
			if _, err = w.Finish(); err == nil {
				err = failed
			}
			if (err == nil) != c.ok {
				t.Fatalf("error %v", err)
			}
			if c.ok {
				if err := openPlan(t, path).Verify(context.Background(), 1, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Preview gives a plan that opens before it is finished, and does not change what Finish writes.
func TestPreview(t *testing.T) {
	dir := t.TempDir()
	spec := fixtureSpec(t)
	plain, previewed := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	writePlan(t, plain, spec, 1, 1<<20, 0)
	w, err := NewWriter(previewed, spec)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Preview(); err == nil {
		t.Error("preview of a plan whose weights are missing")
	}
	writeWeights(t, w, spec, 1, 1<<20, 0)
	path, err := w.Preview()
	if err != nil {
		t.Fatal(err)
	}
	p := openPlan(t, path)
	if err := p.Verify(context.Background(), 1, nil); err != nil {
		t.Error(err)
	}
	if _, err := p.Section(KindAccuracy, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("late section in a preview: %v", err)
	}
	if _, err := w.Finish(); err == nil || !strings.Contains(err.Error(), KindAccuracy) {
		t.Errorf("finished without the late section: %v", err)
	}
	if left := listDir(t, dir); !slices.Equal(left, []string{"a"}) {
		t.Errorf("left behind: %v", left)
	}
}

// A section that is written again gives the plan that it would have given at once; nothing changes its place or what was checked.
func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	spec := fixtureSpec(t)
	want := writePlan(t, filepath.Join(dir, "a"), spec, 1, 1<<20, 0)
	i := slices.IndexFunc(spec.Sections, func(c Content) bool { return c.Kind == KindProvenance })
	right := spec.Sections[i]
	spec.Sections[i].Data = bytes.Repeat([]byte{0xc0}, len(right.Data))
	w, err := NewWriter(filepath.Join(dir, "b"), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	longer := right
	longer.Data = append(slices.Clone(right.Data), 0)
	for name, c := range map[string]Content{"another size": longer, "of no such name": {KindTemplate, "x", nil}, "weights": {KindWeights, "", nil}, "info": spec.Sections[0]} {
		if err := w.Rewrite(c); err == nil {
			t.Errorf("section written again: %s", name)
		}
	}
	if err := w.Rewrite(right); err != nil {
		t.Fatal(err)
	}
	writeWeights(t, w, spec, 1, 1<<20, 0)
	if err := w.WriteLate(KindAccuracy, []byte(`{"ppl":12.5}`)); err != nil {
		t.Fatal(err)
	}
	if digest, err := w.Finish(); err != nil || digest != want {
		t.Errorf("digest %s, want %s (%v)", digest, want, err)
	}
}

func TestLateSectionsAreChecked(t *testing.T) {
	spec := fixtureSpec(t)
	for _, kind := range []string{KindProgram, KindWeights, KindInfo, "unheard"} {
		spec.Late = []string{kind}
		if w, err := NewWriter(filepath.Join(t.TempDir(), "p"), spec); err == nil {
			t.Errorf("late section %s accepted", kind)
			w.Abort()
		}
	}
	spec.Late = []string{KindAccuracy}
	w, err := NewWriter(filepath.Join(t.TempDir(), "p"), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.WriteLate(KindCard, nil); err == nil {
		t.Error("late section accepted that was not announced")
	}
	if err := w.WriteLate(KindAccuracy, nil); err != nil {
		t.Error(err)
	}
	if err := w.WriteLate(KindAccuracy, nil); err == nil {
		t.Error("late section written twice")
	}
}

// What a reader would refuse is not written.
func TestWriterRefusesBadSpecs(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"no info": func(s *Spec) { s.Sections = s.Sections[1:] },
		"unknown kernel": func(s *Spec) {
			s.Sections[1] = mutatedProgram(t, func(p *Program) { p.Launches[0].Kernel = "cpu.nothing" })
		},
		"section twice":      func(s *Spec) { s.Sections = append(s.Sections, s.Sections[0]) },
		"weight twice":       func(s *Spec) { s.Weights[1] = s.Weights[0] },
		"weight of no bytes": func(s *Spec) { s.Weights[1].Bytes = 0 },
		"wrong size":         func(s *Spec) { s.Weights[0].Bytes++ },
		"unknown layout":     func(s *Spec) { s.Weights[0].Layout = "u3" },
		"path as file name":  func(s *Spec) { s.Sections = append(s.Sections, Content{Kind: KindTokenizerFile, Name: "../x"}) },
		"too large a template": func(s *Spec) {
			s.Sections = append(s.Sections, Content{Kind: KindTemplate, Name: "big", Data: make([]byte, 4<<20+1)})
		},
	} {
		dir := t.TempDir()
		spec := fixtureSpec(t)
		change(&spec)
		if w, err := NewWriter(filepath.Join(dir, "p"), spec); err == nil {
			t.Errorf("%s: accepted", name)
			w.Abort()
		}
		if left := listDir(t, dir); len(left) != 0 {
			t.Errorf("%s: left behind %v", name, left)
		}
	}
}

func mutatedProgram(t *testing.T, change func(*Program)) Content {
	p := fixtureProgram("x86-64-v3")
	change(p)
	c, err := ProgramContent(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func listDir(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// brokenFile fails its n-th operation, like a disk that is full or broken.
type brokenFile struct {
	planFile
	left *int
}

var errBroken = errors.New("no space left on device")

func (f brokenFile) fails() bool { *f.left--; return *f.left == 0 }

func (f brokenFile) WriteAt(b []byte, at int64) (int, error) {
	if f.fails() {
		n, _ := f.planFile.WriteAt(b[:len(b)/2], at)
		return n, errBroken
	}
	return f.planFile.WriteAt(b, at)
}

func (f brokenFile) ReadAt(b []byte, at int64) (int, error) {
	if f.fails() {
		return 0, errBroken
	}
	return f.planFile.ReadAt(b, at)
}

func (f brokenFile) Truncate(n int64) error {
	if f.fails() {
		return errBroken
	}
	return f.planFile.Truncate(n)
}

func (f brokenFile) Commit(path string) error {
	if f.fails() {
		return errBroken
	}
	return f.planFile.Commit(path)
}

// Whichever operation fails, the build fails, nothing is left behind, and an older plan of the name stays as it was. Both
// ways of making a temporary file are tried.
func TestDiskFailures(t *testing.T) {
	spec := fixtureSpec(t)
	for name, create := range map[string]func(string, int64) (planFile, error){"default": createPlanFile, "named": createNamed} {
		finished := false
		for n := 1; !finished; n++ {
			dir := t.TempDir()
			path := filepath.Join(dir, "old.plan")
			if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			left := n
			err := tryWrite(path, spec, func(path string, size int64) (planFile, error) {
				f, err := create(path, size)
				return brokenFile{f, &left}, err
			})
			finished = left > 0
			if finished != (err == nil) {
				t.Fatalf("%s: operation %d failed: error %v", name, n, err)
			}
			if names := listDir(t, dir); !slices.Equal(names, []string{"old.plan"}) {
				t.Fatalf("%s: operation %d failed: directory has %v", name, n, names)
			}
			if content, _ := os.ReadFile(path); !finished && string(content) != "old" {
				t.Fatalf("%s: operation %d failed: the old plan is gone", name, n)
			}
		}
	}
}

func tryWrite(path string, spec Spec, create func(string, int64) (planFile, error)) error {
	w, err := newWriter(path, spec, create)
	if err != nil {
		return err
	}
	defer w.Abort()
	for i, e := range spec.Weights {
		data := weightBytes(i, e.Bytes)
		half := len(data) / 2
		if _, err := w.Weight(i).WriteAt(data[half:], int64(half)); err != nil {
			return err
		}
		if _, err := w.Weight(i).WriteAt(data[:half], 0); err != nil {
			return err
		}
	}
	if err := w.WriteLate(KindAccuracy, []byte("{}")); err != nil {
		return err
	}
	_, err = w.Finish()
	return err
}

func TestDestination(t *testing.T) {
	dir := t.TempDir()
	if w, err := NewWriter(dir, fixtureSpec(t)); err == nil {
		t.Error("wrote over a directory")
		w.Abort()
	}
	if w, err := NewWriter(filepath.Join(dir, "absent", "p"), fixtureSpec(t)); err == nil {
		t.Error("wrote into an absent directory")
		w.Abort()
	}
}
