package models

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler/hf"
	"llmc/internal/golden"
	"llmc/internal/sym"
	"llmc/ir"
	"llmc/ir/interp"
)

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
}

// small is a config.json of a Llama with the given keys set (nil removes one).
func small(t testing.TB, change map[string]any) string {
	t.Helper()
	keys := map[string]any{
		"model_type": "llama", "architectures": []string{"LlamaForCausalLM"}, "vocab_size": 48, "hidden_size": 32, "intermediate_size": 40,
		"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
	}
	for k, v := range change {
		if v == nil {
			delete(keys, k)
			continue
		}
		keys[k] = v
	}
	text, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// importRandom imports a config.json with random weights.
func importRandom(t testing.TB, config string, opts Options) (*Model, *hf.Checkpoint, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, hf.ConfigFile), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := hf.OpenRandom(dir, 1)
	if err != nil {
		return nil, nil, err
	}
	m, err := Import(c, opts)
	return m, c, err
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		change map[string]any
		want   string
	}{
		{map[string]any{"model_type": nil}, "config.json: model_type: is missing; supported are bart, bert, bloom, cohere, "},
		{map[string]any{"model_type": "lama"}, `config.json: model_type: "lama" is not supported (did you mean "llama"?); supported are bart, bert, bloom, cohere, `},
		{map[string]any{"model_type": "rwkv"}, `config.json: model_type: "rwkv" is not supported; supported are bart, bert, bloom, `},
		{map[string]any{"model_type": "gpt2"}, `config.json: architectures: ["LlamaForCausalLM"] is not supported; of model_type gpt2 it is GPT2LMHeadModel`},
		{map[string]any{"architectures": []string{"LlamaForSequenceClassification"}}, "config.json: architectures: "},
		{map[string]any{"num_hidden_layers": 0}, "config.json: num_hidden_layers: 0 is outside 1..4096"},
		{map[string]any{"num_hidden_layers": 1000000000}, "config.json: num_hidden_layers: 1000000000 is outside"},
		{map[string]any{"num_attention_heads": 0}, "config.json: num_attention_heads: 0 is outside"},
		{map[string]any{"num_attention_heads": -4}, "config.json: num_attention_heads: -4 is outside"},
		{map[string]any{"num_attention_heads": 5}, "config.json: hidden_size: 32 is not a multiple of num_attention_heads 5"},
		{map[string]any{"num_key_value_heads": 3}, "config.json: num_key_value_heads: 3 does not divide num_attention_heads 4"},
		{map[string]any{"head_dim": 7}, "config.json: head_dim: 7 is odd"},
		{map[string]any{"head_dim": 1 << 19}, "config.json: head_dim: 4 heads of 524288 channels are wider"},
		{map[string]any{"hidden_size": nil}, "config.json: hidden_size: is missing"},
		{map[string]any{"hidden_size": 1 << 40}, "config.json: hidden_size: 1099511627776 is outside"},
		{map[string]any{"vocab_size": 1.5}, "config.json: vocab_size: must be an integer, not 1.5"},
		{map[string]any{"hidden_act": "gelu"}, `config.json: hidden_act: "gelu" is not supported in a llama model; it must be silu`},
		{map[string]any{"logit_scale": 0.5}, "config.json: logit_scale: 0.5 is not supported"},
		{map[string]any{"rope_interleaved": true}, "config.json: rope_interleaved: is not a known key of a llama model"},
		{map[string]any{"sliding_window": 16}, "config.json: sliding_window: is not a known key of a llama model"},
		{map[string]any{"attention_bais": true}, `config.json: attention_bais: is not a known key of a llama model (did you mean "attention_bias"?)`},
		{map[string]any{"quantization_config": map[string]any{"quant_method": "gptq"}}, "config.json: quantization_config.quant_method: made-up weights are not in codes"},
		{map[string]any{"auto_map": map[string]any{"AutoModelForCausalLM": "modeling.Own"}}, "config.json: auto_map: the model is computed by code"},
		{map[string]any{"new_multiplier": 0.5}, "config.json: new_multiplier: is not a known key of a llama model"},
		{map[string]any{"new_switch": true}, "config.json: new_switch: is not a known key of a llama model and may change what it computes; if it does not, build with --ignore-key new_switch"},
		{map[string]any{"layer_types": []string{"full_attention", "sliding_attention"}}, `config.json: layer_types: layer 1 has "sliding_attention", but every layer of a llama`},
		{map[string]any{"rms_norm_eps": -1}, "config.json: rms_norm_eps: -1 is outside"},
		{map[string]any{"attention_bias": 1}, "config.json: attention_bias: must be true or false"},
	} {
		_, _, err := importRandom(t, small(t, c.change), Options{})
		wantError(t, err, c.want)
	}
	window := func(change map[string]any) map[string]any {
		return merge(map[string]any{"model_type": "qwen2", "architectures": []string{"Qwen2ForCausalLM"}}, change)
	}
	for _, c := range []struct {
		change map[string]any
		want   string
	}{
		{map[string]any{"layer_types": []string{"full_attention"}}, "config.json: layer_types: has 1 entries instead of 2"},
		{map[string]any{"layer_types": []string{"full_attention", "chunked_attention"}}, `config.json: layer_types: layer 1 has "chunked_attention"`},
		{map[string]any{"layer_types": []string{"sliding_attention", "full_attention"}}, "config.json: sliding_window: layer 0"},
		{map[string]any{"use_sliding_window": true, "sliding_window": 0}, "config.json: sliding_window: 0 is outside"},
	} {
		_, _, err := importRandom(t, small(t, window(c.change)), Options{})
		wantError(t, err, c.want)
	}
	_, _, err := importRandom(t, small(t, map[string]any{"model_type": "mistral", "architectures": nil, "layer_types": []string{"sliding_attention", "full_attention"}}), Options{})
	wantError(t, err, `config.json: layer_types: layer 1 has "full_attention", but every layer`)
}

