package cuda

import (
	"llmc/codegen/ptx"
)

// e4m3Reader multiplies codes with codes. An output is scaled by the scale of its weight's row times that of its token.
type e4m3Reader struct{ reader }

// e4m3Quads is operand B of mma.m16n8k32: neighbouring k 4t to 4t+3, then 4t+16 to 4t+19.
var e4m3Quads = operandB{ptx.E4M3x4, 1, 4, 16, ptx.F32}

func (r e4m3Reader) operandB() operandB { return e4m3Quads }

// multiply adds up the products of a chunk apart: units for e4m3 may add with fewer bits than f32 has ("DeepSeek-V3 Technical Report", section
// 3.3.2), which a sum over all of K would feel.
func (r e4m3Reader) multiply(at chunkSource, acc [][]ptx.Reg, b chunkB) {
	part := r.product.chunkOfCodes(at, len(acc), b)
	for j := range acc {
		for n := range acc[j] {
			r.product.Into(acc[j][n]).Add(acc[j][n], part[j][n])
		}
	}
}

// chunkOfCodes is the product of a chunk, by block of tokens.
func (p *product) chunkOfCodes(at chunkSource, blocks int, b chunkB) [][]ptx.Reg {
	part := p.zeroSums(ptx.F32, blocks)
	for step, words := range at.fragments() {
		for j := range part {
			p.Mma(ptx.MmaE4M3, part[j], as(ptx.E4M3x4, words), b[j][step])
		}
	}
	return part
}

// tokenScale loads the scale of the codes of the CTA's token of a number.
func (p *product) tokenScale(token ptx.Reg) ptx.Reg {
	if p.makesCodes {
		return p.Ld(ptx.F32, p.Index(p.scales, token, 4))
	}
	row := p.row("x", p.source(p.realToken(p.tokenOfTile(token))))
	return p.Ld(ptx.F32, row.At(p.codes().ScaleOffset()))
}
