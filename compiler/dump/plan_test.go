package dump_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/internal/dtype"
	"llmc/internal/golden"
	"llmc/internal/sym"
)

// hostile is a name that would be a script in a page that does not escape it.
const hostile = `<script>alert("1")</script>`

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func buffer(name string, slot int, rows sym.Symbol, cols int64, d dtype.Type) engine.Buffer {
	return engine.Buffer{Name: name, Slot: slot, Rows: sym.Of(rows), Cols: cols, Stride: cols * int64(d.Size()), DType: d}
}

func operands(list ...int) []engine.Operand {
	var out []engine.Operand
	for i := 0; i < len(list); i += 2 {
		out = append(out, engine.Operand{Kind: engine.OperandKind(list[i]), Index: list[i+1]})
	}
	return out
}

// tinyProgram embeds tokens, attends with them and multiplies the sampled rows with the embedding. Everything is bf16 or f32.
func tinyProgram() *engine.Program {
	const none, b, w, c, in = int(engine.OperandNone), int(engine.OperandBuffer), int(engine.OperandWeight), int(engine.OperandCache), int(engine.OperandInput)
	return &engine.Program{
		Func: "step", Target: "x86-64-v4-bf16",
		Slots: []sym.Dim{sym.Of(sym.T).Scale(128), sym.Of(sym.T).Scale(128), sym.Of(sym.R).Scale(128), sym.Of(sym.R).Scale(128), sym.Of(sym.R).Scale(192)},
		Buffers: []engine.Buffer{
			buffer("x", 0, sym.T, 32, dtype.F32), buffer("a", 1, sym.T, 32, dtype.F32), buffer("last", 2, sym.R, 32, dtype.F32),
			{Name: "narrow", Slot: 3, Rows: sym.Of(sym.R), Cols: 32, Stride: 128, DType: dtype.BF16}, buffer("logits", 4, sym.R, 48, dtype.F32),
		},
		Weights: []string{hostile},
		Caches:  []engine.Cache{{Name: "kv", Kind: "paged", Layers: 3, KVHeads: 1, Dim: 16, DType: dtype.F32}},
		Launches: []engine.Launch{
			{Kernel: "cpu.gather", Label: "embed", Operands: operands(w, 0, in, 0, b, 0)},
			{Kernel: "cpu.attention", Label: "attention", Operands: operands(b, 0, in, 1, c, 0, none, 0, none, 0, b, 1), Sync: true, Attrs: []engine.Attr{
				{Name: "layer"}, {Name: "heads", Int: 2}, {Name: "kv_heads", Int: 1}, {Name: "dim", Int: 16}, {Name: "scale", Float: 0.25}, {Name: "window", Int: 100}}},
			{Kernel: "cpu.select_rows", Label: "rows", Operands: operands(b, 1, in, 4, b, 2), Sync: true},
			{Kernel: "cpu.cast", Label: "narrow", Operands: operands(b, 2, b, 3), Sync: true},
			{Kernel: "cpu.linear", Label: "head", Operands: operands(b, 3, w, 0, none, 0, b, 4), Sync: true},
		},
		Logits: 4,
	}
}

func tinyPlan(t *testing.T) *engine.Plan {
	t.Helper()
	program := tinyProgram()
	info := engine.ModelInfo{Name: "tiny", Family: "llama", Vocab: 48, Hidden: 32, Layers: 3, Heads: 2, KVHeads: 1, HeadDim: 16,
		Parameters: 1536, MaxContext: 250, Quant: "bf16", BitsPerW: 16, BOS: -1, EOS: []int32{2}}
	spec := engine.Spec{Weights: []engine.WeightEntry{
		{Name: hostile, Layout: "bf16", Format: "bf16", Shape: []int64{48, 32}, Bytes: 64 * 64 * 2, Recipe: hostile}}}
	add := func(c engine.Content, err error) {
		check(t, err)
		spec.Sections = append(spec.Sections, c)
	}
	add(engine.InfoContent(&info))
	add(engine.ProgramContent(program))
	add(engine.RulesContent([]engine.RuleCount{{Pass: "fold", Rule: "one", Count: 2}}))
	add(engine.ProvenanceContent(&engine.Provenance{Compiler: "1.0", Options: []engine.Option{{Name: "quant", Value: "bf16"}}}))
	path := filepath.Join(t.TempDir(), "tiny.plan")
	w, err := engine.NewWriter(path, spec)
	check(t, err)
	_, err = w.Weight(0).WriteAt(make([]byte, spec.Weights[0].Bytes), 0)
	check(t, err)
	_, err = w.Finish()
	check(t, err)
	plan, err := engine.Open(path)
	check(t, err)
	t.Cleanup(func() { plan.Close() })
	return plan
}

