package models

import (
	"testing"

	"llmc/internal/golden"
	"llmc/ir"
)

// The module of each family, in full, for one or two layers: testdata/*.txtar hold a config.json and the IR it becomes.
func TestModules(t *testing.T) {
	golden.Each(t, "testdata/*.txtar", func(t *testing.T, a *golden.Archive) {
		m, _, err := importRandom(t, a.Input(t, "config.json"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		text := ir.Print(m.Module)
		a.Check(t, "module.ir", text)
		again, err := ir.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if ir.Print(again) != text {
			t.Error("the text form does not round-trip")
		}
	})
}

// Whatever config.json says: an error or a module that verifies.
func FuzzImport(f *testing.F) {
	for _, change := range []map[string]any{
		nil,
		{"model_type": "mistral", "architectures": nil, "sliding_window": 8},
		{"model_type": "qwen2", "architectures": nil, "use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1},
		{"model_type": "qwen3", "architectures": nil, "head_dim": 16, "attention_bias": true, "num_hidden_layers": 1},
		{"rope_scaling": map[string]any{"type": "yarn", "factor": 4, "mscale": 1, "mscale_all_dim": 2, "truncate": false}},
		{"rope_parameters": map[string]any{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}},
		{"rope_scaling": map[string]any{"type": "longrope", "short_factor": ones(4), "long_factor": ones(4)}},
		{"rope_scaling": map[string]any{"type": "dynamic", "factor": 2}},
		{"model_type": "gemma3_text", "architectures": nil, "sliding_window": 4, "sliding_window_pattern": 2},
		{"model_type": "falcon", "architectures": nil, "intermediate_size": nil, "num_key_value_heads": nil, "alibi": true, "multi_query": false, "bias": true},
		{"model_type": "smollm3", "architectures": nil, "no_rope_layers": []int{1, 0}},
		{"model_type": "phi", "architectures": nil, "partial_rotary_factor": 0.25},
		{"model_type": "mixtral", "architectures": nil, "num_local_experts": 3, "num_experts_per_tok": 2},
		{"model_type": "qwen2_moe", "architectures": nil, "num_experts": 4, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8, "mlp_only_layers": []int{1}},
		{"model_type": "qwen3_moe", "architectures": nil, "num_experts": 4, "num_experts_per_tok": 4, "moe_intermediate_size": 8, "decoder_sparse_step": 2},
		{"model_type": "deepseek_v3", "architectures": nil, "kv_lora_rank": 8, "q_lora_rank": 8, "n_routed_experts": 8, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2},
		{"model_type": "deepseek_v2", "architectures": nil, "kv_lora_rank": 8, "q_lora_rank": nil, "num_experts_per_tok": 2, "topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2},
	} {
		f.Add(small(f, change))
	}
	f.Add(`{"model_type":"t5","vocab_size":48,"d_model":32,"d_kv":16,"d_ff":40,"num_layers":2,"num_heads":2,"relative_attention_num_buckets":8,"relative_attention_max_distance":16}`)
	f.Add(`{"model_type":"bart","vocab_size":48,"d_model":32,"encoder_layers":1,"decoder_layers":2,"encoder_attention_heads":2,"decoder_attention_heads":4,"encoder_ffn_dim":40,"decoder_ffn_dim":48}`)
	f.Fuzz(func(t *testing.T, config string) {
		m, _, err := importRandom(t, config, Options{})
		if err != nil {
			return
		}
		if err := ir.Verify(m.Module); err != nil {
			t.Fatal(err)
		}
		for _, w := range m.Module.Weights {
			for _, x := range w.Recipe.Values {
				if x-x != 0 || x <= 0 {
					t.Fatalf("weight %s holds %g", w.Name, x)
				}
			}
		}
	})
}
