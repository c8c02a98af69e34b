package cuda

import (
	"llmc/codegen/ptx"
)

// e4m3Reader multiplies codes with codes. An output is scaled by the scale of its weight's row times that of its token.
type e4m3Reader struct{ *product }

// e4m3Quads is operand B of mma.m16n8k32: neighbouring k 4t to 4t+3, then 4t+16 to 4t+19.
var e4m3Quads = operandB{ptx.E4M3x4, 1, 4, 16, ptx.F32}

func (r e4m3Reader) operandB() operandB { return e4m3Quads }

func (r e4m3Reader) start(lane, first ptx.Reg) []panel { return r.startPanels(lane, first) }

// multiply adds up the products of a chunk apart: units for e4m3 may add with fewer bits than f32 has ("DeepSeek-V3 Technical Report", section
// 3.3.2), which a sum over all of K would feel.
func (r e4m3Reader) multiply(at panel, _ ptx.Reg, acc [][]ptx.Reg, b chunkB) {
	part := make([][]ptx.Reg, len(acc))
	for j := range part {
		part[j] = r.Zeros(ptx.F32, 4)
	}
	for step, words := range r.fragments(at) {
		for j := range part {
			r.Mma(ptx.MmaE4M3, part[j], as(ptx.E4M3x4, words), b[j][step])
		}
	}
	for j := range acc {
		for n := range acc[j] {
			r.Into(acc[j][n]).Add(acc[j][n], part[j][n])
		}
	}
}

func (r e4m3Reader) finish(sum, output, token ptx.Reg) ptx.Reg {
	return r.scaled(sum, output, token)
}

// scaled multiplies the sum of products of codes by the scales of the output and of the token.
func (p *product) scaled(sum, output, token ptx.Reg) ptx.Reg {
	return p.Mul(sum, p.Mul(p.outputScale(output), p.tokenScale(token)))
}

// tokenScale loads the scale of a token's codes.
func (p *product) tokenScale(token ptx.Reg) ptx.Reg {
	return p.Ld(ptx.F32, p.row("x", p.source(token)).At(p.codes().ScaleOffset()))
}

// float8Scale is what a code of e4m3 is too small by as bf16 or f32, with its exponent and mantissa at the lower end of theirs: the difference
// of the exponents' biases. Subnormal numbers stay subnormal, so that the product is exact for all.
const float8Scale = 0x1p120

// float8Reader turns codes of e4m3 into bf16, which hold all of them exactly.
type float8Reader struct {
	*product
	scale, zero ptx.Reg // of bf16x2
}

// operandB is for a step of 16 k whose neighbours lie four to a lane, as frag.e4m3 has them.
func (r *float8Reader) operandB() operandB { return operandB{ptx.BF16x2, 2, 8, 4, ptx.F32} }

func (r *float8Reader) start(lane, first ptx.Reg) []panel {
	r.scale, r.zero = r.Const(ptx.BF16x2, float8Scale), r.Const(ptx.BF16x2, 0.0)
	return r.startPanels(lane, first)
}

func (r *float8Reader) multiply(at panel, _ ptx.Reg, acc [][]ptx.Reg, b chunkB) {
	for f, words := range r.fragments(at) {
		for half := range 2 {
			low, high := words[2*half], words[2*half+1] // of the lane's first row and its second
			r.mma(acc, []ptx.Reg{r.pair(low, 0), r.pair(high, 0), r.pair(low, 2), r.pair(high, 2)}, b, 2*f+half)
		}
	}
}

// pair gives bytes i and i+1 of a word as bf16.
func (r *float8Reader) pair(word ptx.Reg, i int) ptx.Reg {
	codes := r.Permute(word, 0, 0x1404+0x1010*i) // each the upper byte of a half
	rest := r.And(r.Shr(codes, 4), 0x07f007f0)
	numbers := r.Lop3(codes, 0x80008000, rest, func(x, y, z uint8) uint8 { return x&y | z })
	return r.Fma(numbers.As(ptx.BF16x2), r.scale, r.zero)
}

func (r *float8Reader) finish(sum, output, _ ptx.Reg) ptx.Reg {
	return r.Mul(sum, r.outputScale(output))
}
