package models

import (
	"fmt"
	"slices"

	"llmc/compiler/hf"
)

// deepseekv3 is Llama with latent attention, and mixtures of experts behind the first layers: sigmoids of logits are scores, a correction by expert
// is added to them for the choice alone, and a row chooses from the groups whose two best experts are best (DeepSeek-AI 2024, "DeepSeek-V3"; R1). What
// checkpoints hold behind the last layer guesses further tokens, and is left out.
var deepseekv3 = &family{
	modelType:    "deepseek_v3",
	architecture: "DeepseekV3ForCausalLM",
	sizes:        deepseekSizes,
	defaults:     defaults{dim: 64, maxPositions: 4096},
	rotary:       &rotary{style: "interleaved"},
	names:        deepseekNames,
	shape:        decoder{experts: mixture{spellings: deepseekExperts("mlp.gate.e_score_correction_bias")}},
	keys:         append([]string{"rope_interleave", "num_nextn_predict_layers", "num_mtp_layers"}, deepseekKeys...),
	ignored:      deepseekIgnored,
	describe: func(f *hf.Fields, d *decoder) {
		d.readDeepseek(f, deepseekDefaults{count: 256, topK: 8, inner: 2048, shared: 1, dense: 3, scale: 2.5})
		r := &d.experts.routing
		r.Score, r.GroupScore, r.Normalize = "sigmoid", "top2", f.BoolOr("norm_topk_prob", true)
		d.readGroups(f, 8, 4)
		wantText(f, "scoring_func", "sigmoid")
		wantText(f, "topk_method", "noaux_tc")
		if !f.BoolOr("rope_interleave", true) && d.rope != nil {
			d.rope.style = "half"
		}
		for i := range int(f.IntOr(named(f, "num_nextn_predict_layers num_mtp_layers"), 1, 0, maxLayers)) {
			d.unused = append(d.unused, fmt.Sprintf("%s%d.*", d.names.layers, d.layers+i))
		}
	},
}

// deepseekv2 is what came before: scores are the softmax, nothing is added to them, and a group counts as its best expert, where there are groups.
var deepseekv2 = &family{
	modelType:    "deepseek_v2",
	architecture: "DeepseekV2ForCausalLM",
	sizes:        deepseekSizes,
	defaults:     defaults{dim: 64, maxPositions: 2048},
	rotary:       &rotary{style: "interleaved"},
	names:        deepseekNames,
	shape:        decoder{experts: mixture{spellings: deepseekExperts("")}},
	keys:         append([]string{"mlp_bias"}, deepseekKeys...),
	ignored:      deepseekIgnored,
	describe: func(f *hf.Fields, d *decoder) {
		d.readDeepseek(f, deepseekDefaults{count: 64, topK: 0, inner: 1407, shared: 2, dense: 0, scale: 1})
		d.mlpBias = f.BoolOr("mlp_bias", false)
		if f.BoolOr("norm_topk_prob", false) {
			f.Fail("norm_topk_prob", "true is not supported in a deepseek_v2 model: implementations differ in what it does")
		}
		wantText(f, "scoring_func", "softmax")
		switch method := f.TextOr("topk_method", "greedy"); method {
		case "greedy":
		case "group_limited_greedy":
			d.experts.routing.GroupScore = "max"
			d.readGroups(f, 1, 1)
		default:
			f.Fail("topk_method", "%q is not supported; it must be greedy or group_limited_greedy", method)
		}
	},
}

// deepseekSizes have the rotary channels for a head: they are what turns.
var deepseekSizes = llamaSizes.with(func(s *sizes) { s.dim = "qk_rope_head_dim" })

var deepseekNames = llamaNames.with(func(n *names) {
	n.qA, n.qANorm, n.qB = "self_attn.q_a_proj", "self_attn.q_a_layernorm", "self_attn.q_b_proj"
	n.kvA, n.kvANorm, n.kvB = "self_attn.kv_a_proj_with_mqa", "self_attn.kv_a_layernorm", "self_attn.kv_b_proj"
})

// deepseekExperts are the names of mixtures; choice is that of what is added to scores.
func deepseekExperts(choice string) []mixtureNames {
	all := mlpExperts("mlp.shared_experts", "")
	for i := range all {
		all[i].choice = choice
	}
	return all
}

// deepseekKeys are those that both families read.
var deepseekKeys = slices.Concat(latentKeys, []string{
	"n_routed_experts", "num_local_experts", "num_experts", "num_experts_per_tok", "moe_intermediate_size", "n_shared_experts", "routed_scaling_factor",
	"norm_topk_prob", "n_group", "topk_group", "topk_method", "scoring_func", "first_k_dense_replace", "moe_layer_freq",
})

// deepseekIgnored are sizes that follow from others, and settings of training and of other programs.
var deepseekIgnored = []string{"head_dim", "qk_head_dim", "ep_size", "aux_loss_alpha", "seq_aux", "output_router_logits"}

// deepseekDefaults are those of a family's class of transformers.
type deepseekDefaults struct {
	count, topK, inner, shared, dense int64
	scale                             float64
}

// readDeepseek reads what both families have.
func (d *decoder) readDeepseek(f *hf.Fields, def deepseekDefaults) {
	d.readLatent(f)
	if def.topK == 0 {
		def.topK = f.Int("num_experts_per_tok", 1, maxTopK)
	}
	d.readExperts(f, "n_routed_experts num_local_experts num_experts", def.count, def.topK)
	m := &d.experts
	m.inner = int(f.IntOr("moe_intermediate_size", def.inner, 1, maxWidth))
	if n := int(f.IntOr("n_shared_experts", def.shared, 0, maxExperts)); n*m.inner > maxWidth {
		f.Fail("n_shared_experts", "%d of %d features are wider than %d", n, m.inner, maxWidth)
	} else {
		m.shared = n * m.inner
	}
	m.routing.Scale = f.FloatOr("routed_scaling_factor", def.scale, 1e-6, 1e6)
	if f.IntOr("moe_layer_freq", 1, 1, maxLayers) != 1 {
		f.Fail("moe_layer_freq", "is not supported unless it is 1: every layer behind the first ones has experts")
	}
	dense := int(f.IntOr("first_k_dense_replace", def.dense, 0, maxLayers))
	m.dense = make([]bool, d.layers)
	for i := range min(dense, d.layers) {
		m.dense[i] = true
	}
}

// readGroups reads the groups of experts, and how many of them a row chooses from.
func (d *decoder) readGroups(f *hf.Fields, groups, top int64) {
	r := &d.experts.routing
	r.Groups = int(f.IntOr("n_group", groups, 1, maxTopK))
	r.TopGroups = int(f.IntOr("topk_group", top, 1, maxTopK))
	switch size := d.experts.count / max(r.Groups, 1); {
	case size*r.Groups != d.experts.count:
		f.Fail("n_group", "%d groups of %d experts, which are not of one size", r.Groups, d.experts.count)
	case r.TopGroups > r.Groups:
		f.Fail("topk_group", "%d of n_group %d", r.TopGroups, r.Groups)
	case r.GroupScore == "top2" && size < 2:
		f.Fail("n_group", "%d groups of %d experts have no two best ones", r.Groups, d.experts.count)
	case r.TopK > size*r.TopGroups:
		f.Fail("num_experts_per_tok", "%d of the %d experts of topk_group %d groups", r.TopK, size*r.TopGroups, r.TopGroups)
	}
}

// wantText refuses a text other than the one that the family computes with.
func wantText(f *hf.Fields, key, want string) {
	if got := f.TextOr(key, want); got != want {
		f.Fail(key, "%q is not supported; it must be %q", got, want)
	}
}
