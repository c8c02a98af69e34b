package models

import (
	"llmc/compiler/hf"
	"llmc/ir"
)

// siglip (Zhai et al. 2023) has an encoder of images, whose rows a learned query pools by attention, and one of texts, all of the same length. What is
// learned is whether a pair belongs together, so that cosines are scaled and have something added.
var siglip = &family{
	modelType:    "siglip",
	architecture: "SiglipModel",
	names:        names{table: "text_model.embeddings.token_embedding"},
	keys:         []string{"text_config", "vision_config"},
	unused:       []string{"*.embeddings.position_ids"},
	towers: &towers{
		image: &tower{key: "vision_config", family: siglipVision, give: (*importer).siglipImage},
		text:  &tower{key: "text_config", family: siglipText, give: (*importer).siglipText, end: siglipEnd},
		pair: func(in *importer, info *Info) {
			info.LogitScale = in.logitScale()
			info.LogitBias = in.scalar("logit_bias")
		},
	},
}

var siglipVision = &family{
	modelType: "siglip_vision_model",
	sizes:     towerSizes,
	defaults:  defaults{hidden: 768, layers: 12, heads: 12, inner: 4, eps: 1e-6, maxPositions: 1},
	names: func() names {
		n := clipLayer("vision_model.")
		n.positions, n.norm = "vision_model.embeddings.position_embedding.weight", "vision_model.post_layernorm"
		return n
	}(),
	shape: towerShape(patches{embed: "vision_model.embeddings.patch_embedding", biased: true, size: 16}),
	keys:  []string{"hidden_act", "image_size", "patch_size", "num_channels", "vision_use_head"},
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "hidden_act", "gelu_pytorch_tanh")
		want(f, "vision_use_head", true)
		d.bothWay = true
	},
}

var siglipText = &family{
	modelType: "siglip_text_model",
	sizes:     clipText.sizes,
	defaults:  defaults{vocab: 32000, hidden: 768, layers: 12, heads: 12, inner: 4, eps: 1e-6, maxPositions: 64},
	names: func() names {
		n := clipLayer("text_model.")
		n.table, n.positions, n.norm = "text_model.embeddings.token_embedding", "text_model.embeddings.position_embedding", "text_model.final_layer_norm"
		n.head = "text_model.head"
		return n
	}(),
	shape: towerShape(patches{}),
	keys:  []string{"hidden_act", "projection_size"},
	describe: func(f *hf.Fields, d *decoder) {
		readAct(f, d, "hidden_act", "gelu_pytorch_tanh")
		d.bothWay = true
		d.learned.count = int(d.maxContext)
		d.labels = int(f.IntOr("projection_size", int64(d.hidden), 1, maxWidth))
	},
}

// siglipEnd: texts are padded to the length that the model was trained with, and padding is read like other tokens.
func siglipEnd(f *hf.Fields, d *decoder, t *Text) {
	t.PadTo, t.Pad = t.MaxTokens, int32(f.IntOr("pad_token_id", 1, 0, int64(d.vocab-1)))
}

// siglipImage is attention of a learned query to all rows, and an MLP behind it. Every row asks the same; the first one's answer is taken.
func (in *importer) siglipImage(d *decoder, rows *ir.Value, s *ir.Step) *ir.Value {
	const head = "vision_model.head."
	probe := in.row(head+"probe", d.hidden)
	if probe == nil {
		return &ir.Value{}
	}
	asked := in.GatherTypes(in.declared(head+"probe", "", probe, ir.TensorRows(probe.Name, 0, 1), 1, d.hidden), s.Types)
	part := func(what string, i int, x *ir.Value) *ir.Value {
		p := &projection{what: what, outputs: d.hidden, inputs: d.hidden, rows: []span{{i * d.hidden, d.hidden}}, total: 3 * d.hidden, axis: "col"}
		w, b := in.rowsOf(head+"attention.in_proj", "_weight", p, false), in.rowsOf(head+"attention.in_proj", "_bias", p, false)
		return in.Linear(x, w, b).As("head." + what)
	}
	s.Token = in.KVWrite(s.Token, part("k", 1, rows), part("v", 2, rows), 0)
	y := in.Attention(part("q", 0, asked), s.Token, *s, ir.Attention{Heads: d.heads, KVHeads: d.kvHeads, Dim: d.dim, Scale: d.scale(), Ahead: ir.EveryPosition})
	x := in.dense(in.Pool(y, s.SeqStart, "first"), head+"attention.out_proj", d.hidden, d.hidden)
	up := in.Activation(d.act, in.dense(in.normed(d, x, head+"layernorm"), head+"mlp.fc1", d.inner, d.hidden))
	return in.Add(x, in.dense(up, head+"mlp.fc2", d.hidden, d.inner)).As("embedding")
}

// siglipText is a dense layer of the last row.
func (in *importer) siglipText(d *decoder, rows *ir.Value, s *ir.Step) *ir.Value {
	return in.dense(in.Pool(rows, s.SeqStart, "last").As("pooled"), d.names.head, d.labels, d.hidden).As("embedding")
}