// What a family's block has no part for is refused by the key that asks for it.
func TestFamilyErrors(t *testing.T) {
	gpt2 := map[string]any{
		"intermediate_size": nil, "num_hidden_layers": nil, "num_attention_heads": nil, "num_key_value_heads": nil, "hidden_size": nil,
		"max_position_embeddings": nil, "n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 64,
	}
	for _, c := range []struct {
		family, architecture string
		change               map[string]any
		want                 string
	}{
		{"gemma", "GemmaForCausalLM", map[string]any{"hidden_activation": "mish"}, `config.json: hidden_activation: activation "mish" is not supported`},
		{"gemma", "GemmaForCausalLM", map[string]any{"hidden_act": "silu"}, `config.json: hidden_act: "silu" is not supported; it must be gelu_pytorch_tanh`},
		{"gemma2", "Gemma2ForCausalLM", map[string]any{"layer_types": []string{"full_attention"}}, "config.json: layer_types: has 1 entries instead of 2"},
		{"gemma2", "Gemma2ForCausalLM", map[string]any{"use_bidirectional_attention": true}, "config.json: use_bidirectional_attention: true is not supported; it must be false"},
		{"gemma3_text", "Gemma3ForCausalLM", map[string]any{"attn_logit_softcapping": 3}, "config.json: attn_logit_softcapping: is not supported"},
		{"gemma3_text", "Gemma3ForCausalLM", map[string]any{"rope_parameters": map[string]any{"full_attention": map[string]any{"theta": 2}}}, "config.json: rope_parameters.full_attention.theta: is not a known key"},
		{"phi", "PhiForCausalLM", map[string]any{"qk_layernorm": true}, "config.json: qk_layernorm: true is not supported"},
		{"phi", "PhiForCausalLM", map[string]any{"partial_rotary_factor": 0.4}, "config.json: partial_rotary_factor: 0.4 of 8 channels of a head turn, which is not an even number"},
		{"phi3", "Phi3ForCausalLM", map[string]any{"rope_scaling": map[string]any{"type": "su", "short_factor": ones(3)}}, "config.json: rope_scaling.short_factor: has 3 numbers instead of 4"},
		{"falcon", "FalconForCausalLM", map[string]any{"intermediate_size": nil, "num_key_value_heads": nil, "apply_residual_connection_post_layernorm": true}, "apply_residual_connection_post_layernorm: true is not supported"},
		{"falcon", "FalconForCausalLM", nil, "config.json: intermediate_size: is not a known key of a falcon model"},
		{"gpt2", "GPT2LMHeadModel", merge(gpt2, map[string]any{"scale_attn_by_inverse_layer_idx": true}), "config.json: scale_attn_by_inverse_layer_idx: true is not supported"},
		{"gptj", "GPTJForCausalLM", merge(gpt2, map[string]any{"rotary_dim": 10}), "config.json: rotary_dim: 10 is outside 2..8"},
		{"gptj", "GPTJForCausalLM", merge(gpt2, map[string]any{"rotary_dim": 3}), "config.json: rotary_dim: 3 is odd"},
		{"opt", "OPTForCausalLM", map[string]any{"intermediate_size": nil, "num_key_value_heads": nil, "ffn_dim": 40, "word_embed_proj_dim": 16}, "config.json: word_embed_proj_dim: 16 is not supported; it must be hidden_size, 32"},
		{"opt", "OPTForCausalLM", map[string]any{"intermediate_size": nil, "num_key_value_heads": nil, "ffn_dim": 40, "do_layer_norm_before": false}, "config.json: do_layer_norm_before: false is not supported; it must be true"},
		{"mpt", "MptForCausalLM", merge(gpt2, map[string]any{"n_embd": nil, "n_layer": nil, "n_head": nil, "n_positions": nil, "d_model": 32, "n_layers": 1, "n_heads": 4,
			"attn_config": map[string]any{"clip_qkv": 6}}), "config.json: attn_config.clip_qkv: is not supported"},
		{"cohere", "CohereForCausalLM", map[string]any{"use_qk_norm": true}, "config.json: use_qk_norm: true is not supported"},
		{"granite", "GraniteForCausalLM", map[string]any{"logits_scaling": 0}, "config.json: logits_scaling: 0 is outside"},
		{"gpt_oss", "GptOssForCausalLM", map[string]any{"swiglu_alpha": 1.5}, "config.json: swiglu_alpha: 1.5 is not supported; it must be 1.702"},
		{"gpt_oss", "GptOssForCausalLM", map[string]any{"hidden_act": "gelu"}, `config.json: hidden_act: "gelu" is not supported; it must be silu`},
		{"gpt_oss", "GptOssForCausalLM", map[string]any{"layer_types": []string{"full_attention", "chunked_attention"}}, `config.json: layer_types: layer 1 has "chunked_attention"`},
		{"llama4_text", "Llama4ForCausalLM", map[string]any{"intermediate_size_mlp": 40, "num_experts_per_tok": 2}, "config.json: num_experts_per_tok: 2 is not supported; it must be 1"},
		{"llama4_text", "Llama4ForCausalLM", map[string]any{"intermediate_size_mlp": 40, "layer_types": []string{"full_attention", "sliding_attention"}}, `config.json: layer_types: layer 1 has "sliding_attention"`},
		{"llama4_text", "Llama4ForCausalLM", map[string]any{"intermediate_size_mlp": 40, "rope_scaling": map[string]any{"type": "yarn", "factor": 4}}, "config.json: rope_scaling: multiplies what turns by 1.13"},
		{"deepseek_v2", "DeepseekV2ForCausalLM", map[string]any{"num_experts_per_tok": 2, "norm_topk_prob": true}, "config.json: norm_topk_prob: true is not supported in a deepseek_v2 model"},
		{"deepseek_v2", "DeepseekV2ForCausalLM", map[string]any{"num_experts_per_tok": 2, "topk_method": "noaux_tc"}, `config.json: topk_method: "noaux_tc" is not supported; it must be greedy or group_limited_greedy`},
		{"deepseek_v2", "DeepseekV2ForCausalLM", map[string]any{"num_experts_per_tok": 2, "qk_rope_head_dim": 7}, "config.json: qk_rope_head_dim: 7 is odd"},
		{"deepseek_v2", "DeepseekV2ForCausalLM", map[string]any{"num_experts_per_tok": 2, "rope_scaling": map[string]any{"type": "dynamic", "factor": 2}}, "config.json: rope_scaling: a rotary embedding of type dynamic"},
		{"deepseek_v3", "DeepseekV3ForCausalLM", map[string]any{"scoring_func": "softmax"}, `config.json: scoring_func: "softmax" is not supported; it must be "sigmoid"`},
		{"deepseek_v3", "DeepseekV3ForCausalLM", map[string]any{"n_group": 7}, "config.json: n_group: 7 groups of 256 experts, which are not of one size"},
		{"deepseek_v3", "DeepseekV3ForCausalLM", map[string]any{"topk_group": 9}, "config.json: topk_group: 9 of n_group 8"},
		{"deepseek_v3", "DeepseekV3ForCausalLM", map[string]any{"moe_layer_freq": 2}, "config.json: moe_layer_freq: is not supported unless it is 1"},
		{"deepseek_v3", "DeepseekV3ForCausalLM", map[string]any{"kv_lora_rank": 4090}, "config.json: kv_lora_rank: 4090 and 64 rotary channels are more than a cache's row of 4096"},
		{"smollm3", "SmolLM3ForCausalLM", map[string]any{"no_rope_layers": []int{1}}, "config.json: no_rope_layers: has 1 entries, the model has 2 layers"},
	} {
		_, _, err := importRandom(t, small(t, merge(map[string]any{"model_type": c.family, "architectures": []string{c.architecture}}, c.change)), Options{})
		wantError(t, err, c.want)
	}
}

