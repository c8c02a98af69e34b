package cuda

import (
	"unsafe"

	"llmc/codegen/ptx"
	"llmc/engine"
)

// masses weighs tokens as engine/mass.go states it: the same steps in f64, none fused.
type masses struct {
	*entry
	table       ptx.Reg // in shared memory
	most, scale ptx.Reg
}

// newMasses lets the first 64 threads make the table, which can be read behind the next barrier.
func newMasses(s *sampled, best ptx.Reg) masses {
	_, key := s.Unpack(ptx.U32, best)
	m := masses{entry: s.entry, table: s.Addr(s.Static("powers", 64*8, 8)), most: s.Cvt(ptx.F64, s.keyLogit(key))}
	if s.raw() || s.launch.Kernel == "cuda.sample_rank" {
		m.scale = s.Const(ptx.F64, float64(engine.MassSteps))
	} else {
		m.scale = s.field(ptx.F64, unsafe.Offsetof(engine.SampleRow{}.Scale))
	}
	j := s.TidX()
	s.If(s.Lt(j, 64), func() {
		power := s.Const(ptx.F64, 1)
		for i, root := range engine.MassRoots {
			s.Into(power).Mul(power, s.Select(s.Ne(s.And(j, 1<<i), 0), s.Const(ptx.F64, root), 1.0))
		}
		s.St(s.Index(m.table, j, 8), s.Add(power.As(ptx.U64), int64(engine.MassBits(s.cols("logits")))<<52))
	})
	return m
}

// gap is by how many steps a logit lies below the greatest.
func (m *masses) gap(v ptx.Reg) ptx.Reg { return m.Mul(m.Sub(m.most, m.Cvt(ptx.F64, v)), m.scale) }

// of is the mass at a gap, and the gap rounded, which has a meaning where there is a mass.
func (m *masses) of(gap ptx.Reg) (mass, rounded ptx.Reg) {
	bounded := m.Min(gap, float64(engine.MassGap))
	sum := m.Add(bounded, float64(engine.MassRound))
	n, _ := m.Unpack(ptx.U32, sum)
	f := m.Sub(m.Sub(sum, float64(engine.MassRound)), bounded)
	c := engine.MassCoefficients
	p := m.Mul(f, c[3])
	for i := 2; i >= 0; i-- {
		p = m.Mul(f, m.Add(p, c[i]))
	}
	p = m.Add(p, 1.0)
	power := m.Sub(m.Ld(ptx.U64, m.Index(m.table, m.And(n, 63), 8)), m.Shl(m.Cvt(ptx.U64, m.Shr(n, 6)), 52))
	mass = m.CvtRound(ptx.ToZero, ptx.U64, m.Mul(power.As(ptx.F64), p))
	return m.Select(m.Le(gap, float64(engine.MassGap)), mass, 0), n
}

// noBin is that of tokens that can not be chosen.
const noBin = 0xffff

