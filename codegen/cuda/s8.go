package cuda

import (
	"llmc/codegen/ptx"
)

// s8Reader multiplies signed bytes with signed bytes. A part of K is summed in whole numbers: 2^17 products of 127 * 127, an eighth of the longest
// row, are below 2^31. Then it is a number like that of any format, scaled as e4m3Reader scales its sums.
type s8Reader struct{ reader }

func (r s8Reader) operandB() operandB { return operandB{ptx.S8x4, 1, 4, 16, ptx.S32} }

func (r s8Reader) multiply(at chunkSource, acc [][]ptx.Reg, b chunkB) {
	for step, words := range at.fragments() {
		for j := range acc {
			r.product.Mma(ptx.MmaS8, acc[j], as(ptx.S8x4, words), b[j][step])
		}
	}
}

// numbers gives sums as f32.
func (p *product) numbers(sums []ptx.Reg) []ptx.Reg {
	if p.reader.operandB().sums == ptx.F32 {
		return sums
	}
	out := make([]ptx.Reg, len(sums))
	for i, v := range sums {
		out[i] = p.Cvt(ptx.F32, v)
	}
	return out
}

// wideS8 does the same on wgmma.
type wideS8 struct{ wide *wide }

func newWideS8(w *wide) wideReader {
	w.instruction.A = ptx.S8x4
	return wideS8{w}
}

func (r wideS8) multiply(at chunkPlace, part []ptx.Reg) {
	for s, words := range at.fragments() {
		r.wide.step(part, as(ptx.S8x4, words), at.b, s)
	}
	r.wide.WgmmaCommit()
	r.wide.WgmmaWait(0)
}
