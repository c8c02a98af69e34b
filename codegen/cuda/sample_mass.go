package cuda

import (
	"unsafe"

	"llmc/codegen/ptx"
	"llmc/engine"
)

// masses weighs tokens as engine/mass.go states it: the same steps in f64, none fused.
type masses struct {
	e           *entry
	table       ptx.Reg // in shared memory
	most, scale ptx.Reg
}

// newMasses lets the first 64 threads make the table, which can be read behind the next barrier.
func newMasses(s *sampled, best ptx.Reg) masses {
	_, key := s.e.Unpack(ptx.U32, best)
	m := masses{e: s.e, table: s.e.Addr(s.e.Static("powers", 64*8, 8)), most: s.e.Cvt(ptx.F64, s.e.keyLogit(key))}
	if s.e.raw() || s.e.launch.Kernel == "cuda.sample_rank" {
		m.scale = s.e.Const(ptx.F64, float64(engine.MassSteps))
	} else {
		m.scale = s.field(ptx.F64, unsafe.Offsetof(engine.SampleRow{}.Scale))
	}
	j := s.e.TidX()
	s.e.If(s.e.Lt(j, 64), func() {
		power := s.e.Const(ptx.F64, 1)
		for i, root := range engine.MassRoots {
			s.e.Into(power).Mul(power, s.e.Select(s.e.Ne(s.e.And(j, 1<<i), 0), s.e.Const(ptx.F64, root), 1.0))
		}
		s.e.St(s.e.Index(m.table, j, 8), s.e.Add(power.As(ptx.U64), int64(engine.MassBits(s.e.cols("logits")))<<52))
	})
	return m
}

// gap is by how many steps a logit lies below the greatest.
func (m *masses) gap(v ptx.Reg) ptx.Reg {
	return m.e.Mul(m.e.Sub(m.most, m.e.Cvt(ptx.F64, v)), m.scale)
}

// of is the mass at a gap, and the gap rounded, which has a meaning where there is a mass.
func (m *masses) of(gap ptx.Reg) (mass, rounded ptx.Reg) {
	bounded := m.e.Min(gap, float64(engine.MassGap))
	sum := m.e.Add(bounded, float64(engine.MassRound))
	n, _ := m.e.Unpack(ptx.U32, sum)
	f := m.e.Sub(m.e.Sub(sum, float64(engine.MassRound)), bounded)
	c := engine.MassCoefficients
	p := m.e.Mul(f, c[3])
	for i := 2; i >= 0; i-- {
		p = m.e.Mul(f, m.e.Add(p, c[i]))
	}
	p = m.e.Add(p, 1.0)
	power := m.e.Sub(m.e.Ld(ptx.U64, m.e.Index(m.table, m.e.And(n, 63), 8)), m.e.Shl(m.e.Cvt(ptx.U64, m.e.Shr(n, 6)), 52))
	mass = m.e.CvtRound(ptx.ToZero, ptx.U64, m.e.Mul(power.As(ptx.F64), p))
	return m.e.Select(m.e.Le(gap, float64(engine.MassGap)), mass, 0), n
}

// noBin is that of tokens that can not be chosen.
const noBin = 0xffff

// sampleMass adds up the masses of a chunk's tokens: those of its parts, and, where tokens are ranked, those of each class. All sums are of
// integers, so it does not matter in which order they come together.
func sampleMass(e *entry) {
	s := newSampled(e, e.CtaY())
	wanted, rankedFlag, total := engine.SampleDraws, engine.SampleRanked, engine.FoundMass
	if s.e.raw() {
		wanted, rankedFlag, total = engine.SampleLogprobs, engine.SampleAlternatives, engine.FoundRawMass
	}
	s.leaveUnless(s.wants(wanted))
	best := s.best()
	s.leaveUnless(s.e.choice(best))
	c := massCounter{sampled: &s, masses: newMasses(&s, best), ranked: s.wants(rankedFlag)}
	c.prepare()
	all, left := s.e.Const(ptx.U64, 0), s.e.Const(ptx.U64, 0)
	logit := s.logits()
	for part := range sampleChunk / samplePart {
		sum := c.part(part, logit, all)
		s.e.Into(left).Add(left, sum)
	}
	all, left = s.e.reduce64(all, s.e.Add), s.e.reduce64(left, s.e.Add)
	s.e.If(s.e.Eq(s.e.Lane(), 0), func() {
		s.e.RedAdd(ptx.Relaxed, s.cell(total), all)
		if !s.e.raw() {
			s.e.RedAdd(ptx.Relaxed, s.cell(engine.FoundCutMass), left)
		}
	})
	s.e.Sync()
	c.flush()
}

