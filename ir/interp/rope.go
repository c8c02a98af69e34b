package interp

import (
	"math"

	"llmc/ir"
)

// turning is the rotary embedding that an op describes.
type turning struct {
	op      *ir.Op
	dim     int // channels of a head
	rotary  int // of which this many turn
	invFreq Tensor
}

func (c *call) rotation(dim int) (turning, error) {
	freq, err := c.weight("inv_freq")
	return turning{op: c.op, dim: dim, rotary: int(ir.RotaryDim(c.op, int64(dim))), invFreq: freq}, err
}

// frequencies returns the inverse frequencies for a sequence of the given length, as transformers chooses them
// (modeling_rope_utils: longrope_frequency_update and dynamic_frequency_update).
func (r turning) frequencies(ropeLen int32) []float32 {
	op := r.op
	switch op.Text("mode") {
	case "longrope":
		if int64(ropeLen) > op.Int("original_max") {
			return r.invFreq.Row(1)
		}
	case "dynamic":
		if int64(ropeLen) > op.Int("max_positions") {
			return r.dynamic(float64(ropeLen))
		}
	}
	return r.invFreq.Row(0)
}

// dynamic computes NTK-aware frequencies for one length.
func (r turning) dynamic(length float64) []float32 {
	op, d := r.op, float64(r.rotary)
	factor := op.Float("ntk_factor")
	base := op.Float("base") * math.Pow(factor*length/float64(op.Int("max_positions"))-(factor-1), d/(d-2))
	freq := make([]float32, r.rotary/2)
	for i := range freq {
		freq[i] = float32(1 / math.Pow(base, 2*float64(i)/d))
	}
	return freq
}

// turnBy returns the cosine and sine of a position's angle, times a factor. The angle is a product of f32 numbers, as models are trained with.
func turnBy(position int32, frequency float32, factor float64) (cos, sin float64) {
	angle := float64(float32(position) * frequency)
	return math.Cos(angle) * factor, math.Sin(angle) * factor
}

// turned rotates a pair of channels.
func turned(a, b float32, cos, sin float64) (float32, float32) {
	x, y := float64(a), float64(b)
	return float32(x*cos - y*sin), float32(y*cos + x*sin)
}

// turn rotates one row of heads in place.
func (r turning) turn(row []float32, position, ropeLen int32) {
	freq := r.frequencies(ropeLen)
	factor := r.op.Float("factor")
	for head := 0; head < len(row); head += r.dim {
		for i, f := range freq {
			cos, sin := turnBy(position, f, factor)
			ia, ib := head+i, head+i+r.rotary/2
			if r.op.Text("style") == "interleaved" {
				ia, ib = head+2*i, head+2*i+1
			}
			row[ia], row[ib] = turned(row[ia], row[ib], cos, sin)
		}
	}
}

// turnAll rotates every row by the op's positions.
func (c *call) turnAll(x Tensor, r turning) {
	positions, lengths := c.arg("positions").Index, c.arg("ropelen").Index
	for m := range x.Rows {
		r.turn(x.Row(m), positions[m], lengths[m])
	}
}

func (c *call) rope() error {
	r, err := c.rotation(c.int("dim"))
	if err != nil {
		return err
	}
	x := c.arg("x")
	y := newTensor(x.Rows, x.Cols)
	copy(y.Data, x.Data)
	c.turnAll(y, r)
	c.give(y)
	return nil
}

// ropeKV does what slice, rmsnorm, rope and kv.write do one after the other.
func (c *call) ropeKV() error {
	dim := c.int("dim")
	r, err := c.rotation(dim)
	if err != nil {
		return err
	}
	qWidth, kvWidth := c.int("heads")*dim, c.int("kv_heads")*dim
	x := c.arg("qkv")
	q, k, v := columns(x, 0, qWidth), columns(x, qWidth, kvWidth), columns(x, qWidth+kvWidth, kvWidth)
	if c.has("q_norm") {
		qw, err := c.weight("q_norm")
		if err != nil {
			return err
		}
		kw, err := c.weight("k_norm")
		if err != nil {
			return err
		}
		eps := c.op.Float("eps")
		q, k = normalize(q, qw.Data, eps), normalize(k, kw.Data, eps)
	}
	c.turnAll(q, r)
	if c.op.Text("mode") == "static" {
		c.turnAll(k, r)
	}
	c.give(q)
	return c.store(k, v)
}
