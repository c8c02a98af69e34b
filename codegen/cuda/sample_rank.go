package cuda

import (
	"unsafe"

	"llmc/codegen/ptx"
	"llmc/engine"
)

// ranking has a histogram of a row, and a window of its classes whose tokens it holds in order. Tokens are words that sort from the most to the
// least likely, equal ones by id: the inverted key above the id.
type ranking struct {
	*sampled
	finder
	masses     masses
	logit      func(id ptx.Reg) ptx.Reg
	hist, bins ptx.Reg
	// In shared memory. A narrowed window's masses and counts by digit take the list's place and one of their own.
	list, counter, digits ptx.Reg

	// The window: the tokens of classes lo to hi whose words are from base to base+span, size of them, before which are so many tokens and so
	// much mass. They are registers that change.
	lo, hi, size            ptx.Reg
	base, span, count, mass ptx.Reg
}

func newRanking(s *sampled, m masses, logit func(id ptx.Reg) ptx.Reg) *ranking {
	r := &ranking{sampled: s, finder: newFinder(s.e), masses: m, logit: logit}
	r.hist, r.bins = s.e.row("hist", s.row), s.e.row("bins", s.row)
	e := s.e
	r.list = e.Addr(e.Static("list", 8*samplePart, 16))
	r.counter = e.Addr(e.Static("counter", 4, 4))
	r.digits = e.Addr(e.Static("digits", 4*samplePart, 16))
	uniform := func(t ptx.Type, v int) ptx.Reg { return e.Assume(ptx.CTAUniform, e.Const(t, v)) }
	r.lo, r.hi, r.size = uniform(ptx.U32, 1), uniform(ptx.U32, 0), uniform(ptx.U32, 0) // empty
	r.base, r.span = uniform(ptx.U64, 0), uniform(ptx.U64, everyWord)
	r.count, r.mass = uniform(ptx.U64, 0), uniform(ptx.U64, 0)
	return r
}

// everyWord is the span of a window that leaves out no token of its classes.
const everyWord = -1

// binMass and binCount read the histogram.
func (r *ranking) binMass(i ptx.Reg) ptx.Reg {
	return r.sampled.e.Ld(ptx.U64, r.sampled.e.Index(r.hist, i, 8))
}

func (r *ranking) binCount(i ptx.Reg) ptx.Reg {
	return r.sampled.e.Ld(ptx.U64, r.sampled.e.Index(r.hist, i, 8).At(8*engine.SampleBins))
}

// load makes class bin the window's last, before which are count tokens of so much mass. If the window can begin at the first class it does:
// all that is asked later lies before. Of a class with more tokens than the list can hold, the window has the part where the target is.
func (r *ranking) load(bin, count, mass, counts, target ptx.Reg) {
	e := r.sampled.e
	all := e.Add(count, r.binCount(bin))
	fromFirst := e.Le(all, samplePart)
	e.Into(r.lo).Select(fromFirst, 0, bin)
	e.Set(r.hi, bin)
	e.Set(r.base, 0)
	e.Set(r.span, everyWord)
	e.Into(r.count).Select(fromFirst, 0, count)
	e.Into(r.mass).Select(fromFirst, 0, mass)
	size := e.Assume(ptx.CTAUniform, e.Sub(all, r.count))
	e.If(e.Gt(size, samplePart), func() { r.narrow(size, counts, target) })
	e.Into(r.size).Cvt(ptx.U32, size)
	r.collect()
}

// digitBits are the bits of a word that one round of narrow looks at.
const digitBits = 11

