package cuda

import (
	"unsafe"

	"llmc/codegen/ptx"
	"llmc/engine"
)

// ranking has a histogram of a row, and a window of its classes whose tokens it holds in order: the most likely first, equal ones by id.
type ranking struct {
	*sampled
	finder
	masses        masses
	hist, bins    ptx.Reg
	list, counter ptx.Reg // in shared memory

	// The window: classes lo to hi, with size tokens, before which are so many tokens and so much mass. They are registers that change.
	lo, hi, size, count, mass ptx.Reg
}

func newRanking(s *sampled, m masses) *ranking {
	r := &ranking{sampled: s, finder: newFinder(s.entry), masses: m}
	r.hist, r.bins = s.entry.row("hist", s.row), s.entry.row("bins", s.row)
	e := s.entry
	r.list = e.Addr(e.Static("list", 8*samplePart, 16))
	r.counter = e.Addr(e.Static("counter", 4, 4))
	uniform := func(t ptx.Type, v int) ptx.Reg { return e.Assume(ptx.CTAUniform, e.Const(t, v)) }
	r.lo, r.hi, r.size = uniform(ptx.U32, 1), uniform(ptx.U32, 0), uniform(ptx.U32, 0) // empty
	r.count, r.mass = uniform(ptx.U64, 0), uniform(ptx.U64, 0)
	return r
}

// binMass and binCount read the histogram.
func (r *ranking) binMass(i ptx.Reg) ptx.Reg {
	return r.sampled.Ld(ptx.U64, r.sampled.Index(r.hist, i, 8))
}

func (r *ranking) binCount(i ptx.Reg) ptx.Reg {
	return r.sampled.Ld(ptx.U64, r.sampled.Index(r.hist, i, 8).At(8*engine.SampleBins))
}

// load makes class bin the window's last, before which are count tokens of so much mass. If the window can begin at the first class it does:
// all that is asked later lies before. A class with more tokens than the list can hold ends the CTA with NoChoice in a cell.
func (r *ranking) load(bin, count, mass ptx.Reg, cell int) {
	e := r.sampled.entry
	all := e.Add(count, r.binCount(bin))
	fromFirst := e.Le(all, samplePart)
	e.Into(r.lo).Select(fromFirst, 0, bin)
	e.Set(r.hi, bin)
	e.Into(r.count).Select(fromFirst, 0, count)
	e.Into(r.mass).Select(fromFirst, 0, mass)
	size := e.Assume(ptx.CTAUniform, e.Sub(all, r.count))
	e.If(e.Gt(size, samplePart), func() {
		e.When(e.Eq(e.TidX(), 0)).St(r.cell(cell), e.Const(ptx.U64, int64(-1)))
		e.Return()
	})
	e.Into(r.size).Cvt(ptx.U32, size)
	r.collect()
}

// collect fills the list with the window's tokens.
func (r *ranking) collect() {
	e := r.sampled.entry
	e.When(e.Eq(e.TidX(), 0)).St(r.counter, e.Const(ptx.U32, 0))
	// The power of two that the sort takes.
	rounded := e.Assume(ptx.CTAUniform, e.Max(e.Shl(e.Const(ptx.U32, 1), e.Sub(e.Const(ptx.U32, 32), e.Clz(e.Sub(r.size, 1)))), 2))
	last := e.Const(ptx.U64, int64(-1))
	e.For(ptx.Range{Name: "fill", From: e.TidX(), To: rounded, Step: e.threads}, func(i ptx.Reg) { e.St(e.Index(r.list, i, 8), last) })
	e.Sync()
	columns := e.cols("bins")
	logits := e.row("logits", r.row)
	span := e.Sub(r.hi, r.lo)
	e.For(ptx.Range{Name: "classes", From: e.TidX(), To: (columns + 7) / 8, Step: e.threads, NoUnroll: true}, func(i ptx.Reg) {
		first := e.Shl(i, 3)
		for w, word := range e.LdV(ptx.U32, 4, e.Index(r.bins, i, 16)) {
			for half, bin := range []ptx.Reg{e.And(word, 0xffff), e.Shr(word, 16)} {
				id := e.Add(first, 2*w+half)
				e.If(e.CmpAnd(ptx.LE, e.Sub(bin, r.lo), span, e.Lt(id, columns)), func() {
					slot := e.AtomAdd(ptx.RelaxedInCTA, r.counter, 1)
					key := e.logitKey(e.Ld(ptx.F32, e.Index(logits, id, 4)))
					e.St(e.Index(r.list, slot, 8), e.Pack(ptx.U64, id, e.Invert(key)))
				})
			}
		}
	})
	e.Sync()
	e.sort(r.list, rounded)
}

