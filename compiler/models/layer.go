package models

import (
	"cmp"

	"llmc/ir"
)

// layer is one layer being built; label begins the names of its values, prefix those of its tensors.
type layer struct {
	*importer
	*decoder
	index         int
	label, prefix string
	turn          ir.Rope // without frequencies: nothing turns
}

// block returns the stream behind the layer, and the cache's next token.
func (l *layer) block(x, token *ir.Value, s ir.Step) (out, next *ir.Value) {
	if l.space.states > 0 {
		y, next := l.mixer(l.norm(x, l.preAttn), token)
		return l.Add(x, y), next
	}
	into := x
	if l.index > 0 || !l.norms.bare {
		into = l.norm(x, l.preAttn)
	}
	y, next := l.attention(into, token, s)
	if l.norms.after {
		x = l.attendText(l.norm(l.Add(x, y), l.postAttn), s)
		return l.norm(l.Add(x, l.mlp(x)), l.postMLP), next
	}
	y = l.scaled(l.norm(y, l.postAttn), l.branchScale)
	if !l.parallel {
		x = l.attendText(l.Add(x, y), s)
		into = l.norm(x, l.preMLP)
	} else if l.preMLP != "" {
		into = l.norm(x, l.preMLP)
	}
	z := l.scaled(l.norm(l.mlp(into), l.postMLP), l.branchScale)
	if l.parallel {
		x = l.Add(x, y)
	}
	return l.Add(x, z), next
}

// norm is that of rows of the stream, by the layer's tensors of that name.
func (l *layer) norm(x *ir.Value, name string) *ir.Value {
	if name == "" {
		return x
	}
	return l.normed(l.decoder, x, l.prefix+name)
}

// projection is a matrix of a layer, or rows of one that several projections share.
type projection struct {
	what            string // it gives, for names of values
	name            string // of the tensor
	axis            string // that tensor parallelism splits
	outputs, inputs int
	rows            []span // of the tensor, where it is shared
	total           int    // rows of it
	biased          bool
}

// span is a range of rows.
type span struct{ start, count int }

// project multiplies x with a matrix of [outputs, inputs].
func (l *layer) project(x *ir.Value, p projection) *ir.Value {
	w := l.rowsOf(l.prefix+p.name, ".weight", &p, l.turned)
	var bias *ir.Value
	if p.biased {
		bias = l.rowsOf(l.prefix+p.name, ".bias", &p, false)
	}
	return l.Linear(x, w, bias).As(l.label + p.what)
}

// queries returns what attention is made of, before it turns.
func (l *layer) queries(x *ir.Value) (q, k, v *ir.Value) {
	width, kvWidth := l.heads*l.dim, l.kvHeads*l.dim
	if l.qkv == "" {
		q = l.project(x, projection{what: "q", name: l.q, axis: "col", outputs: width, inputs: l.hidden, biased: l.qkvBias})
		k = l.project(x, projection{what: "k", name: l.k, axis: "col", outputs: kvWidth, inputs: l.hidden, biased: l.qkvBias})
		v = l.project(x, projection{what: "v", name: l.v, axis: "col", outputs: kvWidth, inputs: l.hidden, biased: l.qkvBias})
		return q, k, v
	}
	groups := max(l.qkvGroups, 1)
	q1, kv1 := width/groups, kvWidth/groups
	part := func(what string, at, count int) *ir.Value {
		p := projection{what: what, name: l.qkv, axis: "col", outputs: count * groups, inputs: l.hidden, total: width + 2*kvWidth, biased: l.qkvBias}
		for g := range groups {
			p.rows = append(p.rows, span{g*(q1+2*kv1) + at, count})
		}
		return l.project(x, p)
	}
	return part("q", 0, q1), part("k", q1, kv1), part("v", q1+kv1, kv1)
}

