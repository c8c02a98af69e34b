package models

import (
	"cmp"
	"fmt"
	"math"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/ir"
)

// decoder describes a decoder: embeddings, layers of attention and an MLP that are added to the residual stream, a last norm and a head. A
// family's shape says what all its models have, describe what config.json says. The zero value is the block of the first Llama.
type decoder struct {
	names
	vocab, hidden, inner int
	layers               int
	heads, kvHeads, dim  int // dim: channels of a head
	eps                  float64
	maxContext           int64
	tied                 bool // the head is the embedding table

	norms     norms
	parallel  bool // the MLP reads what came into the layer, not what attention has added
	qkvBias   bool
	outBias   bool // of attention's last projection
	mlpBias   bool
	headBias  bool
	turned    bool        // matrices of layers are stored as [inputs, outputs]
	qkvGroups int         // groups of rows of a joint projection, each with its queries, keys and values; 0: one
	act       string      // of the MLP; "": silu
	plainMLP  bool        // down(act(up)), without a gate
	qkNorm    headNorm    // of queries and keys before they turn
	rope      *rope       // what keys depend on besides tokens; nil: none
	ropes     []*rope     // [layers]; nil: a layer without
	windows   []int       // [layers] positions that a layer sees, the token's own included; 0: all
	chunks    []int       // [layers] positions of a chunk, of which a token sees its own; 0: all are one; nil: of no layer
	sinks     string      // one score of no value for each head, a tensor of the layer; "": none
	tempered  tempering   // of queries
	alibi     []float32   // [heads] what a position's distance is multiplied with; nil: none
	learned   learnedRows // of positions
	experts   mixture     // the MLP of layers, where there are experts
	latent    latent      // what keys and values are made of, where heads share it
	space     space       // in place of attention and MLP
	unused    []string    // patterns of tensors that config.json tells are left out
	relative  *relativeScores
	encoder   *decoder // to whose rows every layer attends; nil: none
	mark      string   // begins the names of layers' values; "": l
	patches   patches  // of encoders of images, which have them instead of tokens
	inserts   bool     // steps may bring rows in place of those of tokens

	whole             bool         // a sequence is computed at once, and what layers cache is for themselves
	bothWay           bool         // tokens see those that follow them; windows are as wide to either side
	types             int          // rows of the table of types
	give              giveFunc     // what is made of the last layer's rows, of whole sequences; nil: the rows
	sent              *hf.Sentence // how embeddings are made of them; nil: not at all
	labels            int          // of classifiers
	headPool, headAct string       // of classifiers: which row of a sequence they read, what its dense layer goes through
	scored            string       // what a single label's logit goes through: "sigmoid", or "" for nothing

	embedScale, branchScale, logitScale float64 // of embeddings, of what is added to the stream, of logits; 0: 1
	headScale                           float64 // of what the head reads; 0: 1
	scoreScale                          float64 // of scores; 0: 1/sqrt(dim)
	scoreCap, logitCap                  float64 // 0: none
}

// tempering is how queries of layers without a rotary embedding grow with the logarithm of their position; see op scale_positions. Zero: they do not.
type tempering struct {
	by    float64
	every int
}

// norms says how rows are normalised.
type norms struct {
	layer bool // layer norm, around the mean; else RMS norm
	after bool // of the sum of the stream and what a layer's part has added, which is the stream then
	bare  bool // the first layer's attention reads the embeddings as they are
	bias  bool // of layer norms
	plus1 bool // weights are stored as their distance from one
}

// headNorm says what part of a row of queries or keys is normalised together.
type headNorm uint8

const (
	noHeadNorm headNorm = iota
	eachHead
	wholeRow
	turnedHead // each, without weights, and only where it turns
)

// learnedRows are rows of embeddings that are looked up by position: count of them, after the first skip of the tensor.
type learnedRows struct{ skip, count int }

// buildStep writes the function "step": the logits of the selected rows.
func (in *importer) buildStep(d *decoder, opts Options) {
	kv := opts.KV
	if kv == dtype.Invalid {
		kv = dtype.F32
	}
	turns := in.declareRopes(d)
	caches := []*ir.Cache{in.declareCache(d, kv)}
	if d.encoder != nil {
		caches = append(caches, in.CrossCache("cross", d.layers, d.kvHeads, d.dim, kv))
	}
	s := in.Step(caches...)
	table, head := in.tables(d)
	x, token := in.stack(d, in.embed(d, table, s), turns, s)
	x = in.scaled(x, d.headScale)
	y := in.scaled(in.Linear(in.SelectRows(x, s.Rows), head, in.headBias(d)), d.logitScale)
	if d.logitCap > 0 {
		y = in.Softcap(y, d.logitCap)
	}
	in.Return(append([]*ir.Value{y.As("logits"), token}, s.Tokens[1:]...)...)
	if d.encoder != nil {
		in.buildEncode(d, caches[1], kv)
	}
}

