package models

import (
	"math"
	"slices"
	"strings"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/ir"
)

// class is what the models of an encoder's family are saved as: a class of transformers.
type class struct {
	name string
	give giveFunc // what it makes of the last layer's rows; nil: the rows
}

// giveFunc makes the result of a function of whole sequences of the last layer's rows.
type giveFunc func(in *importer, d *decoder, rows *ir.Value, s ir.Step) *ir.Value

// class returns the class that a checkpoint was saved as, nil if it is none of the family's.
func (fam *family) class(c *hf.Config) *class {
	for _, name := range c.Architectures {
		if name == fam.architecture {
			return &class{name: name}
		}
		if i := slices.IndexFunc(fam.classes, func(k class) bool { return k.name == name }); i >= 0 {
			return &fam.classes[i]
		}
	}
	return nil
}

// bareClass is a decoder's class without a language model head.
func (fam *family) bareClass() string {
	return strings.TrimSuffix(fam.architecture, "ForCausalLM") + "Model"
}

// classNames lists the classes of a family for messages.
func (fam *family) classNames() string {
	names := []string{fam.architecture}
	for _, k := range fam.classes {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

// Classes returns the classes of transformers whose checkpoints make vectors and scores, of a supported model type.
func Classes(modelType string) []string {
	i := slices.IndexFunc(families, func(f *family) bool { return f.modelType == modelType })
	fam := families[i]
	if !fam.shape.whole {
		return []string{fam.bareClass(), fam.architecture}
	}
	return strings.Split(fam.classNames(), ", ")
}

// giveOf returns what a checkpoint's class makes of the last rows.
func giveOf(c *hf.Config, fam *family) giveFunc {
	if k := fam.class(c); k != nil {
		return k.give
	}
	return nil
}

// EmbedFunc is the function of encoders: what they make of whole sequences.
const EmbedFunc = "embed"

// buildEmbed writes the function "embed" of whole sequences. It gives "embedding", a row for each sequence, where sentence-transformers' files say how; what
// the class of a classifier makes of the rows; or else the rows, "hidden". Layers use the same page of the cache one after the other.
func (in *importer) buildEmbed(d *decoder, opts Options) {
	kv := opts.KV
	if kv == dtype.Invalid {
		kv = dtype.F32
	}
	turns := in.declareRopes(d)
	s := in.Sequences(EmbedFunc, in.PagedCache("kv", 1, d.kvHeads, d.dim, kv))
	table := in.matrix(d.names.table+".weight", "col", d.vocab, d.hidden)
	x, token := in.stack(d, in.embed(d, table, s), turns, s)
	switch {
	case d.give != nil:
		x = d.give(in, d, x, s)
	case d.sent != nil:
		x = in.sentence(d, x, s)
	default:
		x.As("hidden")
	}
	in.Return(x, token)
}

// sentence is the embedding of each sequence as sentence-transformers makes it.
func (in *importer) sentence(d *decoder, rows *ir.Value, s ir.Step) *ir.Value {
	x := in.Pool(rows, s.SeqStart, d.sent.Pooling)
	if d.sent.Normalize {
		x = in.unitLength(x.As("pooled"), d.hidden)
	}
	return x.As("embedding")
}

// leastSquare keeps rows of zeros, which have no direction, finite.
const leastSquare = 1e-24

// unitLength divides rows by their length, which is the root of their mean square times the root of the number of columns.
func (in *importer) unitLength(x *ir.Value, width int) *ir.Value {
	w := make([]float32, width)
	for i := range w {
		w[i] = float32(1 / math.Sqrt(float64(width)))
	}
	return in.RMSNorm(x, in.Constant("unit", w, width), leastSquare)
}

// dense is a product with a matrix of the checkpoint and what is added to it.
func (in *importer) dense(x *ir.Value, name string, outputs, inputs int) *ir.Value {
	return in.Linear(x, in.matrix(name+".weight", "col", outputs, inputs), in.bias(name+".bias", "col", outputs))
}

// tanh is the hyperbolic tangent.
func (in *importer) tanh(x *ir.Value) *ir.Value { return in.Softcap(x, 1) }

// scores is what a classifier's last matrix gives: logits of its labels, or the score that the logit of a single one stands for.
func (in *importer) scores(d *decoder, x *ir.Value, name string) *ir.Value {
	x = in.dense(x, name, d.labels, d.hidden)
	if d.labels > 1 {
		return x.As("logits")
	}
	if d.scored != "" {
		x = in.Activation(d.scored, x.As("logit"))
	}
	return x.As("score")
}

// labelKeys are the keys that readLabels reads.
var labelKeys = []string{"num_labels", "id2label", "sentence_transformers", "sbert_ce_default_activation_function"}

// readLabels reads how many labels a classifier tells apart, and what sentence-transformers' CrossEncoder does with the logit of a single one.
func readLabels(f *hf.Fields, d *decoder) {
	d.labels = int(f.IntOr("num_labels", 2, 1, maxVocab))
	if labels := f.Object("id2label"); labels != nil {
		d.labels = len(labels.Keys())
	}
	d.scored = "sigmoid"
	key, in := "sbert_ce_default_activation_function", f
	if own := f.Object("sentence_transformers"); own != nil && own.Has("activation_fn") {
		key, in = "activation_fn", own
	}
	name := in.TextOr(key, "Sigmoid")
	switch name[strings.LastIndex(name, ".")+1:] {
	case "Sigmoid":
	case "Identity":
		d.scored = ""
	default:
		in.Fail(key, "%q is not supported; known are Sigmoid and Identity", name)
	}
}
