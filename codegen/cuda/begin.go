package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
)

// beginThreads are all that begin a step: one CTA, since no cell may be cleared before all have been read.
const beginThreads = 256

// beginStep puts tokens in place of ids that stand for what the step before sampled, and clears the cells in which this step answers.
//
//	id < 0: id = token(found[-1-id]) min vocab-1
//	found[0 .. rows*FoundCells) = 0
func beginStep(c *Coder, name string) engine.Code {
	b := c.module.Kernel(name, ptx.Launch{Threads: beginThreads})
	b.Section("parameters")
	ids, found := b.Pointer("ids", 4), b.Pointer("found", 8)
	tokens, rows, vocab := b.Uint("tokens"), b.Uint("rows"), b.Uint("vocab")
	b.Section("tokens of the step before")
	each := func(name string, count ptx.Reg, body func(i ptx.Reg)) {
		b.For(ptx.Range{Name: name, From: b.TidX(), To: count, Step: beginThreads}, body)
	}
	each("ids", tokens, func(i ptx.Reg) {
		at := b.Index(ids, i, 4)
		id := b.Ld(ptx.S32, at)
		b.If(b.Lt(id, 0), func() {
			b.St(at, sampledToken(b, found, b.Sub(-1, id).As(ptx.U32), vocab))
		})
	})
	b.Sync()
	b.Section("cells")
	each("cells", b.Mul(rows, engine.FoundCells), func(i ptx.Reg) { b.St(b.Index(found, i, 8), b.Const(ptx.U64, 0)) })
	return engine.Code{Entry: name, Threads: beginThreads, Grid: grid(engine.Extent{Of: constant(1), Per: 1})}
}
