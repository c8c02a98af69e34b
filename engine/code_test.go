package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

const codeText = ".version 7.8\n.target sm_80\n.address_size 64\n\n.visible .entry gather_1()\n{\n}\n\n.visible .entry rows_1()\n{\n}\n\n" +
	".visible .entry cast_1()\n{\n}\n\n.visible .entry linear_1()\n{\n}\n"

func code(entry string, x, y sym.Dim, per int64, threads, shared int) []Code {
	return []Code{{Entry: entry, Grid: [3]Extent{{x, 1}, {y, per}, {sym.Const(1), 1}}, Threads: threads, Shared: shared}}
}

// codeProgram is a valid program of a device that takes its kernels from the plan: the logits of the embedding's own rows.
func codeProgram() *Program {
	const b, w, in, none = OperandBuffer, OperandWeight, OperandInput, OperandNone
	t, r, one := sym.Of(sym.T), sym.Of(sym.R), sym.Const(1)
	return &Program{
		Func: "step", Target: "sm80",
		Slots: []sym.Dim{t.Scale(256), r.Scale(512)},
		Buffers: []Buffer{buf("x", 0, sym.T, 64, 256, dtype.F32), buf("rows", 1, sym.R, 64, 256, dtype.F32),
			{Name: "last", Slot: 1, Rows: r, Cols: 64, Stride: 128, DType: dtype.BF16}, buf("logits", 1, sym.R, fixtureVocab, 192, dtype.F32)},
		Weights: []string{"embed"},
		Caches:  []Cache{},
		Launches: []Launch{
			{Kernel: "cuda.gather", Label: "embed", Operands: ops(w, 0, in, 0, b, 0), Code: code("gather_1", t, one, 1, 128, 0)},
			{Kernel: "cuda.select_rows", Label: "rows", Operands: ops(b, 0, in, 4, b, 1), Sync: true, Code: code("rows_1", r, one, 1, 32, 0)},
			{Kernel: "cuda.cast", Label: "last", Operands: ops(b, 1, b, 2), Sync: true, Code: code("cast_1", r, one, 1, 1024, 0)},
			{Kernel: "cuda.linear", Label: "head", Operands: ops(b, 2, w, 0, none, 0, none, 0, none, 0, b, 3), Sync: true,
				Code: code("linear_1", sym.Const(3), r.Scale(2).Add(sym.Const(5)), 16, 256, 99<<10)},
		},
		Logits:    3,
		Auxiliary: []Auxiliary{{CopyPages, code(CopyPages, t, sym.Const(8), 1, 128, 0)[0]}},
	}
}

func codeWeights() []WeightEntry {
	return []WeightEntry{{Name: "embed", Layout: "frag.bf16", Format: "bf16", Shape: []int64{fixtureVocab, fixtureHidden}, Bytes: fixtureVocab * fixtureHidden * 2}}
}

// codePlan writes a plan of codeProgram.
func codePlan(t testing.TB) string {
	t.Helper()
	info := fixtureInfo()
	spec := Spec{Weights: codeWeights(), Sections: []Content{{KindPTX, "sm80", []byte(codeText)}}}
	for _, make := range []func() (Content, error){
		func() (Content, error) { return InfoContent(&info) }, func() (Content, error) { return ProgramContent(codeProgram()) },
	} {
		c, err := make()
		if err != nil {
			t.Fatal(err)
		}
		spec.Sections = append(spec.Sections, c)
	}
	path := filepath.Join(t.TempDir(), "code.plan")
	writePlan(t, path, spec, 1, 1<<20, 0)
	return path
}

func decodeCode(data []byte) (*Program, error) {
	h, info := Header{Weights: codeWeights()}, fixtureInfo()
	return decodeProgram("step/sm80", data, h.weightIndex(), &info)
}

func TestCodeRoundTrip(t *testing.T) {
	p := openPlan(t, codePlan(t))
	got, err := p.Program("step", "sm80")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(codeProgram(), got); diff != "" {
		t.Error(diff)
	}
	if text, err := p.Section(KindPTX, "sm80"); err != nil || string(text) != codeText {
		t.Errorf("code %q, %v", text, err)
	}
	y := got.Launches[3].Code[0].Grid[1]
	for rows, want := range map[int64]int64{1: 1, 5: 1, 6: 2, 14: 3} {
		if n, err := y.Eval(sym.Bind(rows, 1, rows, rows)); err != nil || n != want {
			t.Errorf("%v for %d rows is %d (%v), want %d", y, rows, n, err, want)
		}
	}
}

