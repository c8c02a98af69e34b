package golden

import (
	"os"
	"path/filepath"
	"testing"
)

const sample = "what it shows\n-- in --\nabc\n-- out --\nold\n"

func writeSample(t *testing.T) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "case.txtar")
	if err := os.WriteFile(path, []byte(sample), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, path
}

func TestUpdateRewritesOnlyWhatChanged(t *testing.T) {
	dir, path := writeSample(t)
	t.Setenv("UPDATE", "1")
	Each(t, filepath.Join(dir, "*.txtar"), func(t *testing.T, a *Archive) {
		if got := a.Input(t, "in"); got != "abc\n" {
			t.Errorf("in = %q", got)
		}
		a.Check(t, "out", "new")
		a.Check(t, "more", "x\n")
	})
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "what it shows\n-- in --\nabc\n-- out --\nnew\n-- more --\nx\n"; string(got) != want {
		t.Errorf("after update:\n%s\nwant:\n%s", got, want)
	}
}

func TestCheckReportsDifferences(t *testing.T) {
	dir, path := writeSample(t)
	t.Setenv("UPDATE", "")
	Each(t, filepath.Join(dir, "*.txtar"), func(t *testing.T, a *Archive) {
		a.Check(t, "out", "old")
		for _, c := range []struct{ section, text string }{{"out", "new"}, {"missing", "new"}} {
			probe := &testing.T{}
			a.Check(probe, c.section, c.text)
			if !probe.Failed() {
				t.Errorf("section %q: a difference went unnoticed", c.section)
			}
		}
	})
	if got, _ := os.ReadFile(path); string(got) != sample {
		t.Error("the file was written without UPDATE=1")
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "x.md")
	t.Setenv("UPDATE", "1")
	File(t, path, []byte("hello\n"))
	t.Setenv("UPDATE", "")
	File(t, path, []byte("hello\n"))
}

func TestRootHoldsTheModule(t *testing.T) {
	if filepath.Base(filepath.Dir(filepath.Join(Root(t), "internal", "golden"))) != "internal" {
		t.Fatal("unexpected root")
	}
	if _, err := os.Stat(filepath.Join(Root(t), "internal", "golden", "golden.go")); err != nil {
		t.Fatal(err)
	}
}
