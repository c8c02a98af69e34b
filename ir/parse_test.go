package ir

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"llmc/internal/golden"
)

func reparse(t *testing.T, m *Module) *Module {
	t.Helper()
	again, err := Parse(Print(m))
	if err != nil {
		t.Fatalf("printed text does not parse: %v\n%s", err, Print(m))
	}
	return again
}

func TestBuiltModuleRoundTrips(t *testing.T) {
	m := tinyLlama(t)
	golden.File(t, filepath.Join("testdata", "tiny-llama.ir"), []byte(Print(m)))
	if !reflect.DeepEqual(reparse(t, m), m) {
		t.Error("Parse(Print(m)) differs from m")
	}
}

func TestCloneIsEqualAndApart(t *testing.T) {
	m := tinyLlama(t)
	c := m.Clone()
	if !reflect.DeepEqual(c, m) {
		t.Fatal("the clone differs")
	}
	before := Print(m)
	c.Weights[0].Type.Dims[0].K++
	c.Weights[0].Name = "other"
	c.Funcs[0].Ops[3].Attrs = nil
	c.Funcs[0].Ops[4].Args[0] = c.Funcs[0].Params[0]
	c.Funcs[0].Ops = c.Funcs[0].Ops[1:]
	c.Caches[0].Layers++
	if Print(m) != before {
		t.Error("changing the clone changed the original")
	}
}

// Cases hold a text (in) and either its canonical form (out) or the error that it gives.
func TestParseCases(t *testing.T) {
	golden.Each(t, "testdata/*.txtar", func(t *testing.T, a *golden.Archive) {
		for _, name := range a.Sections() {
			text, ok := strings.CutSuffix(name, ".in")
			if !ok {
				continue
			}
			m, err := Parse(a.Input(t, name))
			if err != nil {
				a.Check(t, text+".error", err.Error())
				continue
			}
			a.Check(t, text+".out", Print(m))
			if !reflect.DeepEqual(reparse(t, m), m) {
				t.Errorf("%s: Parse(Print(m)) differs from m", text)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "tiny-llama.ir"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add(`module "x" cache @c {kind="paged", layers=1, kv_heads=1, dim=2, dtype="f32"} func @f(%c0: kv[c]) -> (kv[c]) { return %c0 }`)
	f.Add("weight %w : u4[32,64]:int4.g32@u4.g32 {axis=\"row\", segment=64} = interleave(32, tensor(\"a\", 0:16), zeros(8))\nfunc @f(%x: f32[2*T+1,64]) -> (f32[2*T+1,32]) {\n slots [4*T+1, 64]\n sync\n %3 = linear[k.1] %x, %w : f32[2*T+1,32] $0+0/128\n return %3 }")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("error of several lines: %v", err)
			}
			return
		}
		printed := Print(m)
		again, err := Parse(printed)
		if err != nil {
			t.Fatalf("printed text does not parse: %v\n%s", err, printed)
		}
		if !reflect.DeepEqual(again, m) {
			t.Fatalf("Parse(Print(m)) differs from m\n%s\n%s", printed, Print(again))
		}
	})
}

func TestParseIsBounded(t *testing.T) {
	long := strings.Repeat("x", maxName+1)
	for _, c := range []struct{ want, text string }{
		{"text of", strings.Repeat(" ", maxText+1)},
		{"name of 256 bytes", "weight %" + long + " : f32[2]"},
		{"nested too deeply", "weight %w : f32[2] = " + strings.Repeat("concat(", 1<<16)},
		{"more than 64", manyFuncs(maxFuncs + 1)},
		{"slot 65536 must be within", "func @f(%x: f32[T,2]) -> () {\n %y = silu %x : f32[T,2] $65536+0/8\n return }"},
		{"must be within 1..2147483648", "weight %w : f32[99999999999]"},
		{"more than 281474976710656 elements", "weight %w : f32[2147483648,2147483648]"},
		{"slot 1 has a size of -4", "func @f() -> () {\n slots [4*T, -4]\n return }"},
		{"recipe gives", "weight %w : f32[2] = interleave(2147483648, zeros(2147483647), zeros(2147483647))"},
	} {
		if _, err := Parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

func manyFuncs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("func @g" + strings.Repeat("g", i) + "() -> () { return }\n")
	}
	return b.String()
}
