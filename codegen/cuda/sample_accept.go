package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
)

// accept verifies drafts, as runtime/sample does: the thread of a chain's first row counts the rows that sampled their draft.
func accept(e *entry) {
	row := e.Mad(e.CtaX(), acceptThreads, e.TidX())
	e.If(e.Ge(row, e.r), e.Return)
	drafts := e.pointers["drafts"]
	draft := func(row ptx.Reg) ptx.Reg { return e.Ld(ptx.S32, e.Index(drafts, row, 4)) }
	before := e.Const(ptx.S32, -1)
	e.If(e.Gt(row, 0), func() { e.Into(before).Ld(ptx.S32, e.Index(drafts, e.Sub(row, 1), 4)) })
	e.If(e.Ge(before, 0), e.Return) // within a chain
	at, next := e.Mov(row), e.Reg(ptx.U32)
	e.Loop("chain", func(l *ptx.Loop) {
		s := sampledAt(e, at)
		e.Set(next, s.token())
		want := draft(at)
		l.BreakIf(e.Lt(want, 0))
		l.BreakIf(e.Ne(next, want.As(ptx.U32)))
		e.Into(at).Add(at, 1)
		l.BreakIf(e.Ge(at, e.r))
	})
	s := sampledAt(e, row)
	e.St(s.cell(engine.FoundAccepted), e.Cvt(ptx.U64, e.Sub(at, row)))
	e.St(s.cell(engine.FoundNext), e.Cvt(ptx.U64, next))
}
