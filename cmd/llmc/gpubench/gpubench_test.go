package gpubench

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"llmc/engine"
	"llmc/internal/ptxas"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

func TestParseSpecs(t *testing.T) {
	for text, want := range map[string]string{
		"8b:fp8,int4  1b:bf16": "8b:fp8 8b:int4 1b:bf16", "none": "", "default": "8b:fp8 8b:bf16 8b:int4 1b:bf16", "all": "8b:fp8 8b:bf16 8b:int4 1b:bf16 1b:fp8 1b:int4",
		"8b": "!no format", "x:bf16": "!no model", "8b:fp8,": "!no format",
	} {
		specs, err := parseSpecs(text)
		var names []string
		for _, s := range specs {
			names = append(names, s.String())
		}
		if refusal, refused := strings.CutPrefix(want, "!"); refused != (err != nil) || refused && !strings.Contains(err.Error(), refusal) || !refused && strings.Join(names, " ") != want {
			t.Errorf("%q: %v, %v; want %s", text, names, err, want)
		}
	}
}

// TestCopyCopies wants every byte to be copied by the kernel whose bandwidth is measured.
func TestCopyCopies(t *testing.T) {
	d := emu.Open(emu.Options{Races: true})
	text, err := copyText()
	if err != nil {
		t.Fatal(err)
	}
	code, err := d.Load(text)
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := code.Entry("copy")
	if err != nil {
		t.Fatal(err)
	}
	places, err := d.Alloc("copies", []gpu.Range{{Name: "from", Bytes: 2 * copyStep}, {Name: "to", Bytes: 2 * copyStep}})
	if err != nil {
		t.Fatal(err)
	}
	from, to := places[0], places[1]
	data, copied := make([]byte, 2*copyStep), make([]byte, 2*copyStep)
	for i := range data {
		data[i] = byte(i * 7 / 3)
	}
	launch := &gpu.Launch{Kernel: kernel, Grid: [3]uint32{2, 1, 1}, Threads: copyThreads, Args: []uint64{from.Addr(), to.Addr()}}
	if err := errors.Join(from.Write(0, data), d.Launch(launch), d.Finish(), to.Read(0, copied)); err != nil || !slices.Equal(data, copied) {
		t.Errorf("%v; copied: %v", err, slices.Equal(data, copied))
	}
}

