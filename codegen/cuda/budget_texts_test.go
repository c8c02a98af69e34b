//go:build !kit

package cuda_test

import (
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/relative"
	"llmc/ir"
)

// decoderOf is what a layer of an encoder-decoder's decoder has of attention: to what was said, with learned scores where there are buckets, then to the text.
func decoderOf(hidden, heads, dim int, buckets relative.Buckets, cache dtype.Type) func(t *testing.T) *ir.Module {
	return func(t *testing.T) *ir.Module {
		t.Helper()
		width := heads * dim
		b := ir.NewBuilder("decoder")
		step := b.Step(b.PagedCache("kv", 1, heads, dim, cache), b.CrossCache("cross", 1, heads, dim, cache))
		x := b.Gather(b.Weight("embed", dtype.BF16, 1024, hidden), step.IDs)
		x, token := attendOwn(b, x, step, heads, dim, buckets, 0)
		q := b.Linear(x, b.Weight("cross.q", dtype.BF16, width, hidden), nil)
		x = b.Attention(q, step.Tokens[1], step, ir.Attention{Heads: heads, KVHeads: heads, Dim: dim, Scale: 1, Ahead: ir.EveryPosition})
		x = b.SelectRows(b.Linear(x, b.Weight("cross.o", dtype.BF16, hidden, width), nil), step.Rows)
		b.Return(b.Linear(x, b.Weight("head", dtype.BF16, 1024, hidden), nil).As("logits"), token, step.Tokens[1])
		m, err := b.Module()
		check(t, err)
		return m
	}
}

// relativeEncoder is what a layer of an encoder has of attention with learned scores.
func relativeEncoder(hidden, heads, dim int, buckets relative.Buckets) func(t *testing.T) *ir.Module {
	return func(t *testing.T) *ir.Module {
		t.Helper()
		b := ir.NewBuilder("encoder")
		step := b.Sequences("encode", b.PagedCache("kv", 1, heads, dim, dtype.BF16))
		x, token := attendOwn(b, b.Gather(b.Weight("embed", dtype.BF16, 1024, hidden), step.IDs), step, heads, dim, buckets, ir.EveryPosition)
		b.Return(x.As("encoded"), token)
		m, err := b.Module()
		check(t, err)
		return m
	}
}

// attendOwn writes the keys and values of rows and attends to them.
func attendOwn(b *ir.Builder, x *ir.Value, step ir.Step, heads, dim int, buckets relative.Buckets, ahead int) (y, token *ir.Value) {
	width, hidden := heads*dim, int(x.Type.Dims[1].K)
	all := b.Linear(x, b.Weight("qkv", dtype.BF16, 3*width, hidden), nil)
	token = b.KVWrite(step.Token, b.Slice(all, width, width), b.Slice(all, 2*width, width), 0)
	a := ir.Attention{Heads: heads, KVHeads: heads, Dim: dim, Scale: 1, Ahead: ahead, Buckets: buckets}
	if buckets.Count > 0 {
		a.Relative = b.Weight("relative", dtype.F32, buckets.Count, heads)
	}
	y = b.Attention(b.Slice(all, 0, width), token, step, a)
	return b.Linear(y, b.Weight("o", dtype.BF16, hidden, width), nil), token
}
