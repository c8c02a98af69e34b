package models

import (
	"math"
	"strings"

	"llmc/compiler/hf"
	"llmc/internal/relative"
)

// t5 (Raffel et al. 2020), T5 1.1 and Flan-T5 have an encoder and a decoder with RMS norms, no scale of scores, and learned numbers by the distance of a
// position, which all layers share, in place of embeddings of positions.
var t5 = &family{
	modelType:    "t5",
	architecture: "T5ForConditionalGeneration",
	classes:      []class{{name: "T5WithLMHeadModel"}}, // as it was called before
	sizes: sizes{
		vocab: "vocab_size", hidden: "d_model", inner: "d_ff", layers: "num_decoder_layers num_layers", heads: "num_heads", dim: "d_kv",
		eps: "layer_norm_epsilon", positions: "n_positions",
	},
	defaults: defaults{dim: 64, eps: 1e-6, maxPositions: 512, tied: true},
	names: t5Names("decoder", 2).with(func(n *names) {
		n.aliases = []string{"encoder.embed_tokens", "decoder.embed_tokens"}
		n.cross = crossing{
			norm: "layer.1.layer_norm", q: "layer.1.EncDecAttention.q", k: "layer.1.EncDecAttention.k", v: "layer.1.EncDecAttention.v",
			o: "layer.1.EncDecAttention.o",
		}
	}),
	shape: decoder{scoreScale: 1},
	keys: []string{
		"is_encoder_decoder", "num_layers", "feed_forward_proj", "is_gated_act", "dense_act_fn", "relative_attention_num_buckets",
		"relative_attention_max_distance",
	},
	ignored:  []string{"output_past", "dropout_rate"},
	unused:   []string{"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "*.EncDecAttention.relative_attention_bias.weight"},
	describe: describeT5,
}

// t5Names are the tensors of a stack of T5, whose layers have the MLP as part so many.
func t5Names(stack string, mlp int) names {
	part := "layer." + string(rune('0'+mlp)) + "."
	return names{
		table: "shared", layers: stack + ".block.", norm: stack + ".final_layer_norm", head: "lm_head",
		preAttn: "layer.0.layer_norm", q: "layer.0.SelfAttention.q", k: "layer.0.SelfAttention.k", v: "layer.0.SelfAttention.v", o: "layer.0.SelfAttention.o",
		preMLP: part + "layer_norm", up: part + "DenseReluDense.wi", down: part + "DenseReluDense.wo",
	}
}

func describeT5(f *hf.Fields, d *decoder) {
	want(f, "is_encoder_decoder", true)
	gate, act := "", f.TextOr("feed_forward_proj", "relu")
	if rest, gated := strings.CutPrefix(act, "gated-"); gated {
		gate, act = "DenseReluDense.wi_0", rest
		if act == "gelu" { // the name of the one that is approximated by tanh, since T5 1.1
			act = "gelu_new"
		}
	}
	if d.act = activations[act]; d.act == "" {
		f.Fail("feed_forward_proj", "activation %q is not supported", act)
	}
	d.plainMLP = gate == ""
	if d.tied {
		d.headScale = 1 / math.Sqrt(float64(d.hidden))
	}
	buckets := relative.Buckets{
		Count: int(f.IntOr("relative_attention_num_buckets", 32, 1, maxHeads)),
		Reach: int(f.IntOr("relative_attention_max_distance", 128, 1, relative.MaxReach)),
	}
	layers := int(f.Int("num_layers", 1, maxLayers))
	d.encoder = encoderOf(d, func(e *decoder) { e.layers, e.names = layers, t5Names("encoder", 1) })
	for _, stack := range []*decoder{d, d.encoder} {
		both := buckets
		both.Both = stack == d.encoder
		if err := both.Check(); err != nil {
			f.Fail("relative_attention_num_buckets", "%v", err)
		}
		stack.relative = &relativeScores{stack.names.layers + "0.layer.0.SelfAttention.relative_attention_bias.weight", both}
		if gate != "" {
			stack.names.gate = strings.TrimSuffix(stack.names.up, "DenseReluDense.wi") + gate
			stack.names.up += "_1"
		}
	}
}
