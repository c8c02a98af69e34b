package cuda

import (
	"llmc/codegen/ptx"
)

// e4m3Blocks multiplies codes with codes of which both have a scale for each group of 128 k: a weight for four outputs of a panel, an input for a
// token. The sum of a chunk, which lies in one group, is scaled in f32.
type e4m3Blocks struct{ reader }

func (r e4m3Blocks) operandB() operandB { return e4m3Quads }

func (r e4m3Blocks) multiply(at chunkSource, acc [][]ptx.Reg, b chunkB) {
	weights := r.product.groupScales(at)
	part := r.product.chunkOfCodes(at, len(acc), b)
	for j := range acc {
		tokens := at.tokenScales(j)
		for n := range acc[j] {
			r.product.Into(acc[j][n]).Fma(part[j][n], r.product.Mul(weights[n/2], tokens[n%2]), acc[j][n])
		}
	}
}

// groupScales loads the scales of a chunk for the lane's rows g and g+8 of a panel.
func (p *product) groupScales(at chunkSource) (scales [2]ptx.Reg) {
	quarter := p.Shr(p.Shr(p.Lane(), 2), log2(p.w.ScaleRows))
	place := at.scale(0, quarter, 4)
	for h := range scales {
		scales[h] = p.Ld(ptx.F32, place.At(8/p.w.ScaleRows*4*h))
	}
	return scales
}