// massCounter is the shared memory of sampleMass.
type massCounter struct {
	*sampled
	masses                   masses
	ranked                   ptx.Reg
	cut                      ptx.Reg
	sums, binMass, binCounts ptx.Reg
	bins                     ptx.Reg // row of the tokens' classes
}

func (c *massCounter) prepare() {
	c.sums = c.e.Addr(c.e.Static("sums", 8*(sampleChunk/samplePart), 8))
	c.binMass = c.e.Addr(c.e.Static("bin_mass", 8*engine.SampleBins, 8))
	c.binCounts = c.e.Addr(c.e.Static("bin_counts", 4*engine.SampleBins, 4))
	c.bins = c.sampled.e.row("bins", c.row)
	if !c.e.raw() {
		c.cut = c.field(ptx.F64, unsafe.Offsetof(engine.SampleRow{}.Cut))
	}
	zero := c.e.Const(ptx.U64, 0)
	c.e.When(c.e.Lt(c.e.TidX(), sampleChunk/samplePart)).St(c.e.Index(c.sums, c.e.TidX(), 8), zero)
	c.e.If(c.ranked, func() {
		c.e.For(ptx.Range{Name: "clear", From: c.e.TidX(), To: engine.SampleBins, Step: sampleThreads}, func(i ptx.Reg) {
			c.e.St(c.e.Index(c.binMass, i, 8), zero)
			c.e.St(c.e.Index(c.binCounts, i, 4), c.e.Const(ptx.U32, 0))
		})
	})
	c.e.Sync()
}

// part goes through a part of the chunk, adds what it finds to all, and returns the sum of what min-p leaves.
func (c *massCounter) part(part int, logit func(id ptx.Reg) ptx.Reg, all ptx.Reg) ptx.Reg {
	sum := c.e.Const(ptx.U64, 0)
	c.tokens(c.e.Mad(c.e.CtaX(), sampleChunk, c.e.Const(ptx.U32, part*samplePart)), samplePart, func(id ptx.Reg) {
		v := logit(id)
		gap := c.masses.gap(v)
		mass, n := c.masses.of(gap)
		c.e.Into(all).Add(all, mass)
		if !c.e.raw() {
			c.e.Into(sum).Add(sum, c.e.Select(c.e.Le(gap, c.cut), mass, 0))
		}
		c.e.If(c.ranked, func() {
			without := c.e.Select(c.e.Gt(v, negInf), c.e.Const(ptx.U32, engine.SampleBins-1), noBin)
			bin := c.e.Select(c.e.Le(gap, float64(engine.MassGap)), c.e.Shr(n, 1), without)
			c.e.St(c.e.Index(c.bins, id, 2), c.e.Cvt(ptx.U16, bin))
			c.e.If(c.e.Ne(bin, noBin), func() {
				c.e.RedAdd(ptx.RelaxedInCTA, c.e.Index(c.binMass, bin, 8), mass)
				c.e.RedAdd(ptx.RelaxedInCTA, c.e.Index(c.binCounts, bin, 4), 1)
			})
		})
	})
	if !c.e.raw() {
		together := c.e.reduce64(sum, c.e.Add)
		c.e.When(c.e.Eq(c.e.Lane(), 0)).RedAdd(ptx.RelaxedInCTA, c.sums.At(8*part), together)
	}
	return sum
}

// flush adds the CTA's sums to the row's.
func (c *massCounter) flush() {
	if !c.e.raw() {
		parts := c.sampled.e.row("parts", c.row)
		i := c.e.TidX()
		n := c.e.Mad(c.e.CtaX(), sampleChunk/samplePart, i)
		c.e.If(c.e.And(c.e.Lt(i, sampleChunk/samplePart), c.e.Lt(n, c.e.cols("parts"))), func() {
			c.e.St(c.e.Index(parts, n, 8), c.e.Ld(ptx.U64, c.e.Index(c.sums, i, 8)))
		})
	}
	hist := c.sampled.e.row("hist", c.row)
	c.e.If(c.ranked, func() {
		c.e.For(ptx.Range{Name: "flush", From: c.e.TidX(), To: engine.SampleBins, Step: sampleThreads}, func(i ptx.Reg) {
			count := c.e.Ld(ptx.U32, c.e.Index(c.binCounts, i, 4))
			at := c.e.Index(hist, i, 8)
			c.e.If(c.e.Ne(count, 0), func() {
				c.e.RedAdd(ptx.Relaxed, at, c.e.Ld(ptx.U64, c.e.Index(c.binMass, i, 8)))
				c.e.RedAdd(ptx.Relaxed, at.At(8*engine.SampleBins), c.e.Cvt(ptx.U64, count))
			})
		})
	})
}
