package cuda_test

import (
	"math"

	"llmc/internal/dtype"
	"llmc/internal/relative"
)

// t5Encoder and t5Decoder are T5's buckets.
var t5Encoder, t5Decoder = relative.Buckets{Count: 32, Reach: 128, Both: true}, relative.Buckets{Count: 32, Reach: 128}

// relativeShapes have learned scores by distance, up to their own position or beyond it.
var relativeShapes = []shape{
	{heads: 2, kv: 2, dim: 64, q: dtype.F32, y: dtype.BF16, buckets: t5Decoder},
	{heads: 4, kv: 4, dim: 16, q: dtype.BF16, y: dtype.F32, ahead: 1 << 30, buckets: t5Encoder},
	{heads: 20, kv: 1, dim: 24, q: dtype.F32, y: dtype.F32, buckets: relative.Buckets{Count: 16, Reach: 21}, cache: dtype.I8, window: 100},
	{heads: 6, kv: 2, dim: 128, q: dtype.F32, y: dtype.BF16, ahead: 1 << 30, buckets: relative.Buckets{Count: 12, Reach: 30, Both: true}, cache: dtype.F16},
	{heads: 71, kv: 1, dim: 20, q: dtype.F32, y: dtype.F32, ahead: 40, window: 60, buckets: relative.Buckets{Count: 8, Reach: 9, Both: true}, softcap: 20},
	{heads: 2, kv: 2, dim: 64, q: dtype.F32, y: dtype.BF16, buckets: t5Decoder, cache: dtype.U4},
	{heads: 6, kv: 2, dim: 128, q: dtype.F32, y: dtype.BF16, ahead: 1 << 30, buckets: relative.Buckets{Count: 12, Reach: 30, Both: true}, cache: dtype.U4},
}

// textShapes see all of a text from wherever they are.
var textShapes = []shape{
	{heads: 2, kv: 2, dim: 64, q: dtype.F32, y: dtype.BF16, ofText: true},
	{heads: 4, kv: 4, dim: 16, q: dtype.BF16, y: dtype.F32, ofText: true},
	{heads: 20, kv: 1, dim: 80, q: dtype.F32, y: dtype.F32, ofText: true, cache: dtype.I8, softcap: 20},
	{heads: 3, kv: 1, dim: 21, q: dtype.F32, y: dtype.BF16, ofText: true, cache: dtype.F8E4M3},
	{heads: 4, kv: 2, dim: 64, q: dtype.F32, y: dtype.BF16, ofText: true, cache: dtype.U4},
}

// learned are scores by bucket and head, of the size of the others.
func (c shape) learned() []float32 { return randoms(c.buckets.Count*c.heads, 37, 2) }

// slopes are those of alibi: near positions count most.
func (c shape) slopes() []float32 {
	slopes := make([]float32, c.heads)
	for i := range slopes {
		slopes[i] = float32(math.Exp2(-8 * float64(i+1) / float64(c.heads)))
	}
	return slopes
}

// sinkScores lie about where scores do, so that a sink has its share.
func (c shape) sinkScores() []float32 {
	scores := randoms(c.heads, 31, 1)
	for i := range scores {
		scores[i] -= float32(64 * c.scale())
	}
	return scores
}
