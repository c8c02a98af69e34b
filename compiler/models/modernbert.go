package models

import (
	"llmc/compiler/hf"
	"llmc/ir"
)

// modernBERT (Warner et al. 2024) is an encoder with rotary positions, gated layers and norms before them, of which most layers see a window to either
// side and turn by frequencies of their own. The first layer's attention reads the embeddings, which have a norm.
var modernBERT = &family{
	modelType:    "modernbert",
	architecture: "ModernBertModel",
	classes: []class{
		{name: "ModernBertForMaskedLM"}, {name: "ModernBertForSequenceClassification", give: (*importer).modernScores},
	},
	sizes:    llamaSizes.with(func(s *sizes) { s.kvHeads, s.dim, s.eps = "", "", "norm_eps" }),
	defaults: defaults{eps: 1e-5, maxPositions: 8192},
	rotary:   &rotary{base: 160000, baseKey: "global_rope_theta", perType: "full_attention"},
	names: names{
		table: "model.embeddings.tok_embeddings", embedNorm: "model.embeddings.norm", layers: "model.layers.", norm: "model.final_norm",
		preAttn: "attn_norm", preMLP: "mlp_norm", qkv: "attn.Wqkv", o: "attn.Wo", gateUp: "mlp.Wi", down: "mlp.Wo",
	},
	shape:   decoder{norms: norms{layer: true, bare: true}, whole: true, bothWay: true},
	keys:    append([]string{"hidden_activation", "attention_bias", "mlp_bias", "norm_bias", "classifier_bias", "classifier_activation", "classifier_pooling", "global_attn_every_n_layers", "local_attention", "local_rope_theta", "layer_types"}, labelKeys...),
	ignored: []string{"decoder_bias", "deterministic_flash_attn", "reference_compile", "repad_logits_with_grad", "sparse_prediction", "sparse_pred_ignore_index", "initializer_cutoff_factor"},
	unused:  []string{"head.*", "decoder.*"},
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "hidden_activation", "gelu")
		d.qkvBias = f.BoolOr("attention_bias", false)
		d.outBias, d.mlpBias, d.norms.bias = d.qkvBias, f.BoolOr("mlp_bias", false), f.BoolOr("norm_bias", false)
		readLabels(f, d)
		readLocal(f, d)
		if pooling := f.TextOr("classifier_pooling", "cls"); pooling != "cls" && pooling != "mean" {
			f.Fail("classifier_pooling", "%q is not supported; known are cls and mean", pooling)
		} else {
			d.headPool = map[string]string{"cls": "first", "mean": "mean"}[pooling]
		}
		d.headBias = f.BoolOr("classifier_bias", false)
		if d.headAct = activations[f.TextOr("classifier_activation", "gelu")]; d.headAct == "" {
			f.Fail("classifier_activation", "%q is not supported", f.TextOr("classifier_activation", ""))
		}
	},
}

// readLocal gives windows, with their own frequencies, to all but each global_attn_every_n_layers-th layer from the first on, or as layer_types says.
func readLocal(f *hf.Fields, d *decoder) {
	every := int(f.IntOr("global_attn_every_n_layers", 3, 1, maxLayers))
	window := int(f.IntOr("local_attention", 128, 2, maxPositions))
	types := f.Texts("layer_types")
	if types != nil && len(types) != d.layers {
		f.Fail("layer_types", "has %d entries instead of %d, one for each layer", len(types), d.layers)
		return
	}
	local := readRope(f, rotary{base: 1e4, baseKey: "local_rope_theta", perType: "sliding_attention", alone: true}, d.dim, d.maxContext)
	for i := range d.windows {
		sliding := i%every != 0
		if types != nil {
			sliding = types[i] == "sliding_attention"
			if !sliding && types[i] != "full_attention" {
				f.Fail("layer_types", "layer %d has %q; only full_attention and sliding_attention are supported", i, types[i])
			}
		}
		if sliding {
			d.windows[i], d.ropes[i] = window, local
		}
	}
}

// modernScores is ModernBERT's head, a dense layer with an activation and a norm, of one row of each sequence, and the classifier behind it.
func (in *importer) modernScores(d *decoder, rows *ir.Value, s ir.Step) *ir.Value {
	x := in.Pool(rows, s.SeqStart, d.headPool)
	var bias *ir.Value
	if d.headBias {
		bias = in.bias("head.dense.bias", "col", d.hidden)
	}
	x = in.Activation(d.headAct, in.Linear(x, in.matrix("head.dense.weight", "col", d.hidden, d.hidden), bias))
	return in.scores(d, in.normed(d, x, "head.norm").As("pooled"), "classifier")
}