// headBias declares what is added to logits; nil: nothing.
func (in *importer) headBias(d *decoder) *ir.Value {
	switch name := d.names.headBias; {
	case name != "" && !in.has(name) && !in.checkpoint.Random(): // zeros, which were not saved
		return nil
	case name != "":
		t := in.tensor(name, 1, d.vocab)
		if t == nil {
			return &ir.Value{}
		}
		return in.declared(name, "col", t, ir.TensorRows(t.Name, 0, int64(d.vocab)), d.vocab)
	case d.headBias:
		return in.bias(d.names.head+".bias", "col", d.vocab)
	}
	return nil
}

// declareCache adds the cache of all layers to the module.
func (in *importer) declareCache(d *decoder, kv dtype.Type) *ir.Cache {
	if d.space.states > 0 {
		return in.StateCache("state", d.layers, d.space.taps-1, d.space.states, d.inner)
	}
	if d.latent.rank > 0 {
		return in.LatentCache("kv", d.layers, d.latent.rank, d.latent.rope, kv)
	}
	return in.PagedCache("kv", d.layers, d.kvHeads, d.dim, kv)
}

// stack returns what the layers and the last norm make of the embeddings, and the cache's last token.
func (in *importer) stack(d *decoder, x *ir.Value, turns map[*rope]ir.Rope, s ir.Step) (rows, token *ir.Value) {
	token = s.Token
	for i := range d.layers {
		l := &layer{in, d, i, fmt.Sprintf("%s%d.", cmp.Or(d.mark, "l"), i), fmt.Sprintf("%s%d.", d.names.layers, i), turns[d.ropes[i]]}
		x, token = l.block(x, token, s)
		x.As(l.label + "out")
	}
	if d.names.norm != "" {
		x = in.normed(d, x, d.names.norm).As("norm")
	}
	return x, token
}

// declareRopes adds the frequencies of each rotary embedding to the module, in the order of layers.
func (in *importer) declareRopes(d *decoder) map[*rope]ir.Rope {
	turns := map[*rope]ir.Rope{nil: {}}
	for i, r := range d.ropes {
		if _, known := turns[r]; known {
			continue
		}
		name := "rope.inv_freq"
		if r != d.rope {
			name = fmt.Sprintf("rope.l%d.inv_freq", i)
		}
		turns[r] = r.declare(in.Builder, name, d.dim)
	}
	return turns
}

// embed returns the residual stream that enters the first layer.
func (in *importer) embed(d *decoder, table *ir.Value, s ir.Step) *ir.Value {
	x := in.scaled(in.lookUp(table, s.IDs, d.hidden), d.embedScale)
	if d.inserts {
		x = in.Insert(x, d.hidden)
	}
	if d.names.positions != "" {
		x = in.Add(x, in.GatherPositions(in.skipped(d.names.positions+".weight", d.learned, d.hidden), s.Positions))
	}
	if d.names.types != "" {
		x = in.Add(x, in.GatherTypes(in.weight(d.names.types+".weight", "", d.types, d.hidden), s.Types))
	}
	if d.names.embedNorm != "" {
		x = in.normed(d, x, d.names.embedNorm)
	}
	return x.As("embed")
}

// scaled multiplies x where there is a factor.
func (in *importer) scaled(x *ir.Value, by float64) *ir.Value {
	if by == 0 || by == 1 {
		return x
	}
	return in.Scale(x, by)
}

// normed is the norm of rows of x by the tensors of that name; "": there is none.
func (in *importer) normed(d *decoder, x *ir.Value, name string) *ir.Value {
	if name == "" {
		return x
	}
	w := in.normWeight(d, name, d.hidden)
	if !d.norms.layer {
		return in.RMSNorm(x, w, d.eps)
	}
	var bias *ir.Value
	if d.norms.bias {
		bias = in.vector(name+".bias", d.hidden)
	}
	return in.LayerNorm(x, w, bias, d.eps)
}

func (in *importer) normWeight(d *decoder, name string, width int) *ir.Value {
	if d.norms.plus1 {
		return in.transformed(name+".weight", "add1", width)
	}
	return in.vector(name+".weight", width)
}

// scale returns what scores are multiplied with.
func (d *decoder) scale() float64 {
	if d.scoreScale != 0 {
		return d.scoreScale
	}
	return 1 / math.Sqrt(float64(d.dim))
}
