package models

import (
	"llmc/compiler/hf"
	"llmc/ir"
)

// vit (Dosovitskiy et al. 2020) reads an image as patches behind a row of its own, by whose last state it is classified.
var vit = &family{
	modelType:    "vit",
	architecture: "ViTForImageClassification",
	keys:         vitTower.keys,
	unused:       []string{"vit.pooler.*"}, // of the class without a classifier
	towers:       &towers{image: &tower{family: vitTower, give: (*importer).vitLabels}},
}

var vitTower = &family{
	modelType: "vit",
	sizes:     towerSizes,
	defaults:  defaults{hidden: 768, layers: 12, heads: 12, inner: 4, eps: 1e-12, maxPositions: 1},
	names: names{
		positions: "vit.embeddings.position_embeddings", layers: "vit.encoder.layer.", norm: "vit.layernorm", head: "classifier",
		preAttn: "layernorm_before", q: "attention.attention.query", k: "attention.attention.key", v: "attention.attention.value",
		o: "attention.output.dense", preMLP: "layernorm_after", up: "intermediate.dense", down: "output.dense",
	},
	shape:   towerShape(patches{embed: "vit.embeddings.patch_embeddings.projection", biased: true, class: "vit.embeddings.cls_token", size: 16}),
	keys:    []string{"hidden_act", "image_size", "patch_size", "num_channels", "qkv_bias", "num_labels", "id2label"},
	ignored: []string{"encoder_stride", "pooler_act", "pooler_output_size"}, // of classes for other things
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "hidden_act", "gelu")
		d.bothWay = true
		d.qkvBias = f.BoolOr("qkv_bias", true)
		d.labels = int(f.IntOr("num_labels", 2, 1, maxVocab))
		if labels := f.Object("id2label"); labels != nil {
			d.labels = len(labels.Keys())
		}
	},
}

// towerSizes are the keys of encoders of images, which have no vocabulary.
var towerSizes = llamaSizes.with(func(s *sizes) { s.vocab, s.kvHeads, s.dim, s.eps, s.positions = "", "", "", "layer_norm_eps", "" })

// towerShape is what the encoders of images here have.
func towerShape(p patches) decoder {
	return decoder{norms: norms{layer: true, bias: true}, plainMLP: true, qkvBias: true, outBias: true, mlpBias: true, patches: p}
}

// vitLabels is the classifier of the first row.
func (in *importer) vitLabels(d *decoder, rows *ir.Value, s *ir.Step) *ir.Value {
	return in.dense(in.Pool(rows, s.SeqStart, "first").As("pooled"), d.names.head, d.labels, d.hidden).As("logits")
}
