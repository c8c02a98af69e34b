package models

import (
	"llmc/compiler/hf"
	"llmc/ir"
)

// gptoss (OpenAI 2025) is a mixture of experts in every layer, whose gates and what they let through are bounded, with biases everywhere; each head has a
// sink, a score of no value. Every other layer has a sliding window, the first one included. The softmax is over the logits of the experts that a row
// chooses. Tensors hold the matrices of all experts, [inputs, outputs], gate's outputs and up's in turn; those in MXFP4 are [outputs, inputs].
var gptoss = &family{
	modelType:    "gpt_oss",
	architecture: "GptOssForCausalLM",
	sizes:        llamaSizes,
	defaults:     defaults{kvHeads: 8, dim: 64, eps: 1e-5, maxPositions: 131072},
	rotary:       &rotary{base: 150000},
	names:        llamaNames,
	shape: decoder{
		act: "quick_gelu", sinks: "self_attn.sinks",
		experts: mixture{
			spellings: []mixtureNames{{
				router: "mlp.router", gate: "mlp.experts.gate_proj", up: "mlp.experts.up_proj", down: "mlp.experts.down_proj",
				gateUp: "mlp.experts.gate_up_proj", alternate: true, turned: true,
			}, { // of GGUF files
				router: "mlp.router", gate: "mlp.experts.%d.gate_proj", up: "mlp.experts.%d.up_proj", down: "mlp.experts.%d.down_proj",
			}},
			routing: ir.Routing{Normalize: true}, routerBias: true, biased: true,
		},
	},
	keys: []string{
		"attention_bias", "hidden_act", "num_local_experts", "num_experts", "num_experts_per_tok", "sliding_window", "layer_types", "swiglu_limit",
		"swiglu_alpha",
	},
	ignored: []string{"output_router_logits", "experts_per_token", "initial_context_length"}, // the last two say again what others do
	describe: func(f *hf.Fields, d *decoder) {
		d.qkvBias = f.BoolOr("attention_bias", true)
		d.outBias = d.qkvBias
		if act := f.TextOr("hidden_act", "silu"); act != "silu" && f.Err() == nil {
			f.Fail("hidden_act", "%q is not supported; it must be silu, by which the checkpoints mean their bounded gate", act)
		}
		if alpha := f.FloatOr("swiglu_alpha", quickSlope, 0, 1e3); alpha != quickSlope && f.Err() == nil {
			f.Fail("swiglu_alpha", "%g is not supported; it must be %g", alpha, quickSlope)
		}
		d.readExperts(f, "num_local_experts num_experts", 128, 4)
		d.experts.inner = d.inner
		d.experts.gate = ir.Gate{Limit: f.FloatOr("swiglu_limit", 7, 1e-3, 1e6), Shift: 1}
		readPattern(f, d, windowOr(f, 128), 2)
	},
}

// quickSlope is the steepness of quick_gelu.
const quickSlope = 1.702