// massAt is the mass of a place of the list, none behind its end.
func (r *ranking) massAt(i ptx.Reg) ptx.Reg {
	e := r.sampled.entry
	_, inverted := e.Unpack(ptx.U32, e.Ld(ptx.U64, e.Index(r.list, i, 8)))
	v := e.Select(e.Lt(i, r.size), e.keyLogit(e.Invert(inverted)), negInf)
	mass, _ := r.masses.of(r.masses.gap(v))
	return mass
}

// find looks for the first token, the most likely first, at which the running count of tokens or, unless counts, the running mass exceeds target.
// It calls found with the token and the mass up to and with it, if there is one.
func (r *ranking) find(counts, target ptx.Reg, cell int, found func(token, mass ptx.Reg)) {
	e := r.sampled.entry
	mass, count := r.quad(r.binMass), r.quad(r.binCount)
	sequence := choose(e, counts, count, mass)
	before, _ := r.prefix(sequence, count, mass)
	bin, sums := r.cross(target, before, sequence, count, mass)
	e.If(e.Ne(bin, samplePart), func() {
		e.If(e.Or(e.Lt(bin, r.lo), e.Gt(bin, r.hi)), func() { r.load(bin, sums[1], sums[2], cell) })
		within := e.Sub(target, e.Select(counts, r.count, r.mass))
		listed := r.quad(r.massAt)
		ones := r.quad(func(i ptx.Reg) ptx.Reg { return e.Select(e.Lt(i, r.size), e.Const(ptx.U64, 1), 0) })
		sequence := choose(e, counts, ones, listed)
		before, _ := r.prefix(sequence, listed)
		i, sums := r.cross(within, before, sequence, listed)
		i = e.Min(i, samplePart-1)
		through := e.Add(e.Add(r.mass, sums[1]), r.massAt(i))
		token, _ := e.Unpack(ptx.U32, e.Ld(ptx.U64, e.Index(r.list, i, 8)))
		found(token, through)
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
	s.leaveUnless(s.choice(best))
	r := newRanking(&s, masses{entry: e})
	wanted := e.Cvt(ptx.U64, s.field(ptx.U32, unsafe.Offsetof(engine.SampleRow{}.Alternatives)))
	mass, count := r.quad(r.binMass), r.quad(r.binCount)
	before, total := r.prefix(count, mass)
	n := e.Min(wanted, total[0])
	bin, sums := r.cross(e.Sub(n, 1), before, count, mass)
	r.load(bin, sums[0], sums[1], engine.FoundCount)
	// The window begins with the first class, or with one that is not the first: then what is before it is missing.
	e.If(e.Ne(r.count, 0), func() {
		e.When(e.Eq(e.TidX(), 0)).St(s.cell(engine.FoundCount), e.Const(ptx.U64, int64(-1)))
		e.Return()
	})
	i := e.TidX()
	alternatives := s.entry.row("alternatives", s.row)
	e.If(e.Lt(e.Cvt(ptx.U64, i), n), func() { e.St(e.Index(alternatives, i, 8), e.Ld(ptx.U64, e.Index(r.list, i, 8))) })
	e.When(e.Eq(i, 0)).St(s.cell(engine.FoundCount), n)
}