// sampleMass adds up the masses of a chunk's tokens: those of its parts, and, where tokens are ranked, those of each class. All sums are of
// integers, so it does not matter in which order they come together.
func sampleMass(e *entry) {
	s := newSampled(e, e.CtaY())
	wanted, rankedFlag, total := engine.SampleDraws, engine.SampleRanked, engine.FoundMass
	if s.raw() {
		wanted, rankedFlag, total = engine.SampleLogprobs, engine.SampleAlternatives, engine.FoundRawMass
	}
	s.leaveUnless(s.wants(wanted))
	best := s.best()
	s.leaveUnless(s.choice(best))
	c := massCounter{sampled: &s, masses: newMasses(&s, best), ranked: s.wants(rankedFlag)}
	c.prepare()
	all, left := s.Const(ptx.U64, 0), s.Const(ptx.U64, 0)
	logit := s.logits()
	for part := range sampleChunk / samplePart {
		sum := c.part(part, logit, all)
		s.Into(left).Add(left, sum)
	}
	all, left = s.reduce64(all, s.Add), s.reduce64(left, s.Add)
	s.If(s.Eq(s.Lane(), 0), func() {
		s.RedAdd(ptx.Relaxed, s.cell(total), all)
		if !s.raw() {
			s.RedAdd(ptx.Relaxed, s.cell(engine.FoundCutMass), left)
		}
	})
	s.Sync()
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
	c.sums = c.Addr(c.Static("sums", 8*(sampleChunk/samplePart), 8))
	c.binMass = c.Addr(c.Static("bin_mass", 8*engine.SampleBins, 8))
	c.binCounts = c.Addr(c.Static("bin_counts", 4*engine.SampleBins, 4))
	c.bins = c.sampled.entry.row("bins", c.row)
	if !c.raw() {
		c.cut = c.field(ptx.F64, unsafe.Offsetof(engine.SampleRow{}.Cut))
	}
	zero := c.Const(ptx.U64, 0)
	c.When(c.Lt(c.TidX(), sampleChunk/samplePart)).St(c.Index(c.sums, c.TidX(), 8), zero)
	c.If(c.ranked, func() {
		c.For(ptx.Range{Name: "clear", From: c.TidX(), To: engine.SampleBins, Step: sampleThreads}, func(i ptx.Reg) {
			c.St(c.Index(c.binMass, i, 8), zero)
			c.St(c.Index(c.binCounts, i, 4), c.Const(ptx.U32, 0))
		})
	})
	c.Sync()
}

// part goes through a part of the chunk, adds what it finds to all, and returns the sum of what min-p leaves.
func (c *massCounter) part(part int, logit func(id ptx.Reg) ptx.Reg, all ptx.Reg) ptx.Reg {
	sum := c.Const(ptx.U64, 0)
	c.tokens(c.Mad(c.CtaX(), sampleChunk, c.Const(ptx.U32, part*samplePart)), samplePart, func(id ptx.Reg) {
		v := logit(id)
		gap := c.masses.gap(v)
		mass, n := c.masses.of(gap)
		c.Into(all).Add(all, mass)
		if !c.raw() {
			c.Into(sum).Add(sum, c.Select(c.Le(gap, c.cut), mass, 0))
		}
		c.If(c.ranked, func() {
			without := c.Select(c.Gt(v, negInf), c.Const(ptx.U32, engine.SampleBins-1), noBin)
			bin := c.Select(c.Le(gap, float64(engine.MassGap)), c.Shr(n, 1), without)
			c.St(c.Index(c.bins, id, 2), c.Cvt(ptx.U16, bin))
			c.If(c.Ne(bin, noBin), func() {
				c.RedAdd(ptx.RelaxedInCTA, c.Index(c.binMass, bin, 8), mass)
				c.RedAdd(ptx.RelaxedInCTA, c.Index(c.binCounts, bin, 4), 1)
			})
		})
	})
	if !c.raw() {
		together := c.reduce64(sum, c.Add)
		c.When(c.Eq(c.Lane(), 0)).RedAdd(ptx.RelaxedInCTA, c.sums.At(8*part), together)
	}
	return sum
}

// flush adds the CTA's sums to the row's.
func (c *massCounter) flush() {
	if !c.raw() {
		parts := c.sampled.entry.row("parts", c.row)
		i := c.TidX()
		n := c.Mad(c.CtaX(), sampleChunk/samplePart, i)
		c.If(c.And(c.Lt(i, sampleChunk/samplePart), c.Lt(n, c.cols("parts"))), func() {
			c.St(c.Index(parts, n, 8), c.Ld(ptx.U64, c.Index(c.sums, i, 8)))
		})
	}
	hist := c.sampled.entry.row("hist", c.row)
	c.If(c.ranked, func() {
		c.For(ptx.Range{Name: "flush", From: c.TidX(), To: engine.SampleBins, Step: sampleThreads}, func(i ptx.Reg) {
			count := c.Ld(ptx.U32, c.Index(c.binCounts, i, 4))
			at := c.Index(hist, i, 8)
			c.If(c.Ne(count, 0), func() {
				c.RedAdd(ptx.Relaxed, at, c.Ld(ptx.U64, c.Index(c.binMass, i, 8)))
				c.RedAdd(ptx.Relaxed, at.At(8*engine.SampleBins), c.Cvt(ptx.U64, count))
			})
		})
	})
}
