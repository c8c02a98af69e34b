package models

import (
	"fmt"
	"math"
	"strings"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/ir"
)

// decoder describes a model of the Llama shape: an RMS norm before attention and one before a SwiGLU MLP, each added to the
// residual stream; a last norm and a head.
type decoder struct {
	vocab, hidden, inner int
	layers               int
	heads, kvHeads, dim  int // dim: channels of a head
	eps                  float64
	rope                 rope
	tied                 bool // the head is the embedding table
	qkvBias, outBias     bool // of the attention's projections
	mlpBias              bool
	qkNorm               bool  // RMS norms on each head of q and k
	windows              []int // [layers] positions that a layer sees, the token's own included; 0: all
}

// decoderKeys are the keys that readDecoder and readRope read.
var decoderKeys = []string{
	"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
	"rms_norm_eps", "max_position_embeddings", "tie_word_embeddings",
	"rope_theta", "rope_scaling", "rope_parameters", "original_max_position_embeddings",
}

// Largest sizes, beyond those of any model, so that products stay small. The width of a matrix is bounded by packed layouts.
const (
	maxVocab  = 1 << 20 // the widest activation that a program may have: the logits
	maxWidth  = 1 << 20
	maxLayers = 4096
	maxHeads  = 4096
)

// defaults are the values of transformers' config classes for keys that checkpoints leave out.
type defaults struct {
	kvHeads      int64 // 0: as many as heads
	dim          int64 // 0: hidden_size / num_attention_heads
	maxPositions int64
}

// readDecoder reads what all families of this shape share.
func readDecoder(f *hf.Fields, def defaults) decoder {
	heads := f.Int("num_attention_heads", 1, maxHeads)
	hidden := f.Int("hidden_size", 1, maxWidth)
	if def.kvHeads == 0 || f.Present("num_key_value_heads") && !f.Has("num_key_value_heads") {
		def.kvHeads = heads
	}
	if def.dim == 0 && !f.Has("head_dim") {
		def.dim = hidden / max(heads, 1)
		if hidden%max(heads, 1) != 0 {
			f.Fail("hidden_size", "%d is not a multiple of num_attention_heads %d, and there is no head_dim", hidden, heads)
		}
	}
	d := decoder{
		vocab:   int(f.Int("vocab_size", 1, maxVocab)),
		hidden:  int(hidden),
		inner:   int(f.Int("intermediate_size", 1, maxWidth)),
		layers:  int(f.Int("num_hidden_layers", 1, maxLayers)),
		heads:   int(heads),
		kvHeads: int(f.IntOr("num_key_value_heads", def.kvHeads, 1, maxHeads)),
		dim:     int(f.IntOr("head_dim", def.dim, 2, maxWidth)),
		eps:     f.FloatOr("rms_norm_eps", 1e-6, 0, 1),
		tied:    f.BoolOr("tie_word_embeddings", false),
	}
	if d.dim%2 != 0 {
		f.Fail("head_dim", "%d is odd; the rotary embedding turns pairs of channels", d.dim)
	}
	if d.kvHeads > 0 && d.heads%d.kvHeads != 0 {
		f.Fail("num_key_value_heads", "%d does not divide num_attention_heads %d", d.kvHeads, d.heads)
	}
	if d.heads*d.dim > maxWidth {
		f.Fail("head_dim", "%d heads of %d channels are wider than %d", d.heads, d.dim, maxWidth)
	}
	d.windows = make([]int, d.layers)
	d.rope = readRope(f, d.dim, f.IntOr("max_position_embeddings", def.maxPositions, 1, maxPositions))
	return d
}