func merge(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// Keys that change nothing pass: those of training and generation, neutral values, and what the caller vouches for.
func TestConfigKeysThatPass(t *testing.T) {
	for _, change := range []map[string]any{
		{"torch_dtype": "bfloat16", "attention_dropout": 0.1, "transformers_version": "4.57.6", "pretraining_tp": 2},
		{"rope_interleaved": false, "is_llama_config": true, "transformers.js_config": map[string]any{"dtype": "q4"}, "some_switch": false, "note": ""},
		{"hidden_act": "silu", "partial_rotary_factor": 1, "logit_scale": 1.0, "quantization_config": map[string]any{}},
		{"_model_name": 7, "note": "text", "auto_map": map[string]any{"AutoTokenizer": []string{"x"}}},
		{"vouched": 3}, {"image_token_id": 31, "embedding_dropout": 0.1, "router_aux_loss_coef": 0.001, "initializer_scale": 2},
		{"layer_types": []string{"full_attention", "full_attention"}},
		{"n_ctx": 2048, "layer_norm_eps": 1e-5},
		{"use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 21},
		{"model_type": "qwen2", "architectures": nil, "attention_bias": true},
		{"model_type": "mistral", "architectures": nil, "attention_bias": true},
	} {
		if _, _, err := importRandom(t, small(t, change), Options{IgnoreKeys: []string{"vouched"}}); err != nil {
			t.Error(err)
		}
	}
}

func TestInfo(t *testing.T) {
	m, _, err := importRandom(t, small(t, map[string]any{"tie_word_embeddings": true, "head_dim": 16}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	const attention = 32*4*16*2 + 32*2*16*2 // q and o, k and v
	const want = 48*32 + 32 + 2*(attention+3*32*40+2*32)
	if i := m.Info; i.Parameters != want || i.HeadDim != 16 || i.KVHeads != 2 || i.MaxContext != 64 || i.RopeSalt != "" || i.Family != "llama" {
		t.Errorf("info %+v, want %d parameters", i, want)
	}
	for _, c := range []struct {
		scaling map[string]any
		salt    string
		context int64
	}{
		{map[string]any{"type": "dynamic", "factor": 2}, "dynamic:64", 128},
		{map[string]any{"type": "yarn", "factor": 4, "original_max_position_embeddings": 32}, "", 128},
		{map[string]any{"type": "linear", "factor": 4}, "", 64},
		{map[string]any{"type": "longrope", "short_factor": ones(4), "long_factor": ones(4), "original_max_position_embeddings": 32}, "longrope:32", 64},
	} {
		m, _, err := importRandom(t, small(t, map[string]any{"rope_scaling": c.scaling}), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if m.Info.RopeSalt != c.salt || m.Info.MaxContext != c.context {
			t.Errorf("%v: salt %q, context %d, want %q and %d", c.scaling, m.Info.RopeSalt, m.Info.MaxContext, c.salt, c.context)
		}
	}
}

func ones(n int) []float64 { return slices.Repeat([]float64{1}, n) }

// A random model runs and gives logits of a size that sampling can work with.
func TestRandomModelRuns(t *testing.T) {
	m, c, err := importRandom(t, small(t, map[string]any{"num_hidden_layers": 6}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b interp.Batch
	b.Add(0, 0, 5, 1, 2, 3, 4, 5)
	b.SampleAll()
	out, err := interp.New(m.Module, source{c}).Run("step", &b)
	if err != nil {
		t.Fatal(err)
	}
	var squares float64
	for _, x := range out[0].Data {
		squares += float64(x) * float64(x) / float64(len(out[0].Data))
	}
	if squares < 0.3 || squares > 3 {
		t.Errorf("mean square of the logits is %g, want about 1", squares)
	}
}

// ReadRows gives what the interpreter assembles, for any rows of fused weights too.
func TestReadRows(t *testing.T) {
	_, c, err := importRandom(t, small(t, map[string]any{"attention_bias": true}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	const p = "model.layers.0."
	recipes := map[string]*ir.Recipe{
		"qkv":       ir.ConcatRows(ir.TensorRows(p+"self_attn.q_proj.weight", 0, 32), ir.TensorRows(p+"self_attn.k_proj.weight", 0, 16), ir.TensorRows(p+"self_attn.v_proj.weight", 3, 9)),
		"gate_up":   ir.InterleaveRows(32, ir.TensorRows(p+"mlp.gate_proj.weight", 0, 40), ir.TensorRows(p+"mlp.up_proj.weight", 0, 40)),
		"transpose": {Kind: ir.FromTensor, Tensor: p + "mlp.down_proj.weight", Start: 8, Count: 32, Transpose: true},
		"columns":   {Kind: ir.FromTensor, Tensor: p + "self_attn.k_proj.weight", Start: 4, Count: 20, Transpose: true, Left: 3, Total: 16},
		"add1":      {Kind: ir.FromTensor, Tensor: p + "self_attn.q_proj.weight", Count: 32, Transform: "add1"},
	}
	for name, r := range recipes {
		cols := int64(32)
		if r.Total != 0 {
			cols = 9
		}
		w := &ir.Weight{Recipe: r}
		w.Name, w.Type = name, ir.F32(sym.Const(r.Rows(cols)), cols)
		want, err := interp.Elements(w, source{c})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rows := r.Rows(cols)
		for lo := int64(0); lo < rows; lo += 7 {
			hi := min(rows, lo+7)
			got := make([]float32, (hi-lo)*cols)
			if err := ReadRows(c, w.Recipe, got, w.Type.Rank(), lo, hi); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !slices.Equal(got, want[lo*cols:hi*cols]) {
				t.Errorf("%s: rows %d to %d differ", name, lo, hi)
			}
		}
		wantError(t, ReadRows(c, w.Recipe, make([]float32, cols), w.Type.Rank(), rows, rows+1), "rows")
	}
}

// Tensors are compared with what config.json asks for: shape, presence, kind, and none left over.
func TestTensorErrors(t *testing.T) {
	dir := filepath.Join(golden.Root(t), "testdata", "checkpoints", "llama-dynamic")
	for _, c := range []struct {
		from, to string // in config.json
		opts     Options
		want     string
	}{
		{`"intermediate_size": 40`, `"intermediate_size": 41`, Options{}, `model.safetensors: tensor "model.layers.0.mlp.gate_proj.weight": has shape [40 32] instead of [41 32]`},
		{`"num_hidden_layers": 2`, `"num_hidden_layers": 3`, Options{}, `model.safetensors: tensor "model.layers.2.input_layernorm.weight": is missing`},
		{`"num_hidden_layers": 2`, `"num_hidden_layers": 1`, Options{}, `model.safetensors: tensor "model.layers.1.input_layernorm.weight": is not part of a llama model`},
		{`"num_hidden_layers": 2`, `"num_hidden_layers": 1`, Options{IgnoreTensors: []string{"model.layers.1.*"}}, ""},
		{`"attention_bias": true`, `"attention_bias": false`, Options{}, `model.safetensors: tensor "model.layers.0.self_attn.k_proj.bias": is not part of`},
		{`"model_type": "llama"`, `"model_type": "llama", "_name_or_path": "x"`, Options{}, ""},
	} {
		copied := t.TempDir()
		for _, name := range []string{hf.ConfigFile, "model.safetensors"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if name == hf.ConfigFile {
				if !strings.Contains(string(text), c.from) {
					t.Fatalf("config.json lacks %s", c.from)
				}
				text = []byte(strings.Replace(string(text), c.from, c.to, 1))
			}
			if err := os.WriteFile(filepath.Join(copied, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		checkpoint, err := hf.Open(copied)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Import(checkpoint, c.opts)
		if c.want == "" && err != nil {
			t.Error(err)
		} else if c.want != "" {
			wantError(t, err, c.want)
		}
		checkpoint.Close()
	}
}
