package compiler_test

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"llmc/compiler"
	"llmc/compiler/hf"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/passes"
)

// An adapter beside a model gives what a plan gives that it was merged into, however the families' weights are fused, sliced, stored and turned.
func TestAdaptersOfFamilies(t *testing.T) {
	root := filepath.Join(golden.Shared(t), "checkpoints")
	for _, c := range []struct {
		name     string
		ends     []string
		config   map[string]any
		rotation passes.Rotation
	}{
		{name: "llama-gqa", ends: []string{"q_proj", "v_proj", "up_proj"}, config: map[string]any{"use_rslora": true, "alpha_pattern": map[string]any{"v_proj": 9}}},
		{name: "llama-gqa", ends: []string{"q_proj", "v_proj", "o_proj", "up_proj", "down_proj"}, rotation: passes.RotateInputs},
		{name: "phi3", ends: []string{"qkv_proj", "gate_up_proj", "o_proj"}},
		{name: "falcon-40b-style", ends: []string{"query_key_value", "dense_4h_to_h"}},
		{name: "bloom", ends: []string{"query_key_value"}},
		{name: "gpt2", ends: []string{"c_attn", "c_fc", "mlp.c_proj"}, config: map[string]any{"fan_in_fan_out": true}},
		{name: "gemma", ends: []string{"q_proj", "gate_proj", "down_proj"}, rotation: passes.RotateInputs},
		{name: "mixtral", ends: []string{"q_proj", "k_proj", "o_proj"}},
	} {
		dir := filepath.Join(root, c.name)
		t.Run(c.name+string(c.rotation), func(t *testing.T) {
			fan, _ := c.config["fan_in_fan_out"].(bool)
			adapter := plantest.AdapterDir(t, 3, plantest.LinearModules(t, dir, fan, 5, c.ends...), c.config)
			merged, info := openBuilt(t, compiler.Options{Model: dir, Lora: []compiler.Adapter{{Dir: adapter}}, Quant: "f32"})
			beside, _ := unmerged(t, compiler.Options{Model: dir, Quant: "f32", LoraRank: 5, Rotation: c.rotation}, adapter)
			ids := []int32{5, 17, 30, 8, 8, 41, 2, 11}
			want := forward(t, merged, info.Vocab, ids, true)
			plain := forward(t, beside, info.Vocab, ids, true)
			for i, got := range forward(t, engine.WithAdapter(beside, 1), info.Vocab, ids, true) {
				most, _ := relative(got, want[i])
				without, _ := relative(plain[i], want[i])
				if !(most <= 1e-4) || without < 1e-2 {
					t.Errorf("position %d: logits are off by %.2g of their range, by %.2g without the adapter", i, most, without)
				}
			}
		})
	}
}

// What can not be served beside a model is refused in one line that says why.
func TestAdaptersThatAreRefused(t *testing.T) {
	root := filepath.Join(golden.Shared(t), "checkpoints")
	llama := filepath.Join(root, "llama-gqa")
	for _, c := range []struct {
		base    string
		modules []plantest.Module
		change  func(file []byte)
		want    string
	}{
		{llama, []plantest.Module{{Name: "model.layers.9.self_attn.q_proj", In: 64, Out: 64, Rank: 2}}, nil, "was not made of: is it of another model?"},
		{llama, []plantest.Module{{Name: "model.layers.0.self_attn.q_proj", In: 32, Out: 64, Rank: 2}}, nil, "does not fit rows 0:64 of 64 columns"},
		{llama, []plantest.Module{{Name: "model.layers.0.self_attn.q_proj", In: 64, Out: 32, Rank: 2}}, nil, "does not fit rows 0:64 of 64 columns"},
		{llama, []plantest.Module{{Name: "model.layers.0.self_attn.q_proj", In: 64, Out: 128, Rank: 2}}, nil, "has 64 rows of that weight"},
		{llama, []plantest.Module{{Name: "model.embed_tokens", In: 64, Out: 512, Rank: 2}}, nil, "which is looked up or read by experts or heads"},
		{llama, []plantest.Module{{Name: "model.layers.0.self_attn.q_proj", In: 64, Out: 64, Rank: 2}}, func(file []byte) {
			binary.LittleEndian.PutUint32(file[len(file)-4:], 0x7fc00000)
		}, "element 127 is NaN, not a finite number"},
		{filepath.Join(root, "mixtral"), plantest.LinearModules(t, filepath.Join(root, "mixtral"), false, 2, "experts.0.w1"), nil, "read by experts or heads: merge the adapter"},
	} {
		dir := plantest.AdapterDir(t, 4, c.modules, nil)
		if c.change != nil {
			rewrite(t, filepath.Join(dir, hf.AdapterWeightsFile), c.change)
		}
		wantRefusal(t, c.base, dir, c.want)
	}
}

// An adapter that was trained beside a quantized checkpoint is served beside its codes as they are: logits are near those of the numbers that the codes
// stand for, nearer by far than the adapter changes them.
func TestAdaptersBesideQuantizedCheckpoints(t *testing.T) {
	for _, name := range []string{"llama-gptq-int4-actorder", "llama-bnb-nf4"} {
		dir := filepath.Join(golden.Shared(t), "checkpoints", name)
		c, err := hf.Open(dir)
		check(t, err)
		f := c.Config.Fields()
		hidden, inner := int(f.Int("hidden_size", 1, 4096)), int(f.Int("intermediate_size", 1, 4096))
		check(t, c.Close())
		adapter := plantest.AdapterDir(t, 5, []plantest.Module{
			{Name: "model.layers.0.self_attn.q_proj", In: hidden, Out: hidden, Rank: 4}, {Name: "model.layers.1.mlp.up_proj", In: hidden, Out: inner, Rank: 4},
			{Name: "model.layers.0.mlp.down_proj", In: inner, Out: hidden, Rank: 4}}, nil)
		var logits [2][]float32
		var plain []float32
		for i, format := range []string{"f32", compiler.Auto} {
			model, info := unmerged(t, compiler.Options{Model: dir, Quant: format}, adapter)
			ids := []int32{5, 17, 30, 8, 8, 41, 2, 11}
			logits[i] = forward(t, engine.WithAdapter(model, 1), info.Vocab, ids, false)[0]
			plain = forward(t, model, info.Vocab, ids, false)[0]
		}
		most, _ := relative(logits[1], logits[0])
		changed, _ := relative(plain, logits[1])
		if !(most <= 0.03) || changed < 4*most {
			t.Errorf("%s: logits are off by %.2g of their range, the adapter changes them by %.2g", name, most, changed)
		}
	}
}