// attention returns the layer's attention to x and the cache's next token.
func (l *layer) attention(x, token *ir.Value, s ir.Step) (y, next *ir.Value) {
	if l.latent.rank > 0 {
		return l.latentAttention(x, token, s)
	}
	q, k, v := l.queries(x)
	q, k = l.normHeads(q, l.qNorm, l.heads), l.normHeads(k, l.kNorm, l.kvHeads)
	if l.turn.InvFreq == nil && l.tempered != (tempering{}) {
		q = l.ScalePositions(q, s, l.tempered.by, l.tempered.every)
	}
	if l.turn.InvFreq != nil {
		q = l.Rope(q, s, l.turn, l.heads, l.dim)
		if l.turn.Static() { // otherwise keys are cached as they are and turned when they are read
			k = l.Rope(k, s, l.turn, l.kvHeads, l.dim)
		}
	}
	cached := l.index
	if l.whole { // each layer's keys and values are read at once
		cached = 0
	}
	next = l.KVWrite(token, k, v, cached)
	a := ir.Attention{
		Layer: cached, Heads: l.heads, KVHeads: l.kvHeads, Dim: l.dim,
		Scale: l.scale(), Window: l.windows[l.index], Softcap: l.scoreCap, Rope: l.turn,
	}
	if l.bothWay {
		a.Window, a.Ahead = l.seen()
	}
	if l.alibi != nil {
		a.ALiBi = l.Constant("alibi", l.alibi, l.heads)
	}
	if l.chunks != nil {
		a.Chunk = l.chunks[l.index]
	}
	if l.sinks != "" {
		a.Sinks = l.vector(l.prefix+l.sinks, l.heads)
	}
	if l.relative != nil {
		a.Relative, a.Buckets = l.weight(l.relative.tensor, "", l.relative.Count, l.heads), l.relative.Buckets
	}
	y = l.Attention(q, next, s, a).As(l.label + "attn")
	return l.project(y, projection{what: "o", name: l.o, axis: "row", outputs: l.hidden, inputs: l.heads * l.dim, biased: l.outBias}), next
}

// seen returns the positions that a token of the layer sees up to its own, and those behind it, where both ways are seen.
func (l *layer) seen() (window, ahead int) {
	if w := l.windows[l.index]; w > 0 {
		return w/2 + 1, max(w/2, 1)
	}
	return 0, ir.EveryPosition
}

// normHeads is the RMS norm of queries or keys.
func (l *layer) normHeads(x *ir.Value, name string, heads int) *ir.Value {
	switch l.qkNorm {
	case eachHead:
		return l.GroupRMSNorm(x, l.normWeight(l.decoder, l.prefix+name, l.dim), l.eps, l.dim)
	case turnedHead:
		if l.turn.InvFreq != nil {
			return l.GroupRMSNorm(x, l.ones(l.dim), l.eps, l.dim)
		}
	case wholeRow:
		return l.RMSNorm(x, l.normWeight(l.decoder, l.prefix+name, heads*l.dim), l.eps)
	}
	return x
}

// ones is a norm's weight that changes nothing.
func (l *layer) ones(n int) *ir.Value {
	values := make([]float32, n)
	for i := range values {
		values[i] = 1
	}
	return l.Constant("ones", values, n)
}

// activation is that of the MLP.
func (l *layer) activation() string { return cmp.Or(l.act, "silu") }

// mlp is that of the layer: a mixture of experts, down(act(gate(x)) * up(x)), or down(act(up(x))).
func (l *layer) mlp(x *ir.Value) *ir.Value {
	switch {
	case l.hasExperts():
		return l.mixture(x)
	case !l.plainMLP:
		return l.gatedMLP(x, "", mlpNames{l.gate, l.up, l.down, l.gateUp}, l.inner)
	}
	up := projection{what: "up", name: l.up, axis: "col", outputs: l.inner, inputs: l.hidden, biased: l.mlpBias}
	down := projection{what: "down", name: l.down, axis: "row", outputs: l.hidden, inputs: l.inner, biased: l.mlpBias}
	return l.project(l.Activation(l.activation(), l.project(x, up)), down)
}

// gatedMLP is down(act(gate(x)) * up(x)) with so many features; part begins the names of its values.
func (l *layer) gatedMLP(x *ir.Value, part string, n mlpNames, inner int) *ir.Value {
	gate := projection{what: part + "gate", name: n.gate, axis: "col", outputs: inner, inputs: l.hidden, biased: l.mlpBias}
	up := projection{what: part + "up", name: n.up, axis: "col", outputs: inner, inputs: l.hidden, biased: l.mlpBias}
	down := projection{what: part + "down", name: n.down, axis: "row", outputs: l.hidden, inputs: inner, biased: l.mlpBias}
	if n.gateUp != "" {
		gate.name, gate.rows, gate.total = n.gateUp, []span{{0, inner}}, 2*inner
		up.name, up.rows, up.total = n.gateUp, []span{{inner, inner}}, 2*inner
	}
	g, u := l.project(x, gate), l.project(x, up)
	return l.project(l.Mul(l.Activation(l.activation(), g), u), down)
}
