package grad

import (
	"errors"
	"math"

	"llmc/internal/dense"
	"llmc/ir"
)

func checkAttention(op *ir.Op) error {
	if op.Arg("inv_freq") != nil || op.Arg("relative") != nil || op.Int("ahead") != 0 || stored(op) == nil {
		return errors.New("keys that are turned when they are read, distances in buckets, or positions ahead")
	}
	return nil
}

// stored returns the op that wrote the keys and values which an attention reads: those of its layer, last.
func stored(op *ir.Op) *ir.Op {
	for def := op.Arg("cache").Def; def != nil && def.Kind.Name == "kv.write"; def = def.Arg("cache").Def {
		if def.Int("layer") == op.Int("layer") {
			return def
		}
	}
	return nil
}

// heads are what an attention works with.
type heads struct {
	*Tape
	op                *ir.Op
	count, group, dim int
	q, k, v           dense.Matrix // [T, heads*dim], of k and v those of their heads
	alibi, sinks      []float32
}

func (t *Tape) heads(op *ir.Op) (h heads, err error) {
	write := stored(op)
	h = heads{Tape: t, op: op, count: int(op.Int("heads")), dim: int(op.Int("dim"))}
	h.group = h.count / int(op.Int("kv_heads"))
	h.q, h.k, h.v = t.matrix(t.values[op.Arg("q")]), t.matrix(t.values[write.Arg("k")]), t.matrix(t.values[write.Arg("v")])
	if h.alibi, err = t.vector(op.Arg("alibi")); err != nil {
		return h, err
	}
	h.sinks, err = t.vector(op.Arg("sinks"))
	return h, err
}

// columns returns those of a head, transposed: [dim, T].
func (h *heads) columns(of dense.Matrix, head int) dense.Matrix {
	return transposed(of.At(0, head*h.dim), h.tokens, h.dim)
}

// square returns room for a number for each pair of tokens.
func (h *heads) square() dense.Matrix {
	return dense.Matrix{Data: make([]float32, h.tokens*h.tokens), Stride: h.tokens}
}

// first is the first position that a token sees.
func (h *heads) first(m int) int {
	first := 0
	if window := int(h.op.Int("window")); window > 0 {
		first = max(0, m-window+1)
	}
	if chunk := int(h.op.Int("chunk")); chunk > 0 {
		first = max(first, m/chunk*chunk)
	}
	return first
}

// weights returns what each token takes of each other's values, and by how much a score grows with the product of query and key, which is nil where that is the scale.
func (h *heads) weights(head int) (shares, slopes dense.Matrix) {
	shares = h.square()
	dense.AddTransposed(shares, h.columns(h.q, head), h.columns(h.k, head/h.group), h.tokens, h.tokens, h.dim)
	scale, bound := h.op.Float("scale"), h.op.Float("softcap")
	if bound > 0 {
		slopes = h.square()
	}
	for m := range h.tokens {
		row, first := shares.Row(m, h.tokens), h.first(m)
		top, sum := math.Inf(-1), 0.0
		for p := first; p <= m; p++ {
			score := float64(row[p]) * scale
			if bound > 0 {
				y := math.Tanh(score / bound)
				score, slopes.Data[m*h.tokens+p] = bound*y, float32(scale*(1-y*y))
			}
			if h.alibi != nil {
				score += float64(h.alibi[head]) * float64(p-m)
			}
			row[p], top = float32(score), max(top, score)
		}
		if h.sinks != nil {
			top = max(top, float64(h.sinks[head]))
			sum = math.Exp(float64(h.sinks[head]) - top)
		}
		for p := first; p <= m; p++ {
			x := math.Exp(float64(row[p]) - top)
			row[p], sum = float32(x), sum+x
		}
		clear(row[:first])
		clear(row[m+1:])
		for p := first; p <= m; p++ {
			row[p] = float32(float64(row[p]) / sum)
		}
	}
	return shares, slopes
}

func (t *Tape) attention(op *ir.Op) error {
	h, err := t.heads(op)
	if err != nil {
		return err
	}
	y := t.matrix(t.values[op.Result()])
	clear(y.Data)
	t.each(h.count, func(head int) {
		shares, _ := h.weights(head)
		dense.AddTransposed(y.At(0, head*h.dim), transposed(shares, t.tokens, t.tokens), h.v.At(0, head/h.group*h.dim), t.tokens, h.dim, t.tokens)
	})
	return nil
}

// attentionBack goes through groups of heads that share keys and values.
func (t *Tape) attentionBack(op *ir.Op) error {
	data := t.slopes[op.Result()]
	if data == nil {
		return nil
	}
	h, err := t.heads(op)
	if err != nil {
		return err
	}
	write := stored(op)
	var to [3][]float32
	for i, v := range []*ir.Value{op.Arg("q"), write.Arg("k"), write.Arg("v")} {
		to[i] = t.slope(v)
	}
	g := t.matrix(data)
	t.each(h.count/h.group, func(kv int) {
		for head := kv * h.group; head < (kv+1)*h.group; head++ {
			h.headBack(g, to, head)
		}
	})
	return nil
}

// headBack adds to the slopes of a head's queries, keys and values, to, what those of its outputs, g, make of them.
func (h *heads) headBack(g dense.Matrix, to [3][]float32, head int) {
	shares, slopes := h.weights(head)
	n, dim, at, kv := h.tokens, h.dim, head*h.dim, head/h.group*h.dim
	if to[2] != nil {
		dense.AddTransposed(h.matrix(to[2]).At(0, kv), shares, g.At(0, at), n, dim, n)
	}
	scores := h.square()
	dense.AddTransposed(scores, h.columns(g, head), h.columns(h.v, head/h.group), n, n, dim)
	scale := float32(h.op.Float("scale"))
	for m := range n {
		share, row, along := shares.Row(m, n), scores.Row(m, n), 0.0
		for p, x := range share {
			along += float64(x) * float64(row[p])
		}
		for p, x := range share {
			by := scale
			if slopes.Data != nil {
				by = slopes.Data[m*n+p]
			}
			row[p] = float32(x*(row[p]-float32(along))) * by
		}
	}
	if to[1] != nil {
		dense.AddTransposed(h.matrix(to[1]).At(0, kv), scores, h.q.At(0, at), n, dim, n)
	}
	if to[0] != nil {
		dense.AddTransposed(h.matrix(to[0]).At(0, at), transposed(scores, n, n), h.k.At(0, kv), n, dim, n)
	}
}
