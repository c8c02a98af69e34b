package engine

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A reader that was written from docs/plan-format.md alone, in another language, sees what this package sees.
func TestPythonReader(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	read := func(path string) (out []byte, message string, err error) {
		var stderr strings.Builder
		cmd := exec.Command(python, "../testdata/scripts/read_plan.py", path)
		cmd.Stderr = &stderr
		out, err = cmd.Output()
		return out, stderr.String(), err
	}
	type row = map[string]any
	var got struct {
		Digest            string
		Sections, Weights []row
		Programs          map[string][]string
	}
	path := fixturePlan(t)
	out, message, err := read(path)
	if err != nil {
		t.Fatal(message)
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	p := openPlan(t, path)
	if got.Digest != p.Digest() || len(got.Sections) != len(p.header.Sections) || len(got.Weights) != len(p.header.Weights) {
		t.Errorf("python read %s, %d sections, %d weights", got.Digest, len(got.Sections), len(got.Weights))
	}
	for i, s := range p.header.Sections {
		want := row{"kind": s.Kind, "offset": float64(s.Offset), "size": float64(s.Size), "sha256": hex.EncodeToString(s.SHA256)}
		if s.Name != "" {
			want["name"] = s.Name
		}
		if diff := cmp.Diff(want, got.Sections[i]); diff != "" {
			t.Errorf("section %d:\n%s", i, diff)
		}
	}
	var kernels []string
	for _, l := range fixtureProgram("x86-64-v3").Launches {
		kernels = append(kernels, l.Kernel)
	}
	if diff := cmp.Diff(kernels, got.Programs["step/x86-64-v3"]); diff != "" {
		t.Errorf("kernels:\n%s", diff)
	}

	entry, data, _ := p.Weight("norm")
	at := p.base + entry.Offset
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.WriteAt([]byte{data[0] ^ 1}, at)
	if _, message, err := read(path); err == nil || !strings.Contains(message, "weight norm is damaged") {
		t.Errorf("damaged weight: %v, %s", err, message)
	}
}
