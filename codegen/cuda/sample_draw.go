package cuda

import (
	"unsafe"

	"llmc/codegen/ptx"
	"llmc/engine"
)

// sampleDraw draws a token: it inverts the distribution at the row's random number, in order of id, or, where top-k or top-p is on, from the
// most likely token on. What top-k, top-p and min-p leave is then a beginning of that order, known by its mass.
func sampleDraw(e *entry) {
	s := newSampled(e, e.CtaX())
	s.leaveUnless(s.wants(engine.SampleDraws))
	best := s.best()
	s.leaveUnless(s.e.choice(best))
	// Tokens that a mask rules out have no class: none is looked at.
	d := drawer{ranking: newRanking(&s, newMasses(&s, best), s.penalizedLogits()), uniform: s.uniform()}
	e.Sync()
	e.IfElse(s.wants(engine.SampleRanked), d.byRank, d.byID)
}

type drawer struct {
	*ranking
	uniform ptx.Reg // a fraction of 2^64
}

// phases of byRank, each of which looks for a token: the last that top-k leaves, the last that top-p leaves, the one that is drawn.
const (
	phaseTopK = iota
	phaseTopP
	phaseDraw
	drawPhases
)

func (d *drawer) byRank() {
	e := d.sampled.e
	left := e.Assume(ptx.CTAUniform, e.Ld(ptx.U64, d.cell(engine.FoundMass)))
	topK := d.field(ptx.U32, unsafe.Offsetof(engine.SampleRow{}.TopK))
	topP := d.field(ptx.U64, unsafe.Offsetof(engine.SampleRow{}.TopP))
	e.For(ptx.Range{Name: "phases", From: e.Const(ptx.U32, 0), To: drawPhases, NoUnroll: true}, func(phase ptx.Reg) {
		phase = e.Assume(ptx.CTAUniform, phase)
		counts, draws := e.Eq(phase, phaseTopK), e.Eq(phase, phaseDraw)
		e.If(draws, func() { e.Into(left).Min(left, e.Ld(ptx.U64, d.cell(engine.FoundCutMass))) })
		// Top-p keeps what comes before the running mass has reached its part: up to the token at which it does.
		part := e.MulHi(e.Select(draws, d.uniform, topP), left)
		nucleus := e.Sub(e.Max(part, 1), 1)
		target := e.Select(counts, e.Cvt(ptx.U64, e.Sub(topK, 1)), e.Select(draws, part, nucleus))
		on := e.Or(draws, e.Or(e.And(counts, e.Ne(topK, 0)), e.And(e.Eq(phase, phaseTopP), e.Ne(topP, 0))))
		active := e.Ne(e.Assume(ptx.CTAUniform, e.Select(on, e.Const(ptx.U32, 1), 0)), 0)
		e.If(active, func() {
			d.find(counts, target, func(word, mass ptx.Reg) {
				e.Set(left, mass)
				token, _ := e.Unpack(ptx.U32, word)
				e.When(e.Eq(e.TidX(), 0)).St(d.cell(engine.FoundToken), e.Cvt(ptx.U64, token))
			})
		})
	})
}

func (d *drawer) byID() {
	e := d.sampled.e
	left := e.Ld(ptx.U64, d.cell(engine.FoundCutMass))
	target := e.MulHi(d.uniform, left)
	row := e.row("parts", d.row)
	sums := d.quad(func(i ptx.Reg) ptx.Reg { return e.loadBelow(ptx.U64, row, i, e.cols("parts")) })
	before, _ := d.prefix(sums)
	part, under := d.cross(target, before, sums)
	base, cut := e.Mul(part, samplePart), d.field(ptx.F64, unsafe.Offsetof(engine.SampleRow{}.Cut))
	logit := d.logits()
	tokens := d.quad(func(i ptx.Reg) ptx.Reg {
		id, mass := e.Add(base, i), e.Const(ptx.U64, 0)
		e.If(e.Lt(id, e.cols("logits")), func() {
			gap := d.masses.gap(logit(id))
			weight, _ := d.masses.of(gap)
			e.Into(mass).Select(e.Le(gap, cut), weight, 0)
		})
		return mass
	})
	before, _ = d.prefix(tokens)
	i, _ := d.cross(e.Sub(target, under[0]), before, tokens)
	e.When(e.Eq(e.TidX(), 0)).St(d.cell(engine.FoundToken), e.Cvt(ptx.U64, e.Add(base, i)))
}

// loadBelow reads element i of n of 64 bits, zero from n on.
func (e *entry) loadBelow(t ptx.Type, row, i ptx.Reg, n int) ptx.Reg {
	v := e.Const(t, 0)
	e.When(e.Lt(i, n)).Into(v).Ld(t, e.Index(row, i, 8))
	return v
}

// Philox4x32-10; see runtime/sample.
const (
	philoxRounds = 10
	philoxM0     = 0xD2511F53
	philoxM1     = 0xCD9E8D57
	philoxW0     = 0x9E3779B9
	philoxW1     = 0xBB67AE85
)

// uniform is the random number of the row's seed and position: 53 bits, as a fraction of 2^64.
func (s *sampled) uniform() ptx.Reg {
	seed := s.field(ptx.U64, unsafe.Offsetof(engine.SampleRow{}.Seed))
	k0, k1 := s.e.Unpack(ptx.U32, seed)
	c := [4]ptx.Reg{s.field(ptx.U32, unsafe.Offsetof(engine.SampleRow{}.Position))}
	for i := 1; i < len(c); i++ {
		c[i] = s.e.Const(ptx.U32, 0)
	}
	for range philoxRounds {
		lo0, hi0 := s.e.Unpack(ptx.U32, s.e.MulWide(c[0], s.e.Const(ptx.U32, philoxM0)))
		lo1, hi1 := s.e.Unpack(ptx.U32, s.e.MulWide(c[2], s.e.Const(ptx.U32, philoxM1)))
		c = [4]ptx.Reg{s.e.Xor(s.e.Xor(hi1, c[1]), k0), lo1, s.e.Xor(s.e.Xor(hi0, c[3]), k1), lo0}
		k0, k1 = s.e.Add(k0, philoxW0), s.e.Add(k1, philoxW1)
	}
	return s.e.And(s.e.Pack(ptx.U64, c[1], c[0]), int64(-1<<11))
}
