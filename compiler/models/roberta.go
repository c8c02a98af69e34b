package models

import (
	"llmc/compiler/hf"
	"llmc/ir"
)

// roberta (Liu et al. 2019) is BERT whose positions are counted from behind the padding token's id, and whose classifier has a dense layer of its own.
var roberta = &family{
	modelType:    "roberta",
	architecture: "RobertaModel",
	classes: []class{
		{name: "RobertaForMaskedLM"}, {name: "RobertaForSequenceClassification", give: (*importer).robertaScores},
	},
	sizes:    bert.sizes,
	defaults: defaults{eps: 1e-12, maxPositions: 512},
	names:    bertNames("roberta."),
	shape:    bertShape,
	keys:     bertKeys,
	unused:   []string{"pooler.*", "roberta.pooler.*", "lm_head.*", "*embeddings.position_ids"},
	describe: func(f *hf.Fields, d *decoder) {
		readBERT(f, d)
		skip := int(f.IntOr("pad_token_id", 1, 0, maxVocab)) + 1
		if int64(skip) >= d.maxContext {
			f.Fail("pad_token_id", "positions begin at %d, of %d that there are", skip, d.maxContext)
			return
		}
		d.maxContext -= int64(skip)
		d.learned = learnedRows{skip: skip, count: int(d.maxContext)}
	},
}

// xlmRoberta (Conneau et al. 2019) is RoBERTa with another vocabulary.
var xlmRoberta = func() *family {
	f := *roberta
	f.modelType, f.architecture = "xlm-roberta", "XLMRobertaModel"
	f.classes = []class{
		{name: "XLMRobertaForMaskedLM"}, {name: "XLMRobertaForSequenceClassification", give: (*importer).robertaScores},
	}
	return &f
}()

// robertaScores is RoBERTa's classifier of the first token's row.
func (in *importer) robertaScores(d *decoder, rows *ir.Value, s ir.Step) *ir.Value {
	x := in.Pool(rows, s.SeqStart, "first")
	x = in.tanh(in.dense(x, "classifier.dense", d.hidden, d.hidden)).As("pooled")
	return in.scores(d, x, "classifier.out_proj")
}
