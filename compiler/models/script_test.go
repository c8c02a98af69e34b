package models

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/internal/golden"
	"llmc/ir"
)

const familyFiles = "../../docs/families"

// anonymous prints a module without the names of what ops give, weights in the order of their names.
func anonymous(m *ir.Module) string {
	for _, op := range m.Func("step").Ops {
		for _, r := range op.Results {
			r.Name = ""
		}
	}
	slices.SortFunc(m.Weights, func(a, b *ir.Weight) int { return strings.Compare(a.Name, b.Name) })
	m.Func("step").Number()
	return ir.Print(m)
}

// A family file says the same as the built-in family that it is written after, op by op.
func TestScriptIsTheFamily(t *testing.T) {
	for _, c := range []struct{ file, config string }{
		{"phi", "phi"}, {"gemma2", "gemma2"},
	} {
		t.Run(c.file, func(t *testing.T) {
			script, err := ReadScript(filepath.Join(familyFiles, c.file+".star"))
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join("testdata", c.config+".txtar"))
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(text), "-- config.json --\n")
			config, _, _ := strings.Cut(rest, "\n-- ")
			want, _, err := importRandom(t, config, Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := importRandom(t, config, Options{Script: script})
			if err != nil {
				t.Fatal(err)
			}
			if got.Info != want.Info {
				t.Errorf("info %+v, want %+v", got.Info, want.Info)
			}
			if a, b := anonymous(got.Module), anonymous(want.Module); a != b {
				t.Errorf("the module is\n%s\nwant\n%s", a, b)
			}
		})
	}
}

// Recorded outputs of transformers hold for checkpoints that are read by a family file.
func TestScriptGoldens(t *testing.T) {
	for _, name := range []string{"phi", "gemma2"} {
		dir := golden.Shared(t, "checkpoints", name)
		script, err := ReadScript(filepath.Join(familyFiles, name+".star"))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { compareAll(t, dir, Options{Script: script}) })
	}
}

// Mistakes name the file, the line and what is wrong.
func TestScriptErrors(t *testing.T) {
	const head = "model_type = 'llama'\n"
	const sizes = "def config(c):\n  return struct(vocab=c.size('vocab_size'), hidden=c.size('hidden_size'), inner=c.size('intermediate_size'), layers=c.size('num_hidden_layers'), " +
		"heads=c.size('num_attention_heads'), kv_heads=c.size('num_key_value_heads'), dim=8, max_context=c.size('max_position_embeddings'))\n"
	for _, c := range []struct{ text, want string }{
		{"", "own.star: model_type is missing"},
		{"model_type = 3", "own.star: model_type is neither a text nor a list of texts"},
		{"model_type = 'phi'", `config.json: model_type: is "llama"; `},
		{head + "architecture = 'PhiForCausalLM'", "config.json: architectures: "},
		{head + "x = ", "own.star:2:5: got end of file"},
		{head + "while True:\n  pass", "own.star:2:1: this Starlark dialect does not support while loops"},
		{head + "load('other.star', 'x')", "load not implemented"},
		{head, "own.star: there is no function config"},
		{head + "def config(c):\n  return c.size('hiden_size')", "own.star:3:16: config.json: hiden_size: is missing"},
		{head + "def config(c):\n  return c.size('vocab_size', most=2)", "vocab_size: 48 is outside 1..2"},
		{head + "def config(c):\n  return c.only('hidden_size', 31)", "config.json: hidden_size: 32 is not supported; it must be 31"},
		{head + "def config(c):\n  return c.rope(7, 64)", "own.star:3:16: rope: 7 channels"},
		{head + "def config(c):\n  [0 for a in range(100000) for b in range(100000)]", "own.star:3:"},
		{head + "def config(c):\n  return struct()", "config.json: hidden_size: is not a known key of a llama model"},
		{head + sizes, "own.star: there is no function step"},
		{head + sizes + "def step(m, c):\n  return 1", "own.star: step returns int"},
		{head + sizes + "def step(m, c):\n  return m.ids + 1", "own.star:5:16: unknown binary op: tensor + int"},
		{head + sizes + "def step(m, c):\n  return m.ids + m.ids", "own.star:5:16: function @step, op 0: add: "},
		{head + sizes + "def step(m, c):\n  return m.atention(m.ids)", "own.star:5:11: module has no .atention field or method"},
		{head + sizes + "def step(m, c):\n  return m.silu(m.ids, by=2)", "own.star:5:16: silu has neither an operand nor an attribute by"},
		{head + sizes + "def step(m, c):\n  return m.gather(m.table('model.embed', c.vocab, c.hidden), m.ids)", "own.star: step returns 1 values"},
		{head + sizes + "def step(m, c):\n  kv = m.cache(1, 2, 8)\n  return m.gather(m.table('model.embed', c.vocab, c.hidden), m.ids), kv", "own.star: step returns logits of f32[T,32]; they must be f32[R,48]"},
		{head + sizes + "def step(m, c):\n  return m.matrix('w', 1 << 30, 4)", "own.star:5:18: w: a size of 1073741824"},
		{head + sizes + "def step(m, c):\n  return m.matrix('w', 4, 4, rows=[(0, 9)], of=8, part='q')", "w: rows[0] is (0, 9) of 8"},
		{head + sizes + "def step(m, c):\n  return m.matrix('w', 4, 4, split='all')", `w: split="all"`},
	} {
		path := filepath.Join(t.TempDir(), "own.star")
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		script, err := ReadScript(path)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = importRandom(t, small(t, nil), Options{Script: script})
		wantError(t, err, c.want)
	}
}

// Whatever a family file says: an error or a module that verifies.
func FuzzScript(f *testing.F) {
	for _, name := range []string{"phi", "gemma2"} {
		text, err := os.ReadFile(filepath.Join(familyFiles, name+".star"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	config := map[string]any{"model_type": "phi", "architectures": nil}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<13 {
			return
		}
		script := &Script{Path: "own.star", text: []byte(text), steps: 1e5}
		m, _, err := importRandom(t, small(t, config), Options{Script: script})
		if err != nil {
			return
		}
		if err := ir.Verify(m.Module); err != nil {
			t.Fatal(err)
		}
	})
}
