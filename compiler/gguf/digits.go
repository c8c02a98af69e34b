package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// digits are a block of 32 elements as two rows of codes of 4 bits with scales and zero points of their own: an element is the sum of its two products. Nothing is
// rounded.
type digits struct {
	upper, lower           []uint8
	upperScale, lowerScale float32
	upperZero, lowerZero   uint8
}

// digitFormat is what kernels read them as.
const digitFormat = "int4-g32-zp"

// split sets element i to a code of 8 bits with zero point 128: 16*(c/16 - 8) + c%16.
func (d *digits) split(i int, code uint8) { d.upper[i], d.lower[i] = code>>4, code&15 }

func (d *digits) scaled(scale float32, upperZero uint8) {
	d.upperScale, d.lowerScale, d.upperZero, d.lowerZero = 16*scale, scale, upperZero, 0
}

func digitsQ8_0(d *digits, src []byte) {
	d.scaled(half(src), 8)
	for i, c := range src[2:34] {
		d.split(i, c^0x80)
	}
}

// digitsQ5_0: codes of five bits with zero point 16.
func digitsQ5_0(d *digits, src []byte) {
	d.scaled(half(src), 1)
	high := binary.LittleEndian.Uint32(src[2:])
	for i, c := range src[6:22] {
		lo, hi := fiveBits(c, high, i)
		d.split(i, uint8(lo))
		d.split(i+16, uint8(hi))
	}
}

func digitsIQ4NL(d *digits, src []byte) {
	d.scaled(half(src), 8)
	for i, c := range src[2:18] {
		d.split(i, uint8(int(dtype.IQ4NL[c&15])+128))
		d.split(i+16, uint8(int(dtype.IQ4NL[c>>4])+128))
	}
}

// digitsQ4_1: the codes with their scale, and ones with the minimum.
func digitsQ4_1(d *digits, src []byte) {
	d.upperScale, d.lowerScale, d.upperZero, d.lowerZero = half(src), half(src[2:]), 0, 0
	for i, c := range src[4:20] {
		d.upper[i], d.upper[i+16], d.lower[i], d.lower[i+16] = c&15, c>>4, 1, 1
	}
}

// digitRows gives a matrix in digits: a row has the upper ones, then the lower ones. It implements stored.Source.
type digitRows struct {
	*rows
	format *quant.Format
}

// mostHalf is the largest number of f16.
const mostHalf = 65504

// ReadCodes implements stored.Source.
func (r digitRows) ReadCodes(b *quant.Block, lo int64) error {
	t, cols := r.info.kind, int(r.cols)
	groups := cols / 32
	return r.eachRow(lo, b.Rows, func(i int, src []byte) error {
		codes := b.Codes[2*i*cols : 2*(i+1)*cols]
		scales, zeros := b.Scales[2*i*groups:2*(i+1)*groups], b.Zeros[2*i*groups:2*(i+1)*groups]
		for g := range groups {
			d := digits{upper: codes[32*g : 32*g+32], lower: codes[cols+32*g : cols+32*g+32]}
			t.digits(&d, src[int64(g)*t.bytes:])
			if s := max(math.Abs(float64(d.upperScale)), math.Abs(float64(d.lowerScale))); !(s <= mostHalf) {
				return fmt.Errorf("has a scale of %g, which its digits of 4 bits cannot have: build with --quant f32", d.lowerScale)
			}
			scales[g], scales[groups+g] = d.upperScale, d.lowerScale
			zeros[g], zeros[groups+g] = d.upperZero, d.lowerZero
		}
		return nil
	})
}

// ReadRows implements stored.Source.
func (r digitRows) ReadRows(dst []float32, lo int64) error {
	var b quant.Block
	cols := 2 * int(r.cols)
	b.Resize(r.format, len(dst)/cols, cols)
	if err := r.ReadCodes(&b, lo); err != nil {
		return err
	}
	r.format.Dequantize(dst, &b)
	return nil
}
