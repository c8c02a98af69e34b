package models

import (
	"math"

	"llmc/compiler/hf"
	"llmc/ir"
)

// clip (Radford et al. 2021) has an encoder of images and a causal one of texts, whose features are compared by their cosine.
var clip = &family{
	modelType:    "clip",
	architecture: "CLIPModel",
	names:        names{table: "text_model.embeddings.token_embedding"},
	keys:         []string{"text_config", "vision_config", "projection_dim"},
	ignored:      []string{"logit_scale_init_value", "text_config_dict", "vision_config_dict"},
	unused:       []string{"*.embeddings.position_ids"},
	towers: &towers{
		image: &tower{key: "vision_config", family: clipVision, give: (*importer).clipImage},
		text:  &tower{key: "text_config", family: clipText, give: (*importer).clipText, end: clipEnd},
		pair: func(in *importer, info *Info) {
			info.LogitScale = in.logitScale()
		},
	},
}

// clipLayer are the names in the layers of CLIP's encoders, and of SigLIP's.
func clipLayer(base string) names {
	return names{
		layers: base + "encoder.layers.", preAttn: "layer_norm1", preMLP: "layer_norm2",
		q: "self_attn.q_proj", k: "self_attn.k_proj", v: "self_attn.v_proj", o: "self_attn.out_proj", up: "mlp.fc1", down: "mlp.fc2",
	}
}

var clipVision = &family{
	modelType: "clip_vision_model",
	sizes:     towerSizes,
	defaults:  defaults{hidden: 768, layers: 12, heads: 12, inner: 4, eps: 1e-5, maxPositions: 1},
	names: func() names {
		n := clipLayer("vision_model.")
		n.positions, n.embedNorm, n.head = "vision_model.embeddings.position_embedding.weight", "vision_model.pre_layrnorm", "visual_projection"
		return n
	}(),
	shape:   towerShape(patches{embed: "vision_model.embeddings.patch_embedding", class: "vision_model.embeddings.class_embedding", size: 32}),
	keys:    []string{"hidden_act", "image_size", "patch_size", "num_channels"},
	ignored: []string{"projection_dim"}, // the model's own is the one that counts
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "hidden_act", "quick_gelu")
		d.bothWay = true
	},
}

var clipText = &family{
	modelType: "clip_text_model",
	sizes:     llamaSizes.with(func(s *sizes) { s.kvHeads, s.dim, s.eps = "", "", "layer_norm_eps" }),
	defaults:  defaults{vocab: 49408, hidden: 512, layers: 12, heads: 8, inner: 4, eps: 1e-5, maxPositions: 77},
	names: func() names {
		n := clipLayer("text_model.")
		n.table, n.positions, n.head = "text_model.embeddings.token_embedding", "text_model.embeddings.position_embedding", "text_projection"
		return n
	}(),
	shape:   towerShape(patches{}),
	keys:    []string{"hidden_act"},
	ignored: []string{"projection_dim"},
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "hidden_act", "quick_gelu")
		d.learned.count = int(d.maxContext)
	},
}

// logitScale is what cosines are multiplied with: checkpoints hold its logarithm.
func (in *importer) logitScale() *float64 {
	scale := in.scalar("logit_scale")
	if scale != nil {
		*scale = math.Exp(*scale)
	}
	return scale
}

// clipEnd: the row of the token that ends a text stands for it. Checkpoints from before its id was written down say 2, and mean the largest one.
func clipEnd(f *hf.Fields, d *decoder, t *Text) {
	t.End, t.EndID = "token", int32(f.IntOr("eos_token_id", 49407, 0, int64(d.vocab-1)))
	if t.EndID == 2 {
		t.End, t.EndID = "largest", 0
	}
}

// clipImage is the projection of the first row.
func (in *importer) clipImage(d *decoder, rows *ir.Value, s *ir.Step) *ir.Value {
	x := in.normed(d, in.Pool(rows, s.SeqStart, "first"), "vision_model.post_layernorm").As("pooled")
	return in.projected(d, x)
}

// clipText is the projection of the last row.
func (in *importer) clipText(d *decoder, rows *ir.Value, s *ir.Step) *ir.Value {
	x := in.normed(d, in.Pool(rows, s.SeqStart, "last"), "text_model.final_layer_norm").As("pooled")
	return in.projected(d, x)
}

// projected takes a row to the space in which images and texts are compared.
func (in *importer) projected(d *decoder, x *ir.Value) *ir.Value {
	width := in.checkpoint.Config.Fields().IntOr("projection_dim", 512, 1, maxWidth)
	return in.Linear(x, in.matrix(d.names.head+".weight", "col", int(width), d.hidden), nil).As("embedding")
}
