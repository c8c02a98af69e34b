package passes

import (
	"bytes"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/internal/golden"
	"llmc/internal/quant"
	"llmc/ir"
)

// policies are the ways in which the tests quantize.
var policies = []Policy{{}, {Linear: "f32"}, {Linear: "bf16"}, {Linear: "int8"}, {Linear: "int4", Output: "int8"}, {Linear: "int4-g64-zp"}, {Linear: "fp8"}}

// After each pass every model computes what it did before it, within what the pass may change.
func TestPassesKeepMeaning(t *testing.T) {
	for _, s := range shapes {
		for _, policy := range policies {
			t.Run(s.name+"-"+policy.Linear, func(t *testing.T) {
				m := s.model(t)
				e := newEvaluation(t, m)
				before := e.run(t, m)
				opts := Options{Target: Plain{}, Policy: policy, Check: true}
				opts.After = func(name string, m *ir.Module) {
					after := e.run(t, m)
					e.check(t, Find(name), before, after)
					before = after
				}
				if _, err := Run(m, opts); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// What every importable model must become: no op between the fused ones, no weight that could have been joined.
func TestModelsFuse(t *testing.T) {
	for _, s := range shapes {
		always := map[string]int{"gather": 1, "rmsnorm": 1, "linear_swiglu": 2, "rope_kv": 2, "attn.paged": 2, "select_rows": 2, "quantize": 9}
		s.wantKinds(t, always, map[string]int{"linear_add": 2 * layers, "linear": layers + 1})
		s.wantKinds(t, always, map[string]int{"add_rmsnorm": 2 * layers, "linear": 3*layers + 1}, "fuse-linear")
	}
}

// wantKinds runs the passes but those disabled and wants ops of these kinds alone.
func (s shape) wantKinds(t *testing.T, always, more map[string]int, disabled ...string) {
	t.Helper()
	m := s.model(t)
	report, err := Run(m, Options{Target: Plain{}, Policy: Policy{Linear: "int8"}, Disabled: disabled, Check: true})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, op := range m.Func("step").Ops {
		kinds[op.Kind.Name]++
	}
	want := maps.Clone(always)
	maps.Copy(want, more)
	if !maps.Equal(kinds, want) {
		t.Errorf("%s: %v, want %v\n%v\n%s", s.name, kinds, want, report, ir.Print(m))
	}
}

func TestFinalModule(t *testing.T) {
	m := shapes[0].model(t)
	if _, err := Run(m, Options{Target: Plain{}, Policy: Policy{Linear: "int8", Output: "bf16"}, Check: true}); err != nil {
		t.Fatal(err)
	}
	golden.File(t, filepath.Join("testdata", "llama.ir"), []byte(ir.Print(m)))
}

func TestPassesAreDeterministic(t *testing.T) {
	for _, s := range shapes {
		var first string
		for range 5 {
			m := s.model(t)
			if _, err := Run(m, Options{Target: Plain{}, Policy: Policy{Linear: "int4"}}); err != nil {
				t.Fatal(err)
			}
			text := ir.Print(m)
			if first == "" {
				first = text
			}
			if text != first {
				t.Fatalf("%s: two runs give\n%s\n%s", s.name, first, text)
			}
		}
	}
}

// Whatever is switched off, the module computes the same.
func TestEveryRewriteCanBeSwitchedOff(t *testing.T) {
	optional := append(RuleNames(), "fold", "canonicalize", "fuse-qkv", "fuse-add-norm", "fuse-swiglu", "fuse-rope-kv")
	for _, name := range optional {
		for _, s := range shapes[:3] {
			m := s.model(t)
			e := newEvaluation(t, m)
			before := e.run(t, m)
			report, err := Run(m, Options{Target: Plain{}, Disabled: []string{name}, Policy: Policy{Linear: "f32"}, Check: true})
			if err != nil {
				t.Fatalf("without %s: %v", name, err)
			}
			if d := distance(t, e.run(t, m), before); d > 1e-5 {
				t.Errorf("%s without %s: results moved by %.2g", s.name, name, d)
			}
			for _, p := range report.Passes {
				if p.Name == name || slices.ContainsFunc(p.Rules, func(r RuleCount) bool { return r.Rule == name }) {
					t.Errorf("%s ran although it is switched off", name)
				}
			}
		}
	}
}

// The error of a quantized linear stays below what the formats of its weight and of its input allow, element by element.
func TestFormatBounds(t *testing.T) {
	const k, n = 200, 40
	for _, f := range quant.Formats {
		m := parse(t, `
weight %w : f32[40,200]
func @f(%x: f32[T,200]) -> (f32[T,40]) {
  %y = linear %x, %w : f32[T,40]
  return %y
}`)
		e := newEvaluation(t, m)
		exact := e.run(t, m)
		if _, err := RunOne("quantize", m, Options{Policy: Policy{Linear: f.Name}, Check: true}); err != nil {
			t.Fatal(err)
		}
		w, err := e.weights.Tensor("w")
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range e.run(t, m) {
			rows := len(got) / n
			x := inputs(m.Funcs[0], batchOf(rows))["x"]
			for r := range rows {
				for c := range n {
					bound := productBound(&f, x.Row(r), w[c*k:(c+1)*k])
					if d := math.Abs(float64(got[r*n+c] - exact[i][r*n+c])); d > bound {
						t.Fatalf("%s: off by %g, at most %g is allowed", f.Name, d, bound)
					}
				}
			}
		}
	}
}

func TestDumps(t *testing.T) {
	var all, one bytes.Buffer
	for dump, out := range map[string]*bytes.Buffer{"all": &all, "fuse-qkv": &one} {
		if _, err := Run(shapes[0].model(t), Options{Target: Plain{}, Dump: out, DumpPass: dump}); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(all.String(), "// after "); n != len(Table) {
		t.Errorf("%d dumps of %d passes", n, len(Table))
	}
	head, text, _ := strings.Cut(one.String(), "\n")
	if head != "// after fuse-qkv: fuse-qkv 2" || !strings.Contains(all.String(), one.String()) {
		t.Errorf("dump of one pass begins %q", head)
	}
	parse(t, text)
}

func TestMistakesAreNamed(t *testing.T) {
	m := shapes[0].model(t)
	for _, c := range []struct {
		want string
		run  func() error
	}{
		{`unknown pass "fuse-qvk" (did you mean "fuse-qkv"?)`, func() error { _, err := RunOne("fuse-qvk", m, Options{}); return err }},
		{`unknown pass or rule "add-rmsnrom" (did you mean "add-rmsnorm"?)`, func() error {
			_, err := Run(m, Options{Disabled: []string{"add-rmsnrom"}})
			return err
		}},
		{`unknown pass "quantise" (did you mean "quantize"?)`, func() error { _, err := Run(m, Options{DumpPass: "quantise"}); return err }},
		{"pass layout needs a target", func() error { _, err := RunOne("layout", m, Options{}); return err }},
		{"pass plan-memory: property scheduled does not hold: function @step: %6 (rmsnorm) reads %embed without a wait between", func() error {
			_, err := RunOne("plan-memory", m, Options{Target: Plain{}})
			return err
		}},
		{`pass quantize: weight %embed.weight: unknown format "int3"`, func() error { _, err := Run(m.Clone(), Options{Policy: Policy{Linear: "int3"}}); return err }},
	} {
		if err := c.run(); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// broken is a target that fails where a pass asks it.
type broken struct{ Plain }

func (broken) Kernels(op *ir.Op) []Kernel {
	if op.Kind.Name == "attn.paged" {
		panic("no such thing")
	}
	return nil
}

func TestFailuresNamePassAndValue(t *testing.T) {
	m := shapes[0].model(t)
	_, err := Run(m.Clone(), Options{Target: broken{}, Policy: Policy{Linear: "f32"}})
	if err == nil || err.Error() != "pass select: function @step: target plain has no kernel for %embed (gather f32[48,32] i32[T])" {
		t.Errorf("error %v", err)
	}
	defer func() {
		crash, ok := recover().(*Crash)
		if !ok || crash.Error() != "pass select failed at %attn: no such thing (a bug in the compiler)" || crash.Stack == "" {
			t.Fatalf("recovered %v", crash)
		}
		parse(t, crash.IR)
	}()
	m = parse(t, `
cache @kv {kind="paged", layers=1, kv_heads=1, dim=4, dtype="f32"}
func @f(%q: f32[T,4], %kv0: kv[kv]) -> (f32[T,4], kv[kv]) {
  %attn = attn.paged %q, %kv0 {layer=0, heads=1, kv_heads=1, dim=4, scale=1} : f32[T,4]
  return %attn, %kv0
}`)
	_, _ = RunOne("select", m, Options{Target: broken{}})
	t.Error("the panic of a pass was swallowed")
}