// buildStep writes the function "step": the logits of the selected rows.
func (in *importer) buildStep(d *decoder, opts Options) {
	kv := opts.KV
	if kv == dtype.Invalid {
		kv = dtype.F32
	}
	freq := d.rope.declare(in.Builder)
	s := in.Step(in.PagedCache("kv", d.layers, d.kvHeads, d.dim, kv))
	token := s.Token
	table, head := in.embeddings(d)
	x := in.Gather(table, s.IDs).As("embed")
	for i := range d.layers {
		l := &layer{in, d, i, fmt.Sprintf("l%d.", i), fmt.Sprintf("model.layers.%d.", i)}
		var y *ir.Value
		y, token = l.attention(l.norm(x, "input_layernorm", d.hidden), token, s, freq)
		x = in.Add(x, y)
		x = in.Add(x, l.mlp(l.norm(x, "post_attention_layernorm", d.hidden))).As(l.label + "out")
	}
	x = in.RMSNorm(x, in.vector("model.norm.weight", d.hidden), d.eps).As("norm")
	in.Return(in.Linear(in.SelectRows(x, s.Rows), head, nil).As("logits"), token)
}

// layer is one layer being built; label begins the names of its values, prefix those of its tensors.
type layer struct {
	*importer
	*decoder
	index         int
	label, prefix string
}

func (l *layer) norm(x *ir.Value, name string, width int) *ir.Value {
	return l.RMSNorm(x, l.vector(l.prefix+name+".weight", width), l.eps)
}

// project multiplies x with the matrix name of [outputs, inputs].
func (l *layer) project(x *ir.Value, name, axis string, outputs, inputs int, biased bool) *ir.Value {
	w := l.matrix(l.prefix+name+".weight", axis, outputs, inputs)
	var bias *ir.Value
	if biased {
		bias = l.bias(l.prefix+name+".bias", axis, outputs)
	}
	short := strings.TrimSuffix(name[strings.LastIndex(name, ".")+1:], "_proj")
	return l.Linear(x, w, bias).As(l.label + short)
}

// attention returns the layer's attention to x and the cache's next token.
func (l *layer) attention(x, token *ir.Value, s ir.Step, r ir.Rope) (y, next *ir.Value) {
	q := l.project(x, "self_attn.q_proj", "col", l.heads*l.dim, l.hidden, l.qkvBias)
	k := l.project(x, "self_attn.k_proj", "col", l.kvHeads*l.dim, l.hidden, l.qkvBias)
	v := l.project(x, "self_attn.v_proj", "col", l.kvHeads*l.dim, l.hidden, l.qkvBias)
	if l.qkNorm {
		q = l.GroupRMSNorm(q, l.vector(l.prefix+"self_attn.q_norm.weight", l.dim), l.eps, l.dim)
		k = l.GroupRMSNorm(k, l.vector(l.prefix+"self_attn.k_norm.weight", l.dim), l.eps, l.dim)
	}
	q = l.Rope(q, s, r, l.heads, l.dim)
	if r.Static() { // otherwise keys are cached as they are and turned when they are read
		k = l.Rope(k, s, r, l.kvHeads, l.dim)
	}
	next = l.KVWrite(token, k, v, l.index)
	y = l.Attention(q, next, s, ir.Attention{
		Layer: l.index, Heads: l.heads, KVHeads: l.kvHeads, Dim: l.dim,
		Scale: 1 / math.Sqrt(float64(l.dim)), Window: l.windows[l.index], Rope: r,
	}).As(l.label + "attn")
	return l.project(y, "self_attn.o_proj", "row", l.hidden, l.heads*l.dim, l.outBias), next
}

// mlp is SwiGLU: down(silu(gate(x)) * up(x)).
func (l *layer) mlp(x *ir.Value) *ir.Value {
	gate := l.project(x, "mlp.gate_proj", "col", l.inner, l.hidden, l.mlpBias)
	up := l.project(x, "mlp.up_proj", "col", l.inner, l.hidden, l.mlpBias)
	return l.project(l.Mul(l.SiLU(gate), up), "mlp.down_proj", "row", l.hidden, l.inner, l.mlpBias)
}