func tinyReport(t *testing.T, threads int) (*engine.Plan, *dump.Plan) {
	plan := tinyPlan(t)
	report, err := dump.NewPlan(plan, threads)
	check(t, err)
	report.Path = "tiny.plan"
	return plan, report
}

func TestReportAgainstGolden(t *testing.T) {
	golden.Each(t, "testdata/tiny.txtar", func(t *testing.T, a *golden.Archive) {
		_, report := tinyReport(t, 2)
		data, err := json.MarshalIndent(report, "", "  ")
		check(t, err)
		a.Check(t, "json", string(data)+"\n")
		var text bytes.Buffer
		check(t, report.WriteText(&text, true))
		a.Check(t, "text", text.String())
	})
}

// TestCostsByHand compares predictions with sums made by hand: 250 positions, a window of 100, 2 heads of 16, one KV head, f32 cache.
func TestCostsByHand(t *testing.T) {
	_, report := tinyReport(t, 2)
	p := report.Programs[0]
	for _, c := range []struct {
		launch, step int
		bytes, flops float64
	}{
		{0, 0, 8192.0/48 + 32*4, 0},
		{1, 0, 2*32*4 + 100*2*16*4, 4 * 2 * 16 * 100},
		{1, 1, 2*250*32*4 + 250*2*16*4, 4 * 2 * 16 * (100*101/2 + 150*100)},
		{4, 1, 32*2 + 8192 + 48*4, 2 * 48 * 32},
	} {
		got := p.Launches[c.launch].Steps[c.step]
		n := p.Nominal
		rate := n.F32
		if c.launch == 4 {
			rate = n.BF16
		}
		seconds := max(c.bytes/n.ReadBytes, c.flops/rate) / 2
		if math.Abs(got.Bytes-c.bytes) > 1e-6 || got.Flops != c.flops || math.Abs(got.Seconds-seconds) > 1e-15 {
			t.Errorf("%s, step %d: %+v, want %v bytes, %v flops, %v s", p.Launches[c.launch].Label, c.step, got, c.bytes, c.flops, seconds)
		}
	}
	_, alone := tinyReport(t, 1)
	if a, b := alone.Programs[0].Steps[0].Seconds, p.Steps[0].Seconds; math.Abs(a-2*b) > 1e-15 {
		t.Errorf("one core takes %v, two take %v", a, b)
	}
}

func TestMemoryAddsUp(t *testing.T) {
	plan := tinyPlan(t)
	program, err := plan.Program("step", "x86-64-v4-bf16")
	check(t, err)
	m, err := dump.NewMemory(plan, program, dump.MemorySettings{MaxBatch: 4, StepTokens: 10, KVMemory: 1 << 20})
	check(t, err)
	const tokenBytes = 3 * 2 * 16 * 4 // layers, keys and values
	pages := int64(1<<20) / (16 * tokenBytes)
	want := dump.Memory{WeightBytes: 8192, ActivationBytes: 10*128*2 + 4*128*2 + 4*192, KVTokenBytes: tokenBytes, KVBytes: 1 << 20,
		Pages: pages, Tokens: 16 * pages, FullSequences: pages / 16, MaxBatch: 4, MaxContext: 250, StepTokens: 10}
	want.TotalBytes = want.WeightBytes + want.ActivationBytes + want.KVBytes
	if *m != want {
		t.Errorf("got  %+v\nwant %+v", *m, want)
	}
	m, err = dump.NewMemory(plan, program, dump.MemorySettings{MaxBatch: 4})
	check(t, err)
	if m.FullSequences != 4 || m.KVBytes != 4*256*tokenBytes {
		t.Errorf("by default %d sequences in %d bytes", m.FullSequences, m.KVBytes)
	}
	for _, s := range []dump.MemorySettings{{MaxBatch: -1}, {MaxContext: -5}, {StepTokens: 1 << 30}} {
		if _, err := dump.NewMemory(plan, program, s); err == nil {
			t.Errorf("%+v accepted", s)
		}
	}
}

