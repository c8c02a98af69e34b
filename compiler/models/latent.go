package models

import (
	"math"

	"llmc/compiler/hf"
	"llmc/ir"
)

// latent describes attention whose keys and values are made of a row that all heads share (Liu et al. 2024, "DeepSeek-V2"): rank channels c, and rope
// channels k that turn with the position. A head's key is (K c, k) and its value V c, of matrices K and V of its own. A cache holds (c, k) alone: K goes
// to the queries, V to what attention gives.
//
//	c, k = kvA(x);  c = norm(c);  q, r = queries(x)
//	scores = (K^T q).c + rope(r).rope(k)
//	y = o(V (softmax(scores) c))
//
// The zero value: keys and values are those of projections.
type latent struct {
	rank, rope, nope, value int
	queryRank               int // queries are made of a row of so many channels too; 0: of the stream
}

// latentEps is that of the norms of rows that heads share, whatever config.json says of others.
const latentEps = 1e-6

// Keys of config.json that readLatent reads.
var latentKeys = []string{"kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "v_head_dim", "attention_bias"}

// readLatent reads the sizes, which default to those of transformers' classes: the rotary channels are the head that sizes have read.
func (d *decoder) readLatent(f *hf.Fields) {
	d.latent = latent{
		rank: int(f.IntOr("kv_lora_rank", 512, 1, maxLatent)), rope: d.dim,
		nope: int(f.IntOr("qk_nope_head_dim", 128, 1, maxLatent)), value: int(f.IntOr("v_head_dim", 128, 1, maxLatent)),
	}
	l := &d.latent
	if !f.Present("q_lora_rank") || f.Has("q_lora_rank") { // null: queries are made of the stream
		l.queryRank = int(f.IntOr("q_lora_rank", 1536, 1, maxWidth))
	}
	d.qkvBias = f.BoolOr("attention_bias", false)
	d.outBias = d.qkvBias
	if width := max(l.nope+l.rope, l.rank, l.value); d.heads > 0 && width > maxWidth/d.heads {
		f.Fail("num_attention_heads", "%d heads of %d channels are wider than %d", d.heads, width, maxWidth)
		return
	}
	if l.rank+l.rope > maxLatent {
		f.Fail("kv_lora_rank", "%d and %d rotary channels are more than a cache's row of %d", l.rank, l.rope, maxLatent)
	}
	if d.rope == nil || f.Err() != nil {
		return
	}
	if d.rope.kind == "dynamic" || d.rope.kind == "longrope" {
		f.Fail("rope_scaling", "a rotary embedding of type %s, whose frequencies depend on the length, is not supported with latent attention", d.rope.kind)
	}
	d.scoreScale = d.latentScale(f)
}

// maxLatent is the widest row of a cache.
const maxLatent = 1 << 12

// latentScale is what scores are multiplied with: a longer context than the model was first trained for sharpens them.
func (d *decoder) latentScale(f *hf.Fields) float64 {
	scale := 1 / math.Sqrt(float64(d.latent.nope+d.latent.rope))
	key := "rope_parameters"
	if !inert(f.Value("rope_scaling")) {
		key = "rope_scaling"
	}
	o := f.Object(key)
	if o == nil || d.rope.kind == "default" {
		return scale
	}
	if all := o.FloatOr("mscale_all_dim", 0, 0, 1e6); all != 0 {
		m := yarnSpread(o.Float("factor", 1e-3, 1e6), all)
		scale *= m * m
	}
	return scale
}

// latentAttention returns the layer's attention to x and the cache's next token.
func (l *layer) latentAttention(x, token *ir.Value, s ir.Step) (y, next *ir.Value) {
	n, row := &l.decoder.latent, l.latent.rank+l.latent.rope
	shared := projection{what: "c", name: l.kvA, outputs: n.rank, inputs: l.hidden, rows: []span{{0, n.rank}}, total: row, biased: l.qkvBias}
	c := l.RMSNorm(l.project(x, shared), l.vector(l.prefix+l.kvANorm+".weight", n.rank), latentEps)
	shared.what, shared.outputs, shared.rows = "k", n.rope, []span{{n.rank, n.rope}}
	k := l.Rope(l.project(x, shared), s, l.turn, 1, n.rope)
	next = l.LatentWrite(token, c, k, l.index)

	q, r := l.latentQueries(x)
	keys, values := l.latentMatrices()
	q = l.LinearHeads(q, keys).As(l.label + "q")
	r = l.Rope(r, s, l.turn, l.heads, n.rope)
	y = l.LatentAttention(q, r, next, l.index, l.heads, l.scale()).As(l.label + "attn")
	y = l.LinearHeads(y, values).As(l.label + "v")
	return l.project(y, projection{what: "o", name: l.o, axis: "row", outputs: l.hidden, inputs: l.heads * n.value, biased: l.outBias}), next
}

// latentQueries returns the channels of all heads' queries that do not turn, and those that do.
func (l *layer) latentQueries(x *ir.Value) (still, turning *ir.Value) {
	n := &l.decoder.latent
	name, inputs := l.q, l.hidden
	if n.queryRank > 0 {
		down := projection{what: "qa", name: l.qA, outputs: n.queryRank, inputs: l.hidden, biased: l.qkvBias}
		x = l.RMSNorm(l.project(x, down), l.vector(l.prefix+l.qANorm+".weight", n.queryRank), latentEps)
		name, inputs = l.qB, n.queryRank
	}
	part := func(what string, at, count int) *ir.Value {
		p := projection{what: what, name: name, axis: "col", outputs: count * l.heads, inputs: inputs, total: l.heads * (n.nope + n.rope)}
		for h := range l.heads {
			p.rows = append(p.rows, span{h*(n.nope+n.rope) + at, count})
		}
		return l.project(x, p)
	}
	return part("q_nope", 0, n.nope), part("q_rope", n.nope, n.rope)
}

// latentMatrices declares what makes keys and values of c, a matrix for each head: those of keys transposed, [heads, rank, nope], those of values
// [heads, value, rank].
func (l *layer) latentMatrices() (keys, values *ir.Value) {
	n := &l.decoder.latent
	head := n.nope + n.value
	t := l.tensor(l.prefix+l.kvB+".weight", l.heads*head, n.rank)
	if t == nil {
		return &ir.Value{}, &ir.Value{}
	}
	t = l.inOrder(t) // heads' parts of the matrix do not follow an order of columns
	var ofKeys, ofValues []*ir.Recipe
	for h := range l.heads {
		k := ir.TensorRows(t.Name, 0, int64(n.rank))
		k.Transpose, k.Left, k.Total = true, int64(h*head), t.Rows()
		ofKeys = append(ofKeys, k)
		ofValues = append(ofValues, ir.TensorRows(t.Name, int64(h*head+n.nope), int64(n.value)))
	}
	keys = l.declared(l.prefix+"self_attn.kv_b_k.weight", "", t, ir.ConcatRows(ofKeys...), l.heads, n.rank, n.nope)
	values = l.declared(l.prefix+"self_attn.kv_b_v.weight", "", t, ir.ConcatRows(ofValues...), l.heads, n.value, n.rank)
	return keys, values
}
