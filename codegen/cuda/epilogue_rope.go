package cuda

import (
	"llmc/codegen/ptx"
	"llmc/ir"
)

// turnsThreads work on the angles of one token.
const turnsThreads = 64

// ropeTurns writes the cosines and sines of a token's angles, one CTA for each: position * inv_freq, a product of f32 numbers as models are trained
// with.
func ropeTurns(e *entry) {
	token := e.CtaX()
	position := e.Cvt(ptx.F32, e.Ld(ptx.S32, e.Index(e.pointers["positions"], token, 4)))
	out := e.row("y", token)
	e.For(ptx.Range{Name: "pairs", From: e.TidX(), To: e.cols("y") / 2, Step: e.threads}, func(i ptx.Reg) {
		frequency := e.Ld(ptx.F32, e.Index(e.pointers["inv_freq"], i, 4))
		cos, sin := e.turns(position, frequency)
		e.StV(e.Index(out, i, 8), []ptx.Reg{cos, sin})
	})
}

// turned is what a thread's outputs row and row+8 are: channels of a head of queries, keys or values.
type turned struct {
	head     ptx.Reg    // among all
	pair     ptx.Reg    // number of the pair that the two are, if they turn
	turns    ptx.Reg    // whether they do
	channels [2]ptx.Reg // of the head
}

// turned finds the outputs of a row: pairs that turn lie in panels of eight, ir.TurnBlock rows apart.
func (r *rope) turned(row ptx.Reg) turned {
	t := turned{head: r.e.Div(row, r.dim)}
	within := r.e.Sub(row, r.e.Mul(t.head, r.dim))
	t.turns = r.e.CmpAnd(ptx.LT, within, r.rotary, r.e.Lt(t.head, r.heads+r.kvHeads))
	t.pair = r.e.Add(r.e.Mul(r.e.Shr(within, log2(2*ir.TurnBlock)), ir.TurnBlock), r.e.And(within, ir.TurnBlock-1))
	t.channels[0] = r.e.Select(t.turns, t.pair, within)
	t.channels[1] = r.e.Add(t.channels[0], r.e.Select(t.turns, r.e.Const(ptx.U32, r.rotary/2), 8))
	return t
}

// storeTurned turns pairs of channels of queries and keys, writes queries to y and keys and values to the cache.
func (p *product) storeTurned(at resultPlace, results []tokenResult) {
	r := newRope(p.entry)
	t := r.turned(at.row)
	turns := p.Index(p.row("turns", at.token), t.pair, 8)
	for _, result := range results {
		turn := p.When(p.And(p.exists(at, result.n), t.turns))
		angle := []ptx.Reg{p.Const(ptx.F32, 1), p.Const(ptx.F32, 0)}
		turn.Into(angle...).LdV(ptx.F32, 2, turns.At(result.n*int(p.buffer("turns").Stride)))
		a, b := result.v[0], result.v[1]
		first := p.Fma(a, angle[0], p.Neg(p.Mul(b, angle[1])))
		turn.Into(b).Fma(a, angle[1], p.Mul(b, angle[0]))
		turn.Into(a).Mov(first)
	}
	inside := p.Lt(at.row, p.w.N)
	p.IfElse(p.Lt(t.head, r.heads), func() {
		column := p.Mad(t.head, r.dim, t.channels[0])
		y := p.Index(p.row("y", at.token), column, 4)
		further := p.Index(y, p.Sub(t.channels[1], t.channels[0]), 4)
		for _, result := range results {
			exists := p.When(p.exists(at, result.n))
			offset := result.n * int(p.buffer("y").Stride)
			exists.St(y.At(offset), result.v[0])
			exists.St(further.At(offset), result.v[1])
		}
	}, func() {
		for _, result := range results {
			p.If(p.And(p.exists(at, result.n), inside), func() {
				r.storePair(p.Add(at.token, result.n), t, result.v)
			})
		}
	})
}

// storePair writes two channels of a key or a value to the token's slot, if it has one.
func (r *rope) storePair(token ptx.Reg, t turned, v [2]ptx.Reg) {
	r.atHead(token, t.head, func(place kvPlace) {
		for h := range v {
			r.e.storeKV(r.e.Builder, place, t.channels[h], v[h])
		}
	})
}