// ownScripts matches the scripts of a page, and its data; of other scripts an attribute or a name would have to be one.
var ownScripts = regexp.MustCompile(`(?s)<script>"use strict";.*?</script>|<script type="application/json" id="data">[^<>]*</script>`)

// wellFormed reads a page as XML, which is stricter than HTML, and checks that it loads nothing, is not too large, and holds no script but its own, which its policy admits by their hashes.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	if most := 2 << 20; len(page) > most {
		t.Errorf("the page has %d bytes, more than %d", len(page), most)
	}
	for _, script := range ownScripts.FindAllString(page, -1) {
		text, own := strings.CutPrefix(strings.TrimSuffix(script, "</script>"), "<script>")
		sum := sha256.Sum256([]byte(text))
		if own && !strings.Contains(page, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Error("the policy does not admit a script")
		}
	}
	page = ownScripts.ReplaceAllString(page, "")
	d := xml.NewDecoder(strings.NewReader(page))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if e.Name.Local == "script" {
			t.Fatal("the page holds a script")
		}
		for _, a := range e.Attr {
			if a.Name.Local == "src" || a.Name.Local == "href" && !strings.HasPrefix(a.Value, "#") {
				t.Errorf("<%s %s=%q>: the page loads something", e.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("the template engine refused a value")
	}
}

func TestReportPage(t *testing.T) {
	plan, report := tinyReport(t, 2)
	var page strings.Builder
	check(t, report.WriteHTML(&page, plan, func(program *engine.Program) (*dump.Memory, error) {
		return dump.NewMemory(plan, program, dump.MemorySettings{})
	}))
	wellFormed(t, page.String())
	if !strings.Contains(page.String(), "&lt;script&gt;alert") {
		t.Error("the weight's name is not in the page")
	}
}

func TestTraceOfDemo(t *testing.T) {
	trace := &dump.Trace{Model: hostile}
	out := filepath.Join(t.TempDir(), "demo.plan")
	_, err := compiler.Build(t.Context(), compiler.Options{Model: "../../testdata/demo", Out: out, Archs: []string{"x86-64-v3", "x86-64-v4-bf16"}, Quant: "int4", Trace: trace})
	check(t, err)
	if len(trace.Runs) != 2 {
		t.Fatalf("%d runs", len(trace.Runs))
	}
	changed := map[string]bool{}
	for _, p := range trace.Runs[1].Passes {
		changed[p.Name] = p.Changed
		if p.Name == "fuse-qkv" && (len(p.Rules) == 0 || p.Rules[0].Count != 4 || p.Added == 0 || p.Removed == 0) {
			t.Errorf("fuse-qkv: %+v, %d added, %d removed", p.Rules, p.Added, p.Removed)
		}
	}
	if !changed["quantize"] || changed["fold"] {
		t.Errorf("changed: %v", changed)
	}
	path := filepath.Join(t.TempDir(), "trace.html")
	check(t, cli.WriteFile(path, trace.WriteHTML))
	var page strings.Builder
	check(t, trace.WriteHTML(&page))
	wellFormed(t, page.String())

	plan, err := engine.Open(out)
	check(t, err)
	defer plan.Close()
	report, err := dump.NewPlan(plan, 2)
	check(t, err)
	for _, l := range report.Programs[1].Launches {
		if l.Kernel == "cpu.linear_swiglu" && l.Steps[0].Flops != 2*float64(l.Flops) {
			t.Errorf("%s: %v flops, integer weights are multiplied twice: %d", l.Label, l.Steps[0].Flops, 2*l.Flops)
		}
	}
}
