package models

import (
	"llmc/compiler/hf"
	"llmc/ir"
)

// bert (Devlin et al. 2018) is an encoder: learned positions and types of tokens, layer norms behind the sums, biases everywhere. Its vectors are for
// sentence-transformers' files, or the class of a classifier, to make.
var bert = &family{
	modelType:    "bert",
	architecture: "BertModel",
	classes: []class{
		{name: "BertForMaskedLM"}, {name: "BertForPreTraining"}, {name: "BertForSequenceClassification", give: (*importer).bertScores},
	},
	sizes:    llamaSizes.with(func(s *sizes) { s.kvHeads, s.dim, s.eps = "", "", "layer_norm_eps" }),
	defaults: defaults{eps: 1e-12, maxPositions: 512},
	names:    bertNames("bert."),
	shape:    bertShape,
	keys:     bertKeys,
	unused:   []string{"pooler.*", "bert.pooler.*", "cls.*", "*embeddings.position_ids"},
	describe: func(f *hf.Fields, d *decoder) {
		readBERT(f, d)
		d.learned = learnedRows{count: int(d.maxContext)}
	},
}

// bertNames are those of BERT's tensors and of its descendants'.
func bertNames(base string) names {
	return names{
		table: base + "embeddings.word_embeddings", positions: base + "embeddings.position_embeddings", types: base + "embeddings.token_type_embeddings",
		embedNorm: base + "embeddings.LayerNorm", layers: base + "encoder.layer.",
		q: "attention.self.query", k: "attention.self.key", v: "attention.self.value", o: "attention.output.dense", postAttn: "attention.output.LayerNorm",
		up: "intermediate.dense", down: "output.dense", postMLP: "output.LayerNorm",
	}
}

var bertShape = decoder{
	norms: norms{layer: true, bias: true, after: true}, whole: true, bothWay: true, plainMLP: true, qkvBias: true, outBias: true, mlpBias: true,
}

var bertKeys = append([]string{"hidden_act", "position_embedding_type", "type_vocab_size", "is_decoder", "add_cross_attention", "pad_token_id"}, labelKeys...)

// readBERT reads what BERT and its descendants have.
func readBERT(f *hf.Fields, d *decoder) {
	readAct(f, d, "hidden_act", "gelu")
	if kind := f.TextOr("position_embedding_type", "absolute"); kind != "absolute" {
		f.Fail("position_embedding_type", "%q is not supported; it must be absolute", kind)
	}
	want(f, "is_decoder", false)
	want(f, "add_cross_attention", false)
	d.types = int(f.IntOr("type_vocab_size", 2, 1, maxVocab))
	readLabels(f, d)
}

// bertScores is BERT's pooler, a dense layer of the first token's row, and the classifier behind it.
func (in *importer) bertScores(d *decoder, rows *ir.Value, s ir.Step) *ir.Value {
	x := in.Pool(rows, s.SeqStart, "first")
	x = in.tanh(in.dense(x, "bert.pooler.dense", d.hidden, d.hidden)).As("pooled")
	return in.scores(d, x, "classifier")
}
