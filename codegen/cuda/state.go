package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// recurrence is what kernels share that move the states of sequences on. CTA (b, j) has some channels of sequence b, of which no other CTA reads or writes
// the state, and takes the sequence's tokens in:
//
//	page of position-1 | token first | .. | last one of its page | .. | last one of the step
//	state that is read |             |    | state that is left   | .. | state that is left
//
// A state may be read from the page that it is left in: whoever writes one has read before.
type recurrence struct {
	e        *entry
	state    layout.State
	row      int     // of the states, the first one that moves
	first    ptx.Reg // row of the sequence's first token; any row where there is none
	count    ptx.Reg // its tokens of the step: none in sequences of padding
	position ptx.Reg // of the first token, 0 where there is none
}

// newRecurrence finds the CTA's sequence. Of states those rows move that are earlier inputs, or the others.
func newRecurrence(e *entry, inputs bool) *recurrence {
	c := e.program.Caches[e.kernel.Operand(e.launch, "cache").Index]
	state, err := c.State()
	if err != nil {
		panic("cuda: " + err.Error()) // the layout of the cache was checked when it was declared
	}
	r := &recurrence{e: e, state: state}
	if !inputs {
		r.row = c.Rank
	}
	e.Section("sequence")
	starts := e.Index(e.pointers["seq_start"], e.CtaX(), 4)
	start := e.Ld(ptx.U32, starts)
	r.count = e.Assume(ptx.CTAUniform, e.Sub(e.Ld(ptx.U32, starts.At(4)), start))
	some := e.Gt(r.count, 0)
	r.first = e.Assume(ptx.CTAUniform, e.Select(some, start, 0))
	position := e.Ld(ptx.U32, e.Index(e.pointers["positions"], r.first, 4))
	r.position = e.Assume(ptx.CTAUniform, e.Select(some, position, 0))
	return r
}

// rowBytes is the distance from a row of a state to the next one of the same channels.
const stateRowBytes = 4 * layout.StateLanes

// at is where a channel's first row that moves lies in a page.
func (r *recurrence) at(page, channel ptx.Reg) ptx.Reg {
	e := r.e
	block := e.Mul(e.Shr(channel, log2(layout.StateLanes)), r.state.Rows*layout.StateLanes)
	lane := e.And(channel, layout.StateLanes-1)
	return e.Index(page, e.Add(e.Add(block, lane), r.row*layout.StateLanes), 4)
}

// before is where a channel's state before the first token lies, if has holds: position 0 finds zeros.
func (r *recurrence) before(channel ptx.Reg) (at, has ptx.Reg) {
	e := r.e
	has = e.Gt(r.position, 0)
	page := e.mutable(ptx.U32, 0)
	e.If(has, func() {
		table := e.Ld(ptx.U32, e.Index(e.pointers["page_start"], e.CtaX(), 4))
		number := e.Add(table, e.Div(e.Sub(r.position, 1), e.pageSize))
		e.Set(page, e.Ld(ptx.U32, e.Index(e.pointers["pages"], number, 4)))
	})
	return r.at(e.kvPage(page), channel), has
}

// leave calls then with where a channel's state goes behind the sequence's token of number into, if the token has a slot.
func (r *recurrence) leave(into, channel ptx.Reg, then func(at ptx.Reg)) {
	e := r.e
	slot := e.Ld(ptx.S32, e.Index(e.pointers["slots"], e.Add(r.first, into), 4))
	e.If(e.Ge(slot, 0), func() {
		then(r.at(e.kvPage(e.Div(slot.As(ptx.U32), e.pageSize)), channel))
	})
}

// column is the address of a channel in the row of the sequence's first token of an activation.
func (r *recurrence) column(role string, channel ptx.Reg) ptx.Reg {
	return r.e.Index(r.e.row(role, r.first), channel, 4)
}

// stride is the distance from a token's row of an activation to the next.
func (e *entry) stride(role string) int { return int(e.buffer(role).Stride) }
