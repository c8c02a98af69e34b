package stored

import (
	"math"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// blockSide is the side of the blocks of weights that share a scale.
const blockSide = 128

// attachFP8 reads e4m3 with a scale for each block of 128x128 weights (weight_scale_inv, as DeepSeek-V3 has it) or one for the whole weight
// (weight_scale). Scales of inputs, which activation_scheme static brings, are left out: a product quantizes inputs by what they are, or not at all.
func attachFP8(c *hf.Checkpoint, f *hf.Fields) error {
	if kind := f.TextOr("fmt", "e4m3"); kind != "e4m3" {
		f.Fail("fmt", "%.40q is not read; supported is e4m3", kind)
	}
	if scheme := f.TextOr("activation_scheme", "dynamic"); scheme != "dynamic" && scheme != "static" {
		f.Fail("activation_scheme", "%.40q is not read; supported are dynamic, static", scheme)
	}
	sides := f.Floats("weight_block_size", 0, maxSide)
	if sides != nil && (len(sides) != 2 || sides[0] != blockSide || sides[1] != blockSide) {
		f.Fail("weight_block_size", "%v is not read; supported is [128, 128]", sides)
	}
	if err := f.Err(); err != nil {
		return err
	}
	return linears(c, "weight", func(l *linear) error {
		if l.first.DType != dtype.F8E4M3 {
			return nil
		}
		if sides != nil {
			return l.attachE4M3("fp8", "weight_scale_inv", blockSide)
		}
		return l.attachE4M3("fp8", "weight_scale", 0)
	})
}

// e4m3Matrix is a matrix of e4m3 with scales for blocks.
type e4m3Matrix struct {
	weight, scale *hf.Tensor
	cols          int64
	height, width int64 // of a block
}

// attachE4M3 reads a linear whose scales are called scale: for square blocks of side, or for side 0 one for each output or for all.
func (l *linear) attachE4M3(method, scale string, side int64) error {
	rows, cols, ok := l.matrix()
	if !ok {
		return l.err
	}
	e := &e4m3Matrix{weight: l.first, cols: cols, height: side, width: side}
	f, err := quant.Find("fp8-block")
	if side == 0 {
		f, err = quant.Find("fp8")
		e.scale = l.part(scale, floats, []int64{rows, 1}, []int64{rows}, []int64{1}, []int64{}, []int64{1, 1})
		e.height, e.width = 1, cols
		if e.scale != nil && e.scale.Elements() == 1 {
			e.height = rows
		}
	} else {
		e.scale = l.part(scale, floats, []int64{ceilDiv(rows, side), ceilDiv(cols, side)})
	}
	if l.err != nil || err != nil {
		return firstError(l.err, err)
	}
	l.optional("input_scale")
	l.optional("input_scale_ub")
	plain, err := e.look()
	if err != nil {
		return err
	}
	put(l.c, l.name+"weight", rows, &Matrix{Method: method, Format: f, Plain: plain, cols: cols, source: e}, l.parts...)
	return nil
}

func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// look checks all scales and finds the plain type that holds the numbers: that of e4m3 times powers of two is bf16.
func (e *e4m3Matrix) look() (dtype.Type, error) {
	scales := make([]float32, e.scale.Elements())
	flat, err := e.scale.View(1)
	if err == nil {
		err = flat.ReadRows(scales, 0, int64(len(scales)))
	}
	if err != nil {
		return 0, err
	}
	plain := dtype.BF16
	for i, s := range scales {
		if err := finite(e.scale, s, int64(i)/max(1, e.scale.Cols())*e.height); err != nil {
			return 0, err
		}
		if part, exp := math.Frexp(float64(s)); math.Abs(part) != 0.5 || exp < -100 || exp > 100 {
			plain = dtype.F32
		}
	}
	return plain, nil
}

// read brings codes and the scales of rows from lo on, [rows, blocks of a row].
func (e *e4m3Matrix) read(codes []uint8, scales []float32, lo int64) error {
	n := int64(len(codes)) / e.cols
	if err := e.weight.ReadRaw(codes, lo, lo+n); err != nil {
		return err
	}
	for i, c := range codes {
		if c&0x7f == 0x7f {
			return e.weight.Errorf("element [%d,%d] is not a number", lo+int64(i)/e.cols, int64(i)%e.cols)
		}
	}
	blocks := ceilDiv(e.cols, e.width)
	flat, err := e.scale.View(blocks)
	if err != nil {
		return err
	}
	for r := range n {
		at := (lo + r) / e.height
		if err := flat.ReadRows(scales[r*blocks:(r+1)*blocks], at, at+1); err != nil {
			return err
		}
	}
	return nil
}

func (e *e4m3Matrix) values(dst []float32, lo int64) error {
	blocks := ceilDiv(e.cols, e.width)
	codes, scales := make([]uint8, len(dst)), make([]float32, int64(len(dst))/e.cols*blocks)
	if err := e.read(codes, scales, lo); err != nil {
		return err
	}
	for i, c := range codes {
		r, k := int64(i)/e.cols, int64(i)%e.cols
		dst[i] = dtype.E4M3ToF32(c) * scales[r*blocks+k/e.width]
	}
	return nil
}

func (e *e4m3Matrix) codes(b *quant.Block, _ *quant.Format, lo int64) error {
	return e.read(b.Codes, b.Scales, lo)
}
