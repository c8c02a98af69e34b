package cuda

import (
	"llmc/codegen/ptx"
)

// float8Scale is what a code of e4m3 is too small by as bf16 or f32, with its exponent and mantissa at the lower end of theirs: the difference
// of the exponents' biases. Subnormal numbers stay subnormal, so that the product is exact for all.
const float8Scale = 0x1p120

// newFloat8Reader reads codes with a scale for each output or for each group of one.
func newFloat8Reader(p *product) weightReader {
	r := &float8Reader{product: p}
	if p.w.Group > 0 {
		return &float8Groups{r}
	}
	return r
}

// float8Reader turns codes of e4m3 into bf16, which hold all of them exactly.
type float8Reader struct {
	product     *product
	scale, zero ptx.Reg // of bf16x2
}

// operandB is for a step of 16 k whose neighbours lie four to a lane, as frag.e4m3 has them.
func (r *float8Reader) operandB() operandB { return operandB{ptx.BF16x2, 2, 8, 4, ptx.F32} }

func (r *float8Reader) prepare() {
	r.scale, r.zero = r.product.Const(ptx.BF16x2, float8Scale), r.product.Const(ptx.BF16x2, 0.0)
}

func (r *float8Reader) multiply(at chunkSource, acc [][]ptx.Reg, b chunkB) {
	for f, words := range at.fragments() {
		for half := range 2 {
			low, high := words[2*half], words[2*half+1] // of the lane's first row and its second
			r.product.mma(acc, []ptx.Reg{r.pair(low, 0), r.pair(high, 0), r.pair(low, 2), r.pair(high, 2)}, b, 2*f+half)
		}
	}
}

// pair gives bytes i and i+1 of a word as bf16.
func (r *float8Reader) pair(word ptx.Reg, i int) ptx.Reg {
	codes := r.product.Permute(word, 0, 0x1404+0x1010*i) // each the upper byte of a half
	rest := r.product.And(r.product.Shr(codes, 4), 0x07f007f0)
	numbers := r.product.Lop3(codes, 0x80008000, rest, func(x, y, z uint8) uint8 { return x&y | z })
	return r.product.Fma(numbers.As(ptx.BF16x2), r.scale, r.zero)
}

// float8Groups sums the products of a chunk, which lies in one group, apart and scales the sum.
type float8Groups struct{ *float8Reader }

func (r *float8Groups) multiply(at chunkSource, acc [][]ptx.Reg, b chunkB) {
	part := r.product.zeroSums(ptx.F32, len(acc))
	scales := r.product.groupScales(at)
	r.float8Reader.multiply(at, part, b)
	for j := range acc {
		for n := range acc[j] {
			r.product.Into(acc[j][n]).Fma(part[j][n], scales[n/2], acc[j][n])
		}
	}
}
