package cuda

import (
	"llmc/codegen/ptx"
)

// chunkSource is where a lane finds a chunk of 64 k of a panel of the weight, and what belongs to it.
type chunkSource interface {
	// fragments loads the lane's words: 16 bytes for each fragment.
	fragments() [][]ptx.Reg
	// scale is where the group of a step of 16 k has a scale: elements of so many bytes, counted from the panel's first.
	scale(step int, element ptx.Reg, bytes int) ptx.Addr
	// zero is where it has a zero point.
	zero(step int, element ptx.Reg) ptx.Addr
	// tokenScales loads what columns 2t and 2t+1 of a block of 8 tokens have for the chunk's group.
	tokenScales(block int) []ptx.Reg
}

// panel is a chunk that is read where the weight lies.
type panel struct {
	product *product
	base    ptx.Reg      // of the panel
	next    ptx.Reg      // the lane's next 16 bytes of fragments
	number  ptx.Reg      // of the chunk
	tokens  [][2]ptx.Reg // where the scales of the lane's columns lie, by block
	ahead   [][]ptx.Reg  // fragments of the next chunk, under way; nil: they are loaded when they are wanted
	end     ptx.Reg      // behind the last chunk
}

// aheadRegisters is in up to how many registers a lane keeps fragments of the next chunk, under way while a chunk is multiplied. Left alone, assemblers load
// each fragment right before it is wanted, into the registers of the one before. Four panels of numbers would take more, and have loads enough
// between each other; sums of groups leave room for half as many.
const aheadRegisters = 32

// loadsAhead tells whether the CTA's panels keep fragments of the next chunk. Parts of an entry with more threads have no registers for that.
func (p *product) loadsAhead() bool {
	if p.part != nil && p.part.threads > linearThreads {
		return false
	}
	room := aheadRegisters
	if p.w.Group > 0 {
		room /= 2
	}
	return p.blocks*p.chunkBytes()/fragmentBytes*4 <= room
}

// weightPanels returns the panels of the CTA, of chunks first to end-1. Those behind the weight's last one are read as the last one, and dropped.
func (p *product) weightPanels(lane, first, end ptx.Reg) []panel {
	var panels []panel
	tokens := p.groupedTokens(lane)
	for m := range p.blocks {
		number := p.Min(p.Mad(p.CtaX(), p.blocks, m), p.w.Panels()-1)
		base := p.Index(p.pointers["w"], number, p.w.PanelBytes())
		offset := p.Mad(first, p.chunkBytes(), p.Shl(lane, 4))
		at := panel{product: p, base: base, next: p.Index(base, offset, 1), tokens: tokens, end: end}
		if p.loadsAhead() {
			at.start(first)
		}
		panels = append(panels, at)
	}
	return panels
}

// groupedTokens returns where the scales of the lane's columns lie, where tokens have one for each group.
func (p *product) groupedTokens(lane ptx.Reg) [][2]ptx.Reg {
	if !p.coded() || p.w.Group == 0 {
		return nil
	}
	tokens := make([][2]ptx.Reg, tokenBlocks)
	column := p.tokenOfTile(p.Shl(p.And(lane, 3), 1))
	for j := range tokens {
		for n := range tokens[j] {
			row := p.row("x", p.source(p.realToken(p.Add(column, 8*j+n))))
			tokens[j][n] = p.Index(row, p.codes().ScaleOffset(), 1)
		}
	}
	return tokens
}

// fragments implements chunkSource, and goes on to the next chunk.
func (at panel) fragments() (words [][]ptx.Reg) {
	if at.ahead == nil {
		words = at.product.wordsAt(at.next.At(0), ptx.ReadOnly)
		at.product.Into(at.next).Add(at.next, at.product.chunkBytes())
		return words
	}
	for _, next := range at.ahead {
		var fragment []ptx.Reg
		for _, r := range next {
			fragment = append(fragment, at.product.Mov(r))
		}
		words = append(words, fragment)
	}
	at.product.Into(at.next).Add(at.next, at.product.chunkBytes())
	at.loadAhead(at.product.Add(at.number, 1))
	return words
}

// start has the fragments of the first chunk under way.
func (at *panel) start(first ptx.Reg) {
	for range chunk / at.product.w.Depth {
		at.ahead = append(at.ahead, at.product.Zeros(ptx.B32, 4))
	}
	at.loadAhead(first)
}

// loadAhead starts to load the fragments of the chunk at next, which has a number, if there is one.
func (at panel) loadAhead(number ptx.Reg) {
	there := at.product.Lt(number, at.end)
	for f, words := range at.ahead {
		at.product.When(there).Into(words...).LdV(ptx.B32, 4, at.next.At(f*fragmentBytes), ptx.ReadOnly)
	}
}

// group is that of a step of the chunk.
func (at panel) group(step int) ptx.Reg {
	if at.product.w.Group >= chunk {
		return at.product.Shr(at.number, log2(at.product.w.Group/chunk))
	}
	return at.product.Shr(at.product.Mad(at.number, chunk, 16*step), log2(at.product.w.Group))
}

func (at panel) scale(step int, element ptx.Reg, bytes int) ptx.Addr {
	return at.product.Index(at.base, at.product.Mad(at.group(step), at.product.w.GroupBytes()/bytes, element), bytes).At(at.product.w.ScaleOffset(0))
}

func (at panel) zero(step int, element ptx.Reg) ptx.Addr {
	return at.product.Index(at.base, at.product.Mad(at.group(step), zeroRow, element), 1).At(at.product.w.ZeroOffset(0))
}

func (at panel) tokenScales(block int) (scales []ptx.Reg) {
	for _, token := range at.tokens[block] {
		scales = append(scales, at.product.Ld(ptx.F32, at.product.Index(token, at.group(0), 4)))
	}
	return scales
}
