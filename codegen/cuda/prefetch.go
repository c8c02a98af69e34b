package cuda

import (
	"llmc/codegen/ptx"
)

const (
	// prefetchBytes is what a CTA fetches ahead at most: all CTAs together about what memory gives in the few microseconds of a wait, and a fraction
	// of the L2 cache.
	prefetchBytes = 64 << 10
	prefetchLine  = 128
)

// prefetchTile fetches weights that a CTA of linear reads first into the L2 cache, while it has to wait for its inputs, so that memory does not idle while
// tasks change. Each of its warps begins with a part of K of its own.
func prefetchTile(e *entry) {
	p := newProduct(e)
	part := p.w.KPad() / chunk / kParts * p.chunkBytes() // or a chunk more
	lines := min(prefetchBytes/(p.blocks*kParts), part) / prefetchLine
	if lines == 0 {
		return
	}
	first := p.Mul(p.CtaX(), p.blocks)
	p.For(ptx.Range{Name: "prefetch", From: p.TidX(), To: kParts * p.blocks * lines, Step: p.part.threads, NoUnroll: true}, func(i ptx.Reg) {
		row := p.Div(i, lines)
		part := p.Div(row, p.blocks)
		panel := p.Min(p.Add(first, p.Sub(row, p.Mul(part, p.blocks))), p.w.Panels()-1)
		start := p.Mul(p.partStart(part), p.chunkBytes())
		offset := p.Mad(p.Sub(i, p.Mul(row, lines)), prefetchLine, start)
		p.PrefetchL2(p.Index(p.Index(p.pointers["w"], panel, p.w.PanelBytes()), offset, 1))
	})
}