func TestCodeChecks(t *testing.T) {
	for _, c := range []programChange{
		{"nothing", func(*Program) {}, ""},
		{"largest", func(p *Program) { p.Launches[0].Code[0].Threads, p.Launches[0].Code[0].Shared = 1024, 256<<10 }, ""},
		{"no code", func(p *Program) { p.Launches[1].Code = nil }, "device cuda takes kernels from the plan's code: true; the launch names an entry: false"},
		{"kernel of a CPU", func(p *Program) { p.Launches[1].Kernel = "cpu.select_rows" }, "no such kernel for device cuda"},
		{"no entry", func(p *Program) { p.Launches[1].Code[0].Entry = "" }, `entry ""`},
		{"entry of two lines", func(p *Program) { p.Launches[1].Code[0].Entry = "a\nb" }, "not an identifier"},
		{"entry with a digit first", func(p *Program) { p.Launches[1].Code[0].Entry = "1a" }, "not an identifier"},
		{"long entry", func(p *Program) { p.Launches[1].Code[0].Entry = strings.Repeat("a", 257) }, "not an identifier"},
		{"no threads", func(p *Program) { p.Launches[1].Code[0].Threads = 0 }, "entry rows_1: 0 threads"},
		{"threads negative", func(p *Program) { p.Launches[1].Code[0].Threads = -1 }, "-1 threads"},
		{"many threads", func(p *Program) { p.Launches[1].Code[0].Threads = 1025 }, "1025 threads"},
		{"shared negative", func(p *Program) { p.Launches[1].Code[0].Shared = -1 }, "-1 bytes of shared"},
		{"much shared", func(p *Program) { p.Launches[1].Code[0].Shared = 256<<10 + 1 }, "262145 bytes of shared"},
		{"grid negative", func(p *Program) { p.Launches[1].Code[0].Grid[2].Of = sym.Const(-1) }, "grid: size -1"},
		{"grid coefficient negative", func(p *Program) { p.Launches[1].Code[0].Grid[0].Of.Coef[sym.B] = -2 }, "grid: size"},
		{"grid huge", func(p *Program) { p.Launches[1].Code[0].Grid[0].Of.Coef[sym.T] = math.MaxInt64 }, "grid: size"},
		{"divided by zero", func(p *Program) { p.Launches[1].Code[0].Grid[0].Per = 0 }, "grid divided by 0"},
		{"divided by less", func(p *Program) { p.Launches[1].Code[0].Grid[0].Per = math.MinInt64 }, "grid divided by"},
		{"input that CPUs have not", func(p *Program) { p.Launches[0].Operands[1].Index = 8 }, "launch 0 cuda.gather (embed): operand ids"},
	} {
		p := codeProgram()
		c.change(p)
		content, err := ProgramContent(p)
		if err != nil {
			t.Fatal(err)
		}
		_, err = decodeCode(content.Data)
		if (err == nil) != (c.text == "") || err != nil && (!errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
	p := fixtureProgram("x86-64-v3")
	p.Launches[0].Code = code("gather_1", sym.Of(sym.T), sym.Const(1), 1, 128, 0)
	if err := decodeFixture(t, p); err == nil || !strings.Contains(err.Error(), "the launch names an entry: true") {
		t.Errorf("code on a CPU: %v", err)
	}
}

// TestCodeFieldsHostile puts anything into each field of a launch's code: a typed error, or a program that comes back the same.
func TestCodeFieldsHostile(t *testing.T) {
	content, err := ProgramContent(codeProgram())
	if err != nil {
		t.Fatal(err)
	}
	grids := []any{[]any{"T", "1"}, []any{"T", "1", "1", "1"}, []any{"T/", "1", "1"}, []any{"T/0", "1", "1"}, []any{"T/-4", "1", "1"}, []any{"T/4/4", "1", "1"},
		[]any{"/4", "1", "1"}, []any{"", "1", "1"}, []any{"Q", "1", "1"}, []any{"T/99999999999999999999", "1", "1"}, []any{1, 1, 1}}
	for _, field := range []string{"entry", "grid", "threads", "shared", "later"} {
		for _, value := range append(grids, hostileValues...) {
			var program looseHeader
			if err := msgpack.Unmarshal(content.Data, &program); err != nil {
				t.Fatal(err)
			}
			at(at(program, "launches", 3), "code", 0)[field] = value
			data, err := marshal(program)
			if err != nil {
				t.Fatal(err)
			}
			p, err := decodeCode(data)
			if err != nil {
				if !errors.Is(err, ErrProgram) || strings.ContainsAny(err.Error(), "\n\r\x1b") {
					t.Errorf("%s = %v: %v", field, value, err)
				}
				continue
			}
			if field == "grid" || field == "later" {
				t.Errorf("%s = %v is accepted", field, value)
			}
			sameAgain(t, fmt.Sprintf("%s = %v", field, value), p)
		}
	}
}

func sameAgain(t *testing.T, what string, p *Program) {
	t.Helper()
	content, err := ProgramContent(p)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	again, err := decodeCode(content.Data)
	if err != nil {
		t.Fatalf("%s: encoded again it is refused: %v", what, err)
	}
	if diff := cmp.Diff(p, again); diff != "" {
		t.Fatalf("%s: encoded again it differs:\n%s", what, diff)
	}
}

// Any bytes as a program with code: an error, or one that comes back the same after encoding.
func FuzzCode(f *testing.F) {
	c, err := ProgramContent(codeProgram())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Data)
	f.Add(bytes.Replace(c.Data, []byte("5+2*R/16"), []byte("7+4*S/99"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := decodeCode(data); err == nil {
			sameAgain(t, "program", p)
		}
	})
}

// TestPythonReadsCode has the other reader check a plan whose launches run code of the plan, and one whose code lacks an entry.
func TestPythonReadsCode(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	path := codePlan(t)
	out, err := exec.Command(python, "../testdata/scripts/read_plan.py", path).CombinedOutput()
	var got struct{ Programs, Entries map[string][]string }
	if err != nil || json.Unmarshal(out, &got) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := map[string][]string{"step/sm80": {"gather_1", "rows_1", "cast_1", "linear_1"}}
	if diff := cmp.Diff(want, got.Entries); diff != "" || len(got.Programs["step/sm80"]) != 4 {
		t.Errorf("entries:\n%s", diff)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(whole, []byte(".entry cast_1"), []byte(".entry cost_1"), 1)
	if err := os.WriteFile(path, changed, 0o644); err != nil {
		t.Fatal(err)
	}
	p := openPlan(t, path) // code is read when it is asked for
	if _, err := p.Section(KindPTX, "sm80"); !errors.Is(err, ErrChecksum) {
		t.Errorf("changed code: %v", err)
	}
	if out, err := exec.Command(python, "../testdata/scripts/read_plan.py", path).CombinedOutput(); err == nil || !strings.Contains(string(out), "section ptx sm80 is damaged") {
		t.Errorf("changed code: %v, %s", err, out)
	}
}
