package cuda

import (
	"unsafe"

	"llmc/codegen/ptx"
	"llmc/engine"
)

// edits are a row's entries of the step's array.
type edits struct {
	sampled
	logits, entries, undo ptx.Reg
}

func newEdits(e *entry) edits {
	s := newSampled(e, e.CtaX())
	return edits{s, e.row("logits", s.row), e.pointers["edits"], e.pointers["undo"]}
}

// each calls what for the entries between two fields of the row's record: with the address of the token's logit, that of its place in
// undo, and the entry's value. Then the CTA waits.
func (t *edits) each(name string, from, to uintptr, what func(logit, undo, value ptx.Reg)) {
	t.e.For(ptx.Range{Name: name, From: t.e.Add(t.field(ptx.U32, from), t.e.TidX()), To: t.field(ptx.U32, to), Step: editThreads}, func(i ptx.Reg) {
		entry := t.e.LdV(ptx.U32, 2, t.e.Index(t.entries, i, 8))
		what(t.e.Index(t.logits, entry[0], 4), t.e.Index(t.undo, i, 4), entry[1])
	})
	t.e.Sync()
}

const (
	biasField    = unsafe.Offsetof(engine.SampleRow{}.Bias)
	bannedField  = unsafe.Offsetof(engine.SampleRow{}.Banned)
	historyField = unsafe.Offsetof(engine.SampleRow{}.History)
)

// sampleEdit changes the logits of a row's edits where they are, in the order of engine.Sampling; penalties come on top when logits are read. Tokens that are banned may occur twice, so
// what they have is kept before any of them is changed.
func sampleEdit(e *entry) {
	t := newEdits(e)
	t.leaveUnless(t.wants(engine.SampleEdited))
	keep := func(logit, undo, _ ptx.Reg) { t.e.St(undo, t.e.Ld(ptx.F32, logit)) }
	t.each("bias", biasField, bannedField, func(logit, undo, value ptx.Reg) {
		v := t.e.Ld(ptx.F32, logit)
		t.e.St(undo, v)
		t.e.St(logit, t.e.Add(v, value.As(ptx.F32)))
	})
	t.each("kept", bannedField, historyField, keep)
	ruledOut := t.e.Const(ptx.F32, negInf)
	t.each("banned", bannedField, historyField, func(logit, _, _ ptx.Reg) { t.e.St(logit, ruledOut) })
}

// sampleFinish takes the edits back in the reverse order and looks up the raw logit of the row's token.
func sampleFinish(e *entry) {
	t := newEdits(e)
	t.leaveUnless(t.wants(engine.SampleEdited | engine.SampleLogprobs))
	restore := func(logit, undo, _ ptx.Reg) { t.e.St(logit, t.e.Ld(ptx.F32, undo)) }
	t.each("banned", bannedField, historyField, restore)
	t.each("bias", biasField, bannedField, restore)
	token := t.token()
	t.e.If(t.e.And(t.e.Eq(t.e.TidX(), 0), t.e.Lt(token, e.cols("logits"))), func() {
		logit := t.e.Ld(ptx.U32, t.e.Index(t.logits, token, 4))
		t.e.St(t.cell(engine.FoundLogit), t.e.Cvt(ptx.U64, logit))
	})
}

// token is what the row sampled, all ones if nothing.
func (s *sampled) token() ptx.Reg {
	raw, edited := s.e.Ld(ptx.U64, s.cell(engine.FoundBest)), s.e.Ld(ptx.U64, s.cell(engine.FoundEdited))
	best := s.e.Select(s.wants(engine.SampleChanged), edited, raw)
	inverted, _ := s.e.Unpack(ptx.U32, best)
	drawn, _ := s.e.Unpack(ptx.U32, s.e.Ld(ptx.U64, s.cell(engine.FoundToken)))
	token := s.e.Select(s.wants(engine.SampleDraws), drawn, s.e.Invert(inverted))
	return s.e.Select(s.e.And(s.e.choice(raw), s.e.choice(best)), token, int64(0xffffffff))
}
