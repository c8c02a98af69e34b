package cuda

import (
	"unsafe"

	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/sym"
)

// rawLogits reads the row's logits as they are.
func (s *sampled) rawLogits() func(id ptx.Reg) ptx.Reg {
	row := s.e.row("logits", s.row)
	return func(id ptx.Reg) ptx.Reg { return s.e.Ld(ptx.F32, s.e.Index(row, id, 4)) }
}

// penalizedLogits reads them with penalties.
func (s *sampled) penalizedLogits() func(id ptx.Reg) ptx.Reg {
	raw, penalize := s.rawLogits(), s.penalties()
	return func(id ptx.Reg) ptx.Reg {
		v := raw(id)
		penalize(id, v)
		return v
	}
}

// penalties lowers the logit of a token, in its register, if the row has penalties and the token has been seen: in the order of operations of
// runtime/sample.
func (s *sampled) penalties() func(id, logit ptx.Reg) {
	e := s.e
	penalized := s.wants(engine.SampleSeen)
	counts := e.Index(e.pointers["seen"], s.field(ptx.U32, seenField), 4*e.cols("logits"))
	repetition := s.field(ptx.F32, unsafe.Offsetof(engine.SampleRow{}.Repetition))
	frequency := s.field(ptx.F32, unsafe.Offsetof(engine.SampleRow{}.Frequency))
	presence := s.field(ptx.F32, unsafe.Offsetof(engine.SampleRow{}.Presence))
	return func(id, logit ptx.Reg) {
		e.If(penalized, func() {
			count := e.Ld(ptx.U32, e.Index(counts, id, 4))
			outputs := e.Shr(count, log2(engine.SeenOutput))
			v := e.Select(e.Gt(logit, 0.0), e.Div(logit, repetition), e.Mul(logit, repetition))
			lower := e.Sub(e.Sub(v, e.Mul(frequency, e.Cvt(ptx.F32, outputs))), presence)
			v = e.Select(e.Ne(outputs, 0), lower, v)
			e.Into(logit).Select(e.Ne(count, 0), v, logit)
		})
	}
}

const seenField = unsafe.Offsetof(engine.SampleRow{}.Seen)

// countThreads of a CTA have an entry each.
const countThreads = 128

// countTokens adds tokens to the counts of rows: seen[row][token] += SeenOutput, or |= SeenPrompt. Entries may name a token more than once.
func countTokens(c *Coder, name string) engine.Code {
	b := c.module.Kernel(name, ptx.Launch{Threads: countThreads})
	b.Section("parameters")
	seen, found, list := b.Pointer("seen", 4), b.Pointer("found", 8), b.Pointer("list", 8)
	count, vocab := b.Uint("count"), b.Uint("vocab")
	i := b.Mad(b.CtaX(), countThreads, b.TidX())
	b.If(b.Ge(i, count), b.Return)
	b.Section("token")
	entry := b.LdV(ptx.U32, 2, b.Index(list, i, 8))
	token := entry[1]
	b.If(b.Lt(token.As(ptx.S32), 0), func() { b.Set(token, sampledToken(b, found, b.Sub(-1, token.As(ptx.S32)).As(ptx.U32), vocab)) })
	b.Section("count")
	row := b.Mul(b.Cvt(ptx.U64, b.Shr(entry[0], 1)), b.Mul(b.Cvt(ptx.U64, vocab), 4))
	at := b.Index(b.Add(seen, row), token, 4)
	b.IfElse(b.Ne(b.And(entry[0], 1), 0),
		func() { b.RedOr(ptx.Relaxed, at, b.Const(ptx.B32, engine.SeenPrompt)) },
		func() { b.RedAdd(ptx.Relaxed, at, b.Const(ptx.U32, engine.SeenOutput)) })
	return engine.Code{Entry: name, Threads: countThreads, Grid: grid(engine.Extent{Of: sym.Of(sym.T), Per: countThreads})}
}

// sampledToken is the token in a cell of the buffer found. A row may have sampled nothing: what follows is not looked at, but must be a token.
func sampledToken(b *ptx.Builder, found, cell, vocab ptx.Reg) ptx.Reg {
	low, _ := b.Unpack(ptx.U32, b.Ld(ptx.U64, b.Index(found, cell, 8)))
	drawn := b.Eq(b.And(cell, engine.FoundCells-1), engine.FoundToken)
	return b.Min(b.Select(drawn, low, b.Invert(low)), b.Sub(vocab, 1))
}
