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
	t.For(ptx.Range{Name: name, From: t.Add(t.field(ptx.U32, from), t.TidX()), To: t.field(ptx.U32, to), Step: editThreads}, func(i ptx.Reg) {
		entry := t.LdV(ptx.U32, 2, t.Index(t.entries, i, 8))
		what(t.Index(t.logits, entry[0], 4), t.Index(t.undo, i, 4), entry[1])
	})
	t.Sync()
}

const (
	biasField    = unsafe.Offsetof(engine.SampleRow{}.Bias)
	bannedField  = unsafe.Offsetof(engine.SampleRow{}.Banned)
	historyField = unsafe.Offsetof(engine.SampleRow{}.History)
	endField     = unsafe.Offsetof(engine.SampleRow{}.End)
)

// sampleEdit changes the logits of a row's edits where they are, in the order of engine.Sampling. Tokens that are banned may occur twice, so
// what they have is kept before any of them is changed.
func sampleEdit(e *entry) {
	t := newEdits(e)
	t.leaveUnless(t.wants(engine.SampleEdited))
	keep := func(logit, undo, _ ptx.Reg) { t.St(undo, t.Ld(ptx.F32, logit)) }
	t.each("bias", biasField, bannedField, func(logit, undo, value ptx.Reg) {
		v := t.Ld(ptx.F32, logit)
		t.St(undo, v)
		t.St(logit, t.Add(v, value.As(ptx.F32)))
	})
	t.each("kept", bannedField, historyField, keep)
	ruledOut := t.Const(ptx.F32, negInf)
	t.each("banned", bannedField, historyField, func(logit, _, _ ptx.Reg) { t.St(logit, ruledOut) })
	repetition := t.field(ptx.F32, unsafe.Offsetof(engine.SampleRow{}.Repetition))
	frequency := t.field(ptx.F32, unsafe.Offsetof(engine.SampleRow{}.Frequency))
	presence := t.field(ptx.F32, unsafe.Offsetof(engine.SampleRow{}.Presence))
	t.each("penalties", historyField, endField, func(logit, undo, outputs ptx.Reg) {
		old := t.Ld(ptx.F32, logit)
		t.St(undo, old)
		v := t.Select(t.Gt(old, 0.0), t.Div(old, repetition), t.Mul(old, repetition))
		lower := t.Sub(t.Sub(v, t.Mul(frequency, t.Cvt(ptx.F32, outputs))), presence)
		t.St(logit, t.Select(t.Ne(outputs, 0), lower, v))
	})
}

// sampleFinish takes the edits back in the reverse order and looks up the raw logit of the row's token.
func sampleFinish(e *entry) {
	t := newEdits(e)
	t.leaveUnless(t.wants(engine.SampleEdited | engine.SampleLogprobs))
	restore := func(logit, undo, _ ptx.Reg) { t.St(logit, t.Ld(ptx.F32, undo)) }
	t.each("penalties", historyField, endField, restore)
	t.each("banned", bannedField, historyField, restore)
	t.each("bias", biasField, bannedField, restore)
	token := t.token()
	t.If(t.And(t.Eq(t.TidX(), 0), t.Lt(token, e.cols("logits"))), func() {
		logit := t.Ld(ptx.U32, t.Index(t.logits, token, 4))
		t.St(t.cell(engine.FoundLogit), t.Cvt(ptx.U64, logit))
	})
}

// token is what the row sampled, all ones if nothing.
func (s *sampled) token() ptx.Reg {
	raw, edited := s.Ld(ptx.U64, s.cell(engine.FoundBest)), s.Ld(ptx.U64, s.cell(engine.FoundEdited))
	best := s.Select(s.wants(engine.SampleEdited|engine.SampleMasked), edited, raw)
	inverted, _ := s.Unpack(ptx.U32, best)
	drawn, _ := s.Unpack(ptx.U32, s.Ld(ptx.U64, s.cell(engine.FoundToken)))
	token := s.Select(s.wants(engine.SampleDraws), drawn, s.Invert(inverted))
	return s.Select(s.And(s.choice(raw), s.choice(best)), token, int64(0xffffffff))
}
