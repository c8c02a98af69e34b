package models

import (
	"slices"

	"llmc/compiler/hf"
)

// mpt (MosaicML 2023) has ALiBi, layer norms and matrices without biases, and one matrix for q, k and v.
var mpt = &family{
	modelType:    "mpt",
	architecture: "MptForCausalLM",
	sizes: sizes{
		vocab: "vocab_size", hidden: "d_model hidden_size", layers: "n_layers num_hidden_layers", heads: "n_heads num_attention_heads",
		eps: "layer_norm_epsilon", positions: "max_seq_len",
	},
	defaults: defaults{inner: 4, eps: 1e-5, maxPositions: 2048, tied: true},
	names: names{
		table: "transformer.wte", layers: "transformer.blocks.", norm: "transformer.norm_f", head: "lm_head",
		preAttn: "norm_1", preMLP: "norm_2", qkv: "attn.Wqkv", o: "attn.out_proj", up: "ffn.up_proj", down: "ffn.down_proj",
	},
	shape:   decoder{norms: norms{layer: true}, plainMLP: true, act: "gelu"},
	keys:    []string{"attn_config", "expansion_ratio", "no_bias", "norm_type"},
	ignored: []string{"learned_pos_emb", "embedding_fraction", "init_config", "init_device", "verbose"}, // with ALiBi there are no learned positions
	describe: func(f *hf.Fields, d *decoder) {
		d.inner = int(f.IntOr("expansion_ratio", 4, 1, maxWidth)) * d.hidden
		want(f, "no_bias", true)
		most := 8.0
		if a := f.Object("attn_config"); a != nil {
			for _, key := range a.Keys() {
				if !slices.Contains(mptAttention, key) && !inert(a.Value(key)) {
					a.Fail(key, "is not supported; it must be null or false")
				}
			}
			want(a, "alibi", true)
			most = a.FloatOr("alibi_bias_max", 8, 1e-3, 1e3)
			d.scoreScale = a.FloatOr("softmax_scale", 0, 1e-6, 1e6)
			if kind := a.TextOr("attn_type", "multihead_attention"); kind != "multihead_attention" {
				a.Fail("attn_type", "%q is not supported; it must be multihead_attention", kind)
			}
		}
		d.alibi = mptSlopes(d.heads, most)
	},
}

// mptAttention are the keys of attn_config that are read, and those that change nothing.
var mptAttention = []string{"alibi", "alibi_bias_max", "softmax_scale", "attn_type", "attn_impl", "attn_pdrop", "model_type"}

// mptSlopes are those of the next power of two of heads, every other one first where that is more.
func mptSlopes(heads int, most float64) []float32 {
	n := 1
	for n < heads {
		n *= 2
	}
	slopes := alibiPowers(n, most)
	if n == heads {
		return slopes
	}
	var odd, even []float32
	for i := 0; i < n; i += 2 {
		even, odd = append(even, slopes[i]), append(odd, slopes[i+1])
	}
	return append(odd, even...)[:heads]
}
