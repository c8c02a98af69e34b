package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/sym"
)

// rawTokens is the largest number of tokens whose inputs products quantize themselves: each CTA does so for all of K, which is little beside the
// weights that it reads then, and spares a launch. Inputs of more tokens are quantized once, by a launch of their own.
const rawTokens = 16

// rawInput tells that products can take raw inputs of so many columns: there is no padding.
func rawInput(columns int64) bool { return columns%64 == 0 }

// skipped are the entries of a launch that is left out where products quantize.
func skipped(f family) []variant {
	nothing := family{f.threads, func(*entry) [3]engine.Extent { return grid(engine.Extent{Of: sym.Const(0), Per: 1}) }, nil}
	return []variant{{family: nothing, limit: rawTokens}, {family: f}}
}

// quantizesRaw tells whether a quantize is one of inputs that products have raw too.
func (e *entry) quantizesRaw() bool { return e.launch.Kernel == "cuda.quantize" && e.hasMaxima("x") }

// rowMaximum is the largest magnitude of a row of raw, as the bits of an f32, in all of the lanes that have the row; lane is the number among
// these.
func (p *product) rowMaximum(row, lane ptx.Reg, lanes int) ptx.Reg {
	most := p.Const(ptx.U32, 0)
	maxima := rowPart{row: row, offset: p.maximaOffset("raw"), columns: p.w.K / layout.MaximaColumns}
	p.eachColumn(ptx.U32, maxima, lane, lanes, func(_ int, v ptx.Reg) { most = p.Max(most, v) })
	for bit := lanes / 2; bit > 0; bit /= 2 {
		most = p.Max(most, p.ShflXor(most, bit))
	}
	return most
}

// rowPart is columns of 4 bytes that begin at an offset of a row.
type rowPart struct {
	row             ptx.Reg
	offset, columns int
}

// width is how many columns a lane reads with one instruction.
func (r rowPart) width() int {
	if r.columns%4 == 0 {
		return 4
	}
	return 1
}

// eachColumn reads columns with the lanes that share a row, and calls f with each number and its place in what the lane reads at once; zeros behind the
// last column.
func (p *product) eachColumn(t ptx.Type, from rowPart, lane ptx.Reg, lanes int, f func(i int, v ptx.Reg)) {
	width := from.width()
	for first := 0; first < from.columns; first += lanes * width {
		column := p.Mad(lane, width, first)
		values, b := p.Zeros(t, width), p.Builder
		if from.columns-first < lanes*width {
			b = p.When(p.Lt(column, from.columns))
		}
		at := p.Index(from.row, column, 4).At(from.offset)
		if width == 1 {
			b.Into(values...).Ld(t, at)
		} else {
			b.Into(values...).LdV(t, width, at)
		}
		for i, v := range values {
			f(i, v)
		}
	}
}

// rawScales are the scales of the tokens of a CTA of mma.sync and what their numbers are multiplied with, [2][tokens] f32 in shared memory. 16 threads
// have a token.
func (p *product) rawScales() ptx.Reg {
	if !p.makesCodes {
		return ptx.Reg{}
	}
	p.Section("scales of tokens")
	const lanes = linearThreads / tokenTile
	scales := p.Addr(p.Static("scales", 2*4*tokenTile, 16))
	token, lane := p.Div(p.TidX(), lanes), p.And(p.TidX(), lanes-1)
	row := p.row("raw", p.realToken(p.tokenOfTile(token)))
	scale, inverse := quantizers[p.codes().Name].scales(p.entry, p.rowMaximum(row, lane, lanes).As(ptx.F32))
	at := p.Index(scales, token, 4)
	first := p.When(p.Eq(lane, 0))
	first.St(at, scale)
	first.St(at.At(4*tokenTile), inverse)
	p.Sync()
	return scales
}

// rawQuads is how a lane reads the numbers of which a step of 32 k of codes is made: four neighbours, and four that are 16 k further.
var rawQuads = operandB{element: 4, lane: 16, second: 64}

// operandB is how a lane reads its inputs: codes that the CTA makes are read as numbers, and so are those of heads.
func (p *product) operandB() operandB {
	if p.makesCodes {
		return rawQuads
	}
	if p.headed() {
		return p.reader.operandB().wide()
	}
	return p.reader.operandB()
}

// inverses are what the numbers of the lane's token of each block are multiplied with.
func (p *product) inverses(lane ptx.Reg) []ptx.Reg {
	if !p.makesCodes {
		return nil
	}
	var inverses []ptx.Reg
	at := p.Index(p.scales, p.Shr(lane, 2), 4)
	for j := range tokenBlocks {
		inverses = append(inverses, p.Ld(ptx.F32, at.At(4*tokenTile+4*8*j)))
	}
	return inverses
}

// loadRaw quantizes the lane's part of a chunk of one token.
func (p *product) loadRaw(o operandB, x, inverse ptx.Reg) [][]ptx.Reg {
	q := quantizers[p.codes().Name]
	var steps [][]ptx.Reg
	for s := range o.steps() {
		var registers []ptx.Reg
		for _, at := range []int{0, rawQuads.second} {
			registers = append(registers, q.quad(p.entry, p.LdV(ptx.F32, 4, x.At(128*s+at)), inverse).As(o.register))
		}
		steps = append(steps, registers)
	}
	return steps
}

// quad gives four codes.
func (q quantizer) quad(e *entry, v []ptx.Reg, inverse ptx.Reg) ptx.Reg {
	pair := func(i int) ptx.Reg { return q.encode(e, e.Mul(v[i], inverse), e.Mul(v[i+1], inverse)).As(ptx.B16) }
	return e.Pack(ptx.B32, pair(0), pair(2))
}
