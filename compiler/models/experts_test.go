package models

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler/hf"
	"llmc/compiler/stored"
	"llmc/internal/golden"
)

// Sizes of mixtures that are none, and lists of layers that name none, are refused by the key that says so.
func TestMixtureErrors(t *testing.T) {
	for _, c := range []struct {
		change map[string]any
		want   string
	}{
		{map[string]any{"num_local_experts": 2, "num_experts_per_tok": 3}, "config.json: num_experts_per_tok: 3 of num_local_experts 2"},
		{map[string]any{"num_local_experts": 0}, "config.json: num_local_experts: 0 is outside 1..1024"},
		{map[string]any{"num_local_experts": 1025}, "config.json: num_local_experts: 1025 is outside"},
		{map[string]any{"num_experts_per_tok": 33, "num_local_experts": 64}, "config.json: num_experts_per_tok: 33 is outside 1..32"},
		{map[string]any{"num_shared_experts": 1}, "config.json: num_shared_experts: is not a known key of a mixtral model"},
		{map[string]any{"model_type": "qwen2_moe", "mlp_only_layers": []int{-1}}, "config.json: mlp_only_layers"},
		{map[string]any{"model_type": "qwen3_moe", "decoder_sparse_step": 0}, "config.json: decoder_sparse_step: 0 is outside"},
		{map[string]any{"model_type": "qwen3_moe", "moe_intermediate_size": 0}, "config.json: moe_intermediate_size: 0 is outside"},
	} {
		keys := merge(map[string]any{"model_type": "mixtral", "architectures": nil}, c.change)
		_, _, err := importRandom(t, small(t, keys), Options{})
		wantError(t, err, c.want)
	}
}

// Tensors of experts must be as many and of the shapes that config.json says.
func TestExpertTensorErrors(t *testing.T) {
	each := filepath.Join(golden.Root(t), "testdata", "checkpoints", "qwen2-moe")
	all := filepath.Join(golden.Root(t), "testdata", "checkpoints", "mixtral-stacked")
	for _, c := range []struct{ dir, from, to, want string }{
		{each, `"num_experts": 6`, `"num_experts": 7`, `has shape [6 32] instead of [7 32]`},
		{each, `"num_experts": 6`, `"num_experts": 5`, `has shape [6 32] instead of [5 32]`},
		{each, `"moe_intermediate_size": 24`, `"moe_intermediate_size": 25`, `has shape [24 32] instead of [25 32]`},
		{each, `"mlp_only_layers"`, `"_unread"`, `tensor "model.layers.3.mlp.gate.weight": is missing`},
		{all, `"intermediate_size": 72`, `"intermediate_size": 71`, `has shape [5 144 32] instead of [5 142 32]`},
	} {
		text, err := os.ReadFile(filepath.Join(c.dir, hf.ConfigFile))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), c.from) {
			t.Fatalf("%s: config.json lacks %s", c.dir, c.from)
		}
		dir := t.TempDir()
		if err := os.Symlink(filepath.Join(c.dir, "model.safetensors"), filepath.Join(dir, "model.safetensors")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, hf.ConfigFile), []byte(strings.Replace(string(text), c.from, c.to, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		checkpoint, err := hf.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Import(checkpoint, Options{})
		wantError(t, err, c.want)
		checkpoint.Close()
	}
}

// Matrices of experts that are stored in different ways are no stack, unless they are numbers.
func TestStackedTensorsAreStoredAlike(t *testing.T) {
	const name = "model.layers.0.mlp.gate_proj.weight"
	open := func(dir string) *hf.Tensor {
		c, err := hf.Open(filepath.Join(golden.Root(t), "testdata", dir))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := stored.Attach(c); err != nil {
			t.Fatal(err)
		}
		return c.Lookup(name)
	}
	plain, codes := open("checkpoints/llama-dynamic"), open("quantized/gptq-int8-channel")
	others := open("quantized/awq-int4-g32")
	for _, c := range []struct {
		a, b      *hf.Tensor
		asNumbers bool
		want      string // "": nothing is wrong
	}{
		{plain, plain, false, ""},
		{codes, codes, false, ""},
		{codes, others, true, ""},
		{codes, others, false, "is not stored as"},
		{plain, codes, false, "is not stored as"},
		{codes, plain, false, "is not stored as"},
		{codes, plain, true, ""},
	} {
		err := sameStored(c.a, c.b, c.asNumbers)
		if c.want != "" {
			wantError(t, err, c.want, name)
		} else if err != nil {
			t.Error(err)
		}
	}
}
