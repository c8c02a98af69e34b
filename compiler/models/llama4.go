package models

import (
	"encoding/json"

	"llmc/compiler/hf"
	"llmc/ir"
)

// llama4 is the text model of Llama 4 (Meta 2025): in some layers an MLP that sees every row and one expert of many, whose input is multiplied with the sigmoid
// of its logit. Most layers turn neighbouring channels, normalise queries and keys, and see their own chunk of positions alone; the others, every
// fourth one, do not turn, see everything, and have queries that grow with the logarithm of their position.
var llama4 = &family{
	modelType:    "llama4_text",
	architecture: "Llama4ForCausalLM",
	sizes:        llamaSizes.with(func(s *sizes) { s.inner = "intermediate_size_mlp" }),
	defaults:     defaults{kvHeads: 8, dim: 128, eps: 1e-5, maxPositions: 131072},
	rotary:       &rotary{style: "interleaved", base: 500000},
	names: llamaNames.with(func(n *names) {
		n.gate, n.up, n.down = "feed_forward.gate_proj", "feed_forward.up_proj", "feed_forward.down_proj"
	}),
	shape: decoder{
		experts: mixture{
			spellings: []mixtureNames{{
				router: "feed_forward.router", gate: "feed_forward.experts.gate_proj", up: "feed_forward.experts.up_proj",
				down: "feed_forward.experts.down_proj", gateUp: "feed_forward.experts.gate_up_proj", turned: true,
				shared: mlpUnder("feed_forward.shared_expert"),
			}},
			routing: ir.Routing{Score: "sigmoid"}, scalesInput: true,
		},
	},
	keys: []string{
		"attention_bias", "hidden_act", "intermediate_size", "num_local_experts", "num_experts_per_tok", "interleave_moe_layer_step", "moe_layers",
		"use_qk_norm", "no_rope_layers", "no_rope_layer_interval", "attention_chunk_size", "layer_types", "attn_temperature_tuning", "attn_scale", "floor_scale",
	},
	ignored: []string{"output_router_logits", "router_jitter_noise", "for_llm_compressor"},
	describe: func(f *hf.Fields, d *decoder) {
		d.qkvBias = f.BoolOr("attention_bias", false)
		d.outBias = d.qkvBias
		readAct(f, d, "hidden_act", "silu")
		readLlama4Experts(f, d)
		if f.BoolOr("use_qk_norm", true) {
			d.qkNorm = turnedHead
			if d.rope != nil && d.rope.factor != 1 {
				f.Fail("rope_scaling", "multiplies what turns by %g, which is not supported with norms of queries and keys", d.rope.factor)
			}
		}
		if tempers(f) {
			d.tempered = tempering{by: f.FloatOr("attn_scale", 0.1, -1e6, 1e6), every: int(f.IntOr("floor_scale", 8192, 1, maxPositions))}
		}
		readNoRopeLayers(f, d)
		readChunks(f, d)
	},
}

// tempers reads attn_temperature_tuning, which the first checkpoints have a number for.
func tempers(f *hf.Fields) bool {
	if _, number := f.Value("attn_temperature_tuning").(json.Number); number {
		return f.FloatOr("attn_temperature_tuning", 1, 0, 1e6) != 0
	}
	return f.BoolOr("attn_temperature_tuning", true)
}

// readLlama4Experts reads which layers have experts: those that a list names, or each so-many-th one.
func readLlama4Experts(f *hf.Fields, d *decoder) {
	m := &d.experts
	d.readExperts(f, "num_local_experts", 16, 1)
	if m.routing.TopK != 1 && f.Err() == nil {
		f.Fail("num_experts_per_tok", "%d is not supported; it must be 1, since the score of an expert multiplies its input", m.routing.TopK)
	}
	m.inner = int(f.Int("intermediate_size", 1, maxWidth))
	m.shared = m.inner
	step := int(f.IntOr("interleave_moe_layer_step", 1, 1, maxLayers))
	m.dense = make([]bool, d.layers)
	listed := f.Floats("moe_layers", 0, maxLayers)
	for i := range m.dense {
		m.dense[i] = listed != nil || (i+1)%step != 0
	}
	for _, i := range listed {
		if i < float64(d.layers) { // transformers asks for each layer whether it is in the list
			m.dense[int(i)] = false
		}
	}
}

// readChunks gives layers chunks of positions as layer_types says, or else to those that turn.
func readChunks(f *hf.Fields, d *decoder) {
	size := int(f.IntOr("attention_chunk_size", 8192, 1, maxPositions))
	if f.Present("attention_chunk_size") && !f.Has("attention_chunk_size") { // null
		size = 0
	}
	types := f.Texts("layer_types")
	if types != nil && len(types) != d.layers {
		f.Fail("layer_types", "has %d entries instead of %d, one for each layer", len(types), d.layers)
		return
	}
	d.chunks = make([]int, d.layers)
	for i := range d.chunks {
		chunked := d.ropes[i] != nil
		if types != nil {
			chunked = types[i] == "chunked_attention"
			if !chunked && types[i] != "full_attention" {
				f.Fail("layer_types", "layer %d has %q; only full_attention and chunked_attention are supported", i, types[i])
			}
		}
		if chunked {
			d.chunks[i] = size
		}
	}
}