// TestCopyBandwidth wants both figures, of what a copy moves and of what is read.
func TestCopyBandwidth(t *testing.T) {
	d := emu.Open(emu.Options{Races: true})
	var rows []Row
	if err := measureCopy(d, 3*copyStep+5, func(r Row) error { rows = append(rows, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Kind != "copy" || rows[1].Kind != "read" || !(rows[0].GBs > 0) || !(rows[1].GBs > 0) {
		t.Fatalf("%+v", rows)
	}
	want := float64(2*3*copyStep) / rows[0].Micros / 1e3
	if off := rows[0].GBs - want; off > 1e-9 || off < -1e-9 {
		t.Errorf("%v GB/s, want %v", rows[0].GBs, want)
	}
}

// TestGroups puts layers together, and nothing that differs in more.
func TestGroups(t *testing.T) {
	groups := groupsOf([]engine.LaunchTime{{Kernel: "a", Label: "l0.q1"}, {Kernel: "b", Label: "l0.q1"}, {Kernel: "a", Label: "l13.q1"}, {Kernel: "a", Label: "l1.q2"}, {Kernel: "host"}})
	if len(groups) != 3 || groups[0].name != "l*.q1" || !slices.Equal(groups[0].launches, []int{0, 2}) || groups[2].name != "l*.q2" {
		t.Errorf("%+v", groups)
	}
}

// TestGoals wants the figures that count: the best of the format, of int4 beside bf16 the worst.
func TestGoals(t *testing.T) {
	r := &Result{Sections: []Section{{Rows: []Row{
		{Kind: "model", Model: "8b", Format: "fp8", Sequences: 1, DecodeTPS: 430, OfCopy: 0.7, HostMicros: 20, Micros: 2},
		{Kind: "model", Model: "8b", Format: "fp8", Sequences: 8, DecodeTPS: 9000, OfCopy: 0.9, HostMicros: 35, Micros: 2},
		{Kind: "model", Model: "1b", Format: "fp8", Sequences: 1, DecodeTPS: 9000, OfCopy: 0.99},
		{Kind: "product", Model: "8b", Format: "bf16", Tokens: 8, Context: 1024, N: 1, K: 2, Micros: 8},
		{Kind: "product", Model: "8b", Format: "int4", Tokens: 8, Context: 1024, N: 1, K: 2, Micros: 2},
		{Kind: "product", Model: "8b", Format: "int4", Tokens: 32, Context: 1024, N: 1, K: 2, Micros: 20},
		{Kind: "attention", Model: "8b", Format: "fp8", Tokens: 8192, Sequences: 1, TFlops: 400},
		{Kind: "attention", Model: "8b", Format: "fp8", Tokens: 8, Sequences: 8, TFlops: 900, OfCopy: 0.88},
	}}}}
	want := map[string]struct {
		reached float64
		met     bool
	}{
		"8B fp8 batch 1, share of copy bandwidth": {0.7, false}, "8B fp8 batch 1, 2048 in, 128 out": {430, true}, "8B decode step, the host's time": {35, false},
		"8B int4 products up to 16 tokens, of the speed of bf16, the least": {4, true}, "8B prefill attention, the fastest": {400, false},
		"8B paged decode attention, share of copy bandwidth": {0.88, true}, "8B bf16 batch 1, 2048 in, 128 out": {0, false},
	}
	for _, g := range goals(r) {
		if w, ok := want[g.Name]; ok && (g.Reached != w.reached || g.Met() != w.met) {
			t.Errorf("%+v met %v, want %+v", g, g.Met(), w)
		}
		delete(want, g.Name)
	}
	if len(want) > 0 {
		t.Errorf("no goals %v", want)
	}
}

// TestTorchCases wants every product and attention of a model to have a case that it is compared with.
func TestTorchCases(t *testing.T) {
	specs, err := parseSpecs("8b:int4,fp8")
	if err != nil {
		t.Fatal(err)
	}
	cases := torchCases(specs, 1<<30)
	for _, row := range []Row{
		{Kind: "product", Format: "int4", Tokens: 64, N: 6144, K: 4096}, {Kind: "product", Format: "fp8", Tokens: 8192, N: 28672, K: 4096}, {Kind: "product", Format: "fp8", Tokens: 1, N: 128256, K: 4096},
		{Kind: "attention", Format: "fp8", Tokens: 2048, Sequences: 1, Context: 2048, Heads: 32, KVHeads: 8, Dim: 128},
		{Kind: "attention", Format: "int4", Tokens: 64, Sequences: 64, Context: 4096, Heads: 32, KVHeads: 8, Dim: 128},
	} {
		if !slices.Contains(cases, caseOf(&row)) {
			t.Errorf("no case for %+v", row)
		}
	}
}

// TestRunEnds wants a section that does not end to be ended, and a run that has no time left to say so.
func TestRunEnds(t *testing.T) {
	script := `case "$*" in *"--section copy"*) echo '{"card":{"device":"A Card"}}'; echo '{"row":{"kind":"copy","gb_per_s":2}}';; *) sleep 60;; esac`
	o := &Options{Plans: "tiny:bf16", Out: t.TempDir(), Budget: leastSection + 1500*time.Millisecond, Limit: 3 * time.Second} // a busy machine begins a shell late
	r, path, err := Run(context.Background(), o, []string{"/bin/sh", "-c", script, "sh"}, &strings.Builder{})
	if err != nil || len(r.Sections) != 3 || filepath.Base(path) != "a-card-.json" || len(r.Sections[0].Rows) != 1 || r.Sections[0].Rows[0].OfCopy != 1 {
		t.Fatalf("%s, %v: %+v", path, err, r)
	}
	if s := r.Sections[1:]; !strings.Contains(s[0].Error, "ended after 1.5s") || !strings.Contains(s[1].Error, "not begun") {
		t.Errorf("%+v", s)
	}
	o.Budget = time.Second
	if r, _, err := Run(context.Background(), o, []string{"/bin/sh", "-c", script, "sh"}, &strings.Builder{}); err == nil && r.Device != "" || errors.Is(err, context.Canceled) {
		t.Errorf("%v: %+v", err, r)
	}
}

// TestAssembleCopy wants code without spilled registers for the oldest and the newest card.
func TestAssembleCopy(t *testing.T) {
	text, err := copyText()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range ptxas.Find(t) {
		for _, arch := range []string{"sm_80", "sm_90"} {
			if kernels := a.Assemble(t, text, arch); len(kernels) != 2 {
				t.Errorf("%+v", kernels)
			}
		}
	}
}
