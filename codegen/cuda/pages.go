package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/sym"
)

const (
	copyThreads = 128
	copyParts   = 8  // CTAs that share a page
	copyBytes   = 16 // of a thread at a time
)

// copyPages copies whole pages of the KV pool, as they are: every CTA takes each copyParts-th piece of one page of the list.
func copyPages(c *Coder, name string) engine.Code {
	b := c.module.Kernel(name, ptx.Launch{Threads: copyThreads})
	b.Section("parameters")
	pool, list := b.Pointer("pool", copyBytes), b.Pointer("pages", 8)
	b.Uint("count") // what the grid has in x
	pageBytes := b.Uint64("page_bytes")
	b.Section("addresses")
	pair := b.LdV(ptx.U32, 2, b.Index(list, b.CtaX(), 8))
	page := func(i int) ptx.Reg { return b.Add(pool, b.Mul(b.Cvt(ptx.U64, pair[i]), pageBytes)) }
	from, to := page(0), page(1)
	first := b.Shl(b.Mad(b.CtaY(), copyThreads, b.TidX()), 4)
	b.Section("bytes")
	b.For(ptx.Range{Name: "bytes", From: b.Cvt(ptx.U64, first), To: pageBytes, Step: copyParts * copyThreads * copyBytes}, func(i ptx.Reg) {
		b.StV(b.Index(to, i, 1), b.LdV(ptx.B32, 4, b.Index(from, i, 1)))
	})
	return engine.Code{Entry: name, Threads: copyThreads, Grid: grid(engine.Extent{Of: sym.Of(sym.T), Per: 1}, engine.Extent{Of: constant(copyParts), Per: 1})}
}
