package cuda

import (
	"llmc/codegen/ptx"
)

// e4m3Blocks multiplies codes with codes of which both have a scale for each group of 128 k: a weight for four outputs of a panel, an input for a
// token. The sum of a chunk, which lies in one group, is scaled in f32.
type e4m3Blocks struct {
	*product
	tokens [tokenBlocks][2]ptx.Reg // where the scales of the lane's columns lie: 2t and 2t+1 of each block of 8 tokens
}

func (r *e4m3Blocks) operandB() operandB { return e4m3Quads }

func (r *e4m3Blocks) start(lane, first ptx.Reg) []panel {
	column := r.tokenOfTile(r.Shl(r.And(lane, 3), 1))
	for j := range r.tokens {
		for n := range r.tokens[j] {
			row := r.row("x", r.source(r.realToken(r.Add(column, 8*j+n))))
			r.tokens[j][n] = r.Index(row, r.codes().ScaleOffset(), 1)
		}
	}
	return r.startPanels(lane, first)
}

func (r *e4m3Blocks) multiply(at panel, i ptx.Reg, acc [][]ptx.Reg, b chunkB) {
	group := r.groupOf(i)
	weights := r.groupScales(at, i)
	part := r.chunkOfCodes(at, len(acc), b)
	for j := range acc {
		var tokens [2]ptx.Reg
		for n := range tokens {
			tokens[n] = r.Ld(ptx.F32, r.Index(r.tokens[j][n], group, 4), ptx.ReadOnly)
		}
		for n := range acc[j] {
			r.Into(acc[j][n]).Fma(part[j][n], r.Mul(weights[n/2], tokens[n%2]), acc[j][n])
		}
	}
}

func (r *e4m3Blocks) finish(sum, _, _ ptx.Reg) ptx.Reg { return sum }

// groupOf is the group of a chunk.
func (p *product) groupOf(i ptx.Reg) ptx.Reg { return p.Shr(i, log2(p.w.Group/chunk)) }

// groupScales loads the scales of a chunk for the lane's rows g and g+8 of a panel.
func (p *product) groupScales(at panel, i ptx.Reg) (scales [2]ptx.Reg) {
	quarter := p.Shr(p.Shr(p.Lane(), 2), log2(p.w.ScaleRows))
	place := p.Index(at.base, p.Mad(p.groupOf(i), p.w.GroupBytes()/4, quarter), 4)
	for h := range scales {
		scales[h] = p.Ld(ptx.F32, place.At(p.w.ScaleOffset(0)+8/p.w.ScaleRows*4*h), ptx.ReadOnly)
	}
	return scales
}
