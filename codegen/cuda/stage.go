package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// stageLayout says where a stage in shared memory has what of a product: span chunks of a CTA's tokens and panels. Its tokens lie in rows of their own
// (tokenBytes), its weights (weightBytes) are
//
//	fragments  panels x span chunks
//	scales     panels x groups x 32 bytes (16 of e4m3), for formats with groups
//	zeros      panels x groups x 16 bytes, for formats with zero points
//	           groups x tokens x 4 bytes, the scales of tokens that have one for each group
type stageLayout struct {
	span, panels, groups           int // chunks; panels; scales of an output
	chunkRow                       int // bytes of a chunk of a token
	scalesAt, zerosAt, tokensAt    int // scales, zero points and scales of tokens among the weights
	tokenBytes, weightBytes, bytes int // bytes are both, whole lines of shared memory
}

// zeroRow is the size of a panel's zero points of a group of k.
const zeroRow = layout.FragmentRows

// lineBytes is a row of all banks of shared memory.
const lineBytes = 128

func (p *product) newStage(span, panels, tokens int) stageLayout {
	s := stageLayout{span: span, panels: panels, chunkRow: chunk * p.reader.operandB().element}
	if g := p.w.Group; g > chunk {
		s.groups = span*chunk/g + 1 // a stage need not begin with a group
	} else if g > 0 {
		s.groups = span * chunk / g
	}
	s.scalesAt = panels * span * p.chunkBytes()
	s.zerosAt = s.scalesAt + panels*s.groups*p.w.GroupBytes()
	s.tokensAt = s.zerosAt
	if p.w.Zeros {
		s.tokensAt += panels * s.groups * zeroRow
	}
	s.tokenBytes, s.weightBytes = span*tokens*s.chunkRow, s.tokensAt
	if p.coded() {
		s.weightBytes += s.groups * tokens * 4
	}
	s.bytes = ceilDiv(s.tokenBytes+s.weightBytes, lineBytes) * lineBytes
	return s
}

// chunkBytes is what a panel stores of a chunk.
func (p *product) chunkBytes() int { return chunk / p.w.Depth * fragmentBytes }

// wordsAt loads a lane's part of a chunk, 16 bytes for each fragment, from where it has those of the first.
func (p *product) wordsAt(at ptx.Addr, hints ...ptx.Hint) (words [][]ptx.Reg) {
	for f := range chunk / p.w.Depth {
		words = append(words, p.LdV(ptx.B32, 4, at.At(f*fragmentBytes), hints...))
	}
	return words
}

// tokenShare is what a thread copies of the tokens of a CTA: units of 16 bytes of numbers or codes, one of every apart-th token.
type tokenShare struct {
	row, unit ptx.Reg // its first token, counted from the CTA's, and the unit of a row of a tile
	rows      ptx.Reg // tokens of the CTA that there are
	source    ptx.Reg // of the unit of the first chunk of that token
	apart     int     // tokens from one of the thread's to the next
}

// newTokenShare finds the share of a thread, one of so many, in a role of which units have so many bytes. token is the CTA's first one.
func (p *product) newTokenShare(role string, token, thread ptx.Reg, threads, units, bytes int) tokenShare {
	s := tokenShare{unit: p.And(thread, units-1), row: p.Shr(thread, log2(units)), rows: p.Sub(p.rows("x"), token), apart: threads / units}
	s.source = p.Index(p.row(role, p.Add(token, s.row)), s.unit, bytes)
	return s
}

// there tells whether there is token row+n of the CTA.
func (p *product) there(s tokenShare, n int) ptx.Reg { return p.Lt(p.Add(s.row, n), s.rows) }

// sizeIf is how many bytes a copy reads, so many or none.
func (p *product) sizeIf(there ptx.Reg, bytes int) ptx.Reg {
	return p.Select(there, p.Const(ptx.U32, bytes), p.Const(ptx.U32, 0))
}