// narrow cuts the window down to words that begin alike until there is room for them, digit by digit. Words differ, so that an end is certain.
func (r *ranking) narrow(size, counts, target ptx.Reg) {
	e := r.sampled.e
	width := e.Assume(ptx.CTAUniform, e.Const(ptx.U32, 64))
	e.DoWhile("digits", func() ptx.Reg {
		e.Into(width).Sub(width, digitBits)
		e.For(ptx.Range{Name: "clear", From: e.TidX(), To: samplePart, Step: e.threads}, func(i ptx.Reg) {
			e.St(e.Index(r.list, i, 8), e.Const(ptx.U64, 0))
			e.St(e.Index(r.digits, i, 4), e.Const(ptx.U32, 0))
		})
		e.Sync()
		r.each(func(word, logit ptx.Reg) {
			digit := e.Cvt(ptx.U32, e.Shr(e.Sub(word, r.base), width))
			mass, _ := r.masses.of(r.masses.gap(logit))
			e.RedAdd(ptx.RelaxedInCTA, e.Index(r.list, digit, 8), mass)
			e.RedAdd(ptx.RelaxedInCTA, e.Index(r.digits, digit, 4), 1)
		})
		e.Sync()
		tokens := func(i ptx.Reg) ptx.Reg { return e.Cvt(ptx.U64, e.Ld(ptx.U32, e.Index(r.digits, i, 4))) }
		mass, count := r.quad(func(i ptx.Reg) ptx.Reg { return e.Ld(ptx.U64, e.Index(r.list, i, 8)) }), r.quad(tokens)
		sequence := choose(e, counts, count, mass)
		before, _ := r.prefix(sequence, count, mass)
		digit, sums := r.cross(e.Sub(target, e.Select(counts, r.count, r.mass)), before, sequence, count, mass)
		e.Into(size).Mov(tokens(e.Min(digit, samplePart-1)))
		e.Into(r.count).Add(r.count, sums[1])
		e.Into(r.mass).Add(r.mass, sums[2])
		e.Into(r.base).Add(r.base, e.Shl(e.Cvt(ptx.U64, digit), width))
		e.Into(r.span).Sub(e.Shl(e.Const(ptx.U64, 1), width), 1)
		e.Sync()
		return e.Gt(size, samplePart)
	})
}

// each calls what for the words of the window's tokens and their logits, in no order.
func (r *ranking) each(what func(word, logit ptx.Reg)) {
	e := r.sampled.e
	columns := e.cols("bins")
	classes := e.Sub(r.hi, r.lo)
	e.For(ptx.Range{Name: "classes", From: e.TidX(), To: (columns + 7) / 8, Step: e.threads, NoUnroll: true}, func(i ptx.Reg) {
		first := e.Shl(i, 3)
		for w, pair := range e.LdV(ptx.U32, 4, e.Index(r.bins, i, 16)) {
			for half, bin := range []ptx.Reg{e.And(pair, 0xffff), e.Shr(pair, 16)} {
				id := e.Add(first, 2*w+half)
				e.If(e.CmpAnd(ptx.LE, e.Sub(bin, r.lo), classes, e.Lt(id, columns)), func() {
					logit := r.logit(id)
					word := e.Pack(ptx.U64, id, e.Invert(e.logitKey(logit)))
					e.If(e.Le(e.Sub(word, r.base), r.span), func() { what(word, logit) })
				})
			}
		}
	})
}

// collect fills the list with the window's tokens and sorts them.
func (r *ranking) collect() {
	e := r.sampled.e
	e.When(e.Eq(e.TidX(), 0)).St(r.counter, e.Const(ptx.U32, 0))
	// The power of two that the sort takes.
	rounded := e.Assume(ptx.CTAUniform, e.Max(e.Shl(e.Const(ptx.U32, 1), e.Sub(e.Const(ptx.U32, 32), e.Clz(e.Sub(r.size, 1)))), 2))
	last := e.Const(ptx.U64, int64(-1))
	e.For(ptx.Range{Name: "fill", From: e.TidX(), To: rounded, Step: e.threads}, func(i ptx.Reg) { e.St(e.Index(r.list, i, 8), last) })
	e.Sync()
	r.each(func(word, _ ptx.Reg) {
		e.St(e.Index(r.list, e.AtomAdd(ptx.RelaxedInCTA, r.counter, 1), 8), word)
	})
	e.Sync()
	e.sort(r.list, rounded)
}

