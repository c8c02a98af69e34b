package cuda

import (
	"llmc/codegen/ptx"
)

// copier is what a thread copies of every chunk. Warp v has panel v % panels of the CTA; where there are more warps than panels, two share the
// fragments of one.
type copier struct {
	multistage *multistage
	tokenShare
	exist   []ptx.Reg // there are its tokens
	place   ptx.Reg   // of the thread's unit of its first token in a tile
	from    ptx.Reg   // the lane's first fragment of the panel
	to      ptx.Reg   // where that goes in a stage
	idle    ptx.Reg   // the warp has none; no register: all have
	weights groupCopy // scales and zero points
	columns groupCopy // scales of tokens
}

// groupCopy is what a thread copies of every group of k: nothing where it has no register.
type groupCopy struct {
	from   ptx.Reg     // of group 0
	next   ptx.Operand // bytes from one group to the next
	to     ptx.Reg     // where it goes in a stage
	wanted ptx.Reg
	bytes  int
	size   ptx.Operand // bytes that are read
}

func (m *multistage) newCopier() copier {
	c := copier{multistage: m}
	warp, lane := m.Warp(), m.Lane()
	number := m.And(warp, m.panels-1)
	panel := m.Index(m.pointers["w"], m.Min(m.Mad(m.CtaY(), m.panels, number), m.w.Panels()-1), m.w.PanelBytes())
	first := m.Mad(m.Shr(warp, log2(m.panels)), fragmentBytes, m.Shl(lane, 4))
	c.from = m.Index(panel, first, 1)
	c.to = m.Mad(number, m.chunkBytes(), m.Add(first, m.tokenBytes))
	if m.sharing() > m.chunkBytes()/fragmentBytes {
		c.idle = m.Ge(warp, m.panels)
	}
	token := m.Mul(m.CtaX(), m.tokens)
	c.tokenShare = m.newTokenShare("x", token, m.TidX(), multistageThreads, m.chunkRow/16, 16)
	c.place = m.swizzled(c.row, c.unit)
	for n := 0; n < m.tokens; n += c.apart {
		c.exist = append(c.exist, m.there(c.tokenShare, n))
	}
	if m.groups > 0 {
		c.weights = m.copyOfScales(panel, warp, lane)
		c.columns = m.copyOfTokenScales(token)
	}
	return c
}

// sharing is how many warps have the same panel.
func (m *multistage) sharing() int { return multistageWarps / m.panels }

// copyOfScales gives the scales of a panel, and then its zero points, to lanes of the warp that has its number, 16 bytes to each.
func (m *multistage) copyOfScales(panel, warp, lane ptx.Reg) groupCopy {
	lanes := m.groups * m.w.GroupBytes() / 16
	choose := func(scale, zero int) ptx.Reg {
		if !m.w.Zeros {
			return m.Const(ptx.U32, scale)
		}
		return m.Select(m.Lt(lane, lanes), m.Const(ptx.U32, scale), m.Const(ptx.U32, zero))
	}
	place := m.Shl(lane, 4)
	g := groupCopy{bytes: 16, size: 16, next: choose(m.w.GroupBytes(), zeroRow)}
	g.from = m.Index(panel, m.Add(place, choose(m.w.ScaleOffset(0), m.w.ZeroOffset(0)-16*lanes)), 1)
	g.to = m.Mad(warp, choose(m.groups*m.w.GroupBytes(), m.groups*zeroRow), m.Add(place, choose(m.scalesAt, m.zerosAt-16*lanes)))
	g.to = m.Add(g.to, m.tokenBytes)
	if m.w.Zeros {
		lanes += m.groups
	}
	g.wanted = m.CmpAnd(ptx.LT, lane, lanes, m.Lt(warp, m.panels))
	return g
}

// copyOfTokenScales gives a token to a thread.
func (m *multistage) copyOfTokenScales(first ptx.Reg) groupCopy {
	if !m.coded() {
		return groupCopy{}
	}
	thread := m.TidX()
	token := m.Add(first, thread)
	g := groupCopy{bytes: 4, next: 4, wanted: m.Lt(thread, m.tokens)}
	g.from = m.Index(m.row("x", token), m.codes().ScaleOffset(), 1)
	g.to = m.Mad(thread, 4, m.tokenBytes+m.tokensAt)
	g.size = m.sizeIf(m.Lt(token, m.rows("x")), 4)
	return g
}

// first starts the copies of all stages but one.
func (c *copier) first() {
	c.multistage.Section("first stages")
	for s := range c.multistage.stages - 1 {
		if s < c.multistage.chunks() {
			c.copy(c.multistage.Const(ptx.U32, s), c.multistage.Add(c.multistage.read, s*c.multistage.bytes))
		}
		c.multistage.CopyCommit()
	}
}

// copy starts the thread's copies of a chunk to a stage. Rows of x are padded with zeros to a multiple of 64 columns, so whole chunks are read; tokens
// behind the last one become zeros.
func (c *copier) copy(number, stage ptx.Reg) {
	to, from := c.multistage.Add(stage, c.place), c.multistage.Index(c.source, number, c.multistage.chunkRow)
	for i, exists := range c.exist {
		n := i * c.apart
		c.multistage.CopyAsyncZero(to.At(n*c.multistage.chunkRow), from.At(n*int(c.multistage.buffer("x").Stride)), 16, c.multistage.sizeIf(exists, 16))
	}
	b := c.multistage.Builder
	words, panel := b.Add(stage, c.to), b.Index(c.from, number, c.multistage.chunkBytes())
	if c.idle != (ptx.Reg{}) {
		b = b.When(c.idle.Not())
	}
	for at := 0; at < c.multistage.chunkBytes(); at += c.multistage.sharing() * fragmentBytes {
		b.CopyAsync(words.At(at), panel.At(at), 16)
	}
	c.copyGroup(c.weights, number, stage)
	c.copyGroup(c.columns, number, stage)
}

// copyGroup starts the copy of what the chunk's groups have; those of a chunk with two follow each other.
func (c *copier) copyGroup(g groupCopy, number, stage ptx.Reg) {
	if g.bytes == 0 {
		return
	}
	group := number
	switch {
	case c.multistage.w.Group > chunk:
		group = c.multistage.Shr(number, log2(c.multistage.w.Group/chunk))
	case c.multistage.groups > 1:
		group = c.multistage.Mul(number, c.multistage.groups)
	}
	from := c.multistage.Index(g.from, c.multistage.Mul(group, g.next), 1)
	c.multistage.When(g.wanted).CopyAsyncZero(c.multistage.Add(stage, g.to), from, g.bytes, g.size)
}

// swizzled is where a unit of 16 bytes of a token lies in a tile. Eight rows that ldmatrix reads have their units in different banks; so have four
// rows of which each four lanes read 32 bytes.
func (m *multistage) swizzled(row, unit ptx.Reg) ptx.Reg {
	if m.apartPairs() {
		unit = m.Xor(unit, m.Shl(m.And(row, 3), 1))
		return m.Mad(row, m.chunkRow, m.Shl(unit, 4))
	}
	pattern := ptx.Swizzle128
	if m.chunkRow == ptx.Swizzle64.Width() {
		pattern = ptx.Swizzle64
	}
	return m.Swizzled(pattern, m.Mad(row, m.chunkRow, m.Shl(unit, 4)))
}
