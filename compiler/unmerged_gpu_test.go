package compiler_test

import (
	"cmp"
	"path/filepath"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime/device/emu"
)

// GPU programs with an adapter beside the model are as near to what transformers recorded as CPUs' programs of the same format with it beside them, or merged
// in, and nearer by far than without it.
func TestEmulatedAdaptersAreWhatTransformersGives(t *testing.T) {
	base, adapter, g := adapted(t)
	for _, c := range []struct {
		target, format string
		long           bool
	}{
		{"sm89", "fp8", false}, {"sm90", "int8-w8a8", false}, {"sm80", "bf16", true}, {"sm80", "int8-w8a8", true}, {"sm90", "bf16", true}, {"sm90", "int4", true},
	} {
		if c.long && !thorough() {
			continue
		}
		merged, info := openBuilt(t, compiler.Options{Model: base, Lora: []compiler.Adapter{adapter}, Quant: c.format})
		onCPU, _ := unmerged(t, compiler.Options{Model: base, Quant: c.format, LoraRank: 8}, adapter.Dir)
		beside, _ := unmergedOn(t, emu.Device{}, compiler.Options{Model: base, Quant: c.format, LoraRank: 8, Archs: []string{c.target}}, adapter.Dir)
		for i, p := range g.Prompts {
			if i > 0 && !thorough() {
				break
			}
			want := g.tensor(t, p.Name+".logits")
			_, ofMerged := relative(forward(t, merged, info.Vocab, p.IDs, false)[0], want)
			_, ofCPU := relative(forward(t, engine.WithAdapter(onCPU, 1), info.Vocab, p.IDs, false)[0], want)
			_, ofBeside := relative(forward(t, engine.WithAdapter(beside, 1), info.Vocab, p.IDs, false)[0], want)
			_, ofPlain := relative(forward(t, beside, info.Vocab, p.IDs, false)[0], want)
			t.Logf("%s %s %s: rms %.4f merged on a CPU, %.4f beside there, %.4f beside, %.4f without", c.target, c.format, p.Name, ofMerged, ofCPU, ofBeside, ofPlain)
			if ofBeside > 2*max(ofMerged, ofCPU)+0.01 || ofPlain < 1.5*ofBeside {
				t.Errorf("%s %s %s: logits beside the model are off by %.4f, on a CPU by %.4f, merged by %.4f, without the adapter by %.4f", c.target, c.format, p.Name, ofBeside, ofCPU, ofMerged, ofPlain)
			}
		}
	}
}

// An adapter beside a model gives on GPUs what a CPU's plan gives that it was merged into, however the families' weights are fused, sliced and stored.
func TestEmulatedAdaptersOfFamilies(t *testing.T) {
	root := filepath.Join(golden.Shared(t), "checkpoints")
	for _, c := range []struct {
		name, target string
		format       string // of the plan; "": bf16
		ends         []string
		config       map[string]any
		long         bool
	}{
		{name: "llama-gqa", target: "sm90", ends: []string{"q_proj", "v_proj", "up_proj"}, config: map[string]any{"use_rslora": true, "alpha_pattern": map[string]any{"v_proj": 9}}, long: true},
		{name: "phi3", target: "sm90", ends: []string{"qkv_proj", "gate_up_proj", "o_proj"}},
		{name: "falcon-40b-style", target: "sm80", ends: []string{"query_key_value", "dense_4h_to_h"}, long: true},
		{name: "bloom", target: "sm80", ends: []string{"query_key_value"}, long: true},
		{name: "gpt2", target: "sm80", ends: []string{"c_attn", "c_fc", "mlp.c_proj"}, config: map[string]any{"fan_in_fan_out": true}},
		{name: "gemma", target: "sm89", ends: []string{"q_proj", "gate_proj", "down_proj"}, long: true},
		{name: "llama-gqa", target: "sm89", format: "f16", ends: []string{"q_proj", "o_proj", "gate_proj", "down_proj", "lm_head"}, long: true},
		{name: "mixtral", target: "sm90", ends: []string{"q_proj", "k_proj", "o_proj"}, long: true},
	} {
		if c.long && !thorough() {
			continue
		}
		dir := filepath.Join(root, c.name)
		t.Run(c.name, func(t *testing.T) {
			fan, _ := c.config["fan_in_fan_out"].(bool)
			adapter := plantest.AdapterDir(t, 3, plantest.LinearModules(t, dir, fan, 5, c.ends...), c.config)
			merged, info := openBuilt(t, compiler.Options{Model: dir, Lora: []compiler.Adapter{{Dir: adapter}}, Quant: "f32"})
			beside, _ := unmergedOn(t, emu.Device{}, compiler.Options{Model: dir, Quant: cmp.Or(c.format, "bf16"), LoraRank: 5, Archs: []string{c.target}}, adapter)
			ids := []int32{5, 17, 30, 8, 8, 41, 2, 11}
			want := forward(t, merged, info.Vocab, ids, true)
			plain := forward(t, beside, info.Vocab, ids, true)
			for i, got := range forward(t, engine.WithAdapter(beside, 1), info.Vocab, ids, true) {
				_, off := relative(got, want[i])
				_, without := relative(plain[i], want[i])
				if !(off <= 0.06) || without < 4*off {
					t.Errorf("position %d: logits are off by %.2g, by %.2g without the adapter", i, off, without)
				}
			}
		})
	}
}

// A plan for both devices serves one adapter's plan on either.
func TestAdaptersOfPlansForSeveralDevices(t *testing.T) {
	base, adapter, g := adapted(t)
	options := compiler.Options{Model: base, Quant: "bf16", LoraRank: 8, Archs: []string{"x86-64-v3", "sm80"}}
	onCPU, info := unmerged(t, options, adapter.Dir)
	onGPU, _ := unmergedOn(t, emu.Device{}, options, adapter.Dir)
	ids := g.Prompts[0].IDs
	want := forward(t, engine.WithAdapter(onCPU, 1), info.Vocab, ids, false)[0]
	_, off := relative(forward(t, engine.WithAdapter(onGPU, 1), info.Vocab, ids, false)[0], want)
	_, without := relative(forward(t, onGPU, info.Vocab, ids, false)[0], want)
	if !(off <= 0.02) || without < 4*off {
		t.Errorf("logits on the GPU are off by %.2g, by %.2g without the adapter", off, without)
	}
}