// massAt is the mass of a place of the list, none behind its end.
func (r *ranking) massAt(i ptx.Reg) ptx.Reg {
	e := r.sampled.e
	_, inverted := e.Unpack(ptx.U32, e.Ld(ptx.U64, e.Index(r.list, i, 8)))
	v := e.Select(e.Lt(i, r.size), e.keyLogit(e.Invert(inverted)), negInf)
	mass, _ := r.masses.of(r.masses.gap(v))
	return mass
}

// find looks for the first token, the most likely first, at which the running count of tokens or, unless counts, the running mass exceeds target.
// It calls found with the token's word and the mass up to and with it, if there is one.
func (r *ranking) find(counts, target ptx.Reg, found func(word, mass ptx.Reg)) {
	e := r.sampled.e
	mass, count := r.quad(r.binMass), r.quad(r.binCount)
	sequence := choose(e, counts, count, mass)
	before, _ := r.prefix(sequence, count, mass)
	bin, sums := r.cross(target, before, sequence, count, mass)
	e.If(e.Ne(bin, samplePart), func() {
		e.If(e.Or(e.Lt(bin, r.lo), e.Gt(bin, r.hi)), func() { r.load(bin, sums[1], sums[2], counts, target) })
		within := e.Sub(target, e.Select(counts, r.count, r.mass))
		listed := r.quad(r.massAt)
		ones := r.quad(func(i ptx.Reg) ptx.Reg { return e.Select(e.Lt(i, r.size), e.Const(ptx.U64, 1), 0) })
		sequence := choose(e, counts, ones, listed)
		before, _ := r.prefix(sequence, listed)
		i, sums := r.cross(within, before, sequence, listed)
		i = e.Min(i, samplePart-1)
		found(e.Ld(ptx.U64, e.Index(r.list, i, 8)), e.Add(e.Add(r.mass, sums[1]), r.massAt(i)))
		e.If(e.Ne(r.span, everyWord), func() { // of no use for another target
			e.Set(r.lo, 1)
			e.Set(r.hi, 0)
		})
		e.Sync()
	})
}

func choose(e *entry, p ptx.Reg, x, y four) (v four) {
	for j := range v {
		v[j] = e.Select(p, x[j], y[j])
	}
	return v
}

// sampleRank lists the most likely tokens under the raw logits.
func sampleRank(e *entry) {
	s := newSampled(e, e.CtaX())
	s.leaveUnless(s.wants(engine.SampleAlternatives))
	best := s.best()
	s.leaveUnless(s.e.choice(best))
	r := newRanking(&s, newMasses(&s, best), s.rawLogits())
	wanted := e.Cvt(ptx.U64, s.field(ptx.U32, unsafe.Offsetof(engine.SampleRow{}.Alternatives)))
	_, total := r.prefix(r.quad(r.binCount))
	n := e.Min(wanted, total[0])
	last := e.Assume(ptx.CTAUniform, e.Const(ptx.U64, 0))
	always := e.Eq(e.Const(ptx.U32, 0), 0)
	r.find(always, e.Sub(n, 1), func(word, _ ptx.Reg) { e.Set(last, word) })
	e.If(e.Ne(r.lo, 0), func() { // the list has not all before the last one
		e.Set(r.lo, 0)
		e.Set(r.hi, engine.SampleBins-1)
		e.Set(r.base, 0)
		e.Set(r.span, last)
		e.Into(r.size).Cvt(ptx.U32, n)
		r.collect()
	})
	i := e.TidX()
	alternatives := s.e.row("alternatives", s.row)
	e.If(e.Lt(e.Cvt(ptx.U64, i), n), func() { e.St(e.Index(alternatives, i, 8), e.Ld(ptx.U64, e.Index(r.list, i, 8))) })
	e.When(e.Eq(i, 0)).St(s.cell(engine.FoundCount), n)
}
