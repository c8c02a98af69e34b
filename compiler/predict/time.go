package predict

import "llmc/engine"

// Work is what a launch has to do.
type Work struct {
	Bytes  float64 // of memory, each read or written once
	Taken  float64 // bytes that CTAs take in from the L2 cache, however often
	Flops  float64 // that the result needs
	Issued float64 // that matrix units are given: tiles are filled up
	CTAs   int64   // that have something to do
	Flight float64 // bytes that a CTA has under way
	Even   bool    // work is shared out in pieces, so that the last round of CTAs is as full as the others
	Early  bool    // it starts while the launch before it ends
	Loop   *Loop   // the main loop of the entry; nil: no matrices
}

// Time is what a launch takes on a card, in seconds, by what it would take if there were nothing else. Seconds is the longest of them and the gap. Limit
// names that one: "memory", "L2 cache", "matrix units", "instructions", or "gap" where it is longer than all of them.
type Time struct {
	Memory, Cache, Matrix, Issue float64
	Gap                          float64
	Seconds                      float64
	Bound                        float64 // by the data sheet: bytes by bandwidth or operations by peak, whichever is longer
	Limit                        string
	Waves                        float64 // rounds of CTAs
}

// Fraction of the bound that is reached.
func (t Time) Fraction() float64 {
	if t.Seconds == 0 {
		return 0
	}
	return t.Bound / t.Seconds
}

// On predicts the time on a card:
//
//	memory        rounds of CTAs, one after the other, each at the rate at which its CTAs have bytes under way (Little's law), at most what
//	              long reads get of the bandwidth, or what the ports of the busy multiprocessors take in
//	L2 cache      Taken by the rate of the cache, with the ports as bound
//	matrix units  Issued by what products get of the peak, longer by the multiprocessors that are idle in the last round
//	instructions  those of the main loop for all matrix instructions, by four a cycle and multiprocessor, likewise
//
// What only a measurement tells is left out: conflicts of banks, the filling of pipelines, atomics, the order in which CTAs run.
func (w *Work) On(c *engine.Card, o Occupancy) Time {
	slots := int64(c.SMs * max(1, o.CTAs))
	t := Time{Waves: float64(w.CTAs) / float64(slots), Gap: c.Assumed.LaunchGap}
	if w.CTAs == 0 {
		return Time{}
	}
	if w.Early {
		t.Gap = c.Assumed.EarlyGap
	}
	busiest := float64((w.CTAs+int64(c.SMs)-1)/int64(c.SMs)) * float64(c.SMs) / float64(w.CTAs)
	if w.Even {
		busiest = 1
	}
	t.Memory = w.memory(c, slots)
	t.Cache = w.Taken / min(c.L2Cycle*c.Clock, w.ports(c, w.CTAs))
	peak := w.peak(c)
	t.Bound = max(w.Bytes/c.ReadBytes, w.Flops/peak)
	if l := w.Loop; l != nil {
		share := c.Assumed.MathShare
		if !l.Wgmma {
			share = min(share, c.Assumed.MmaSync)
		}
		t.Matrix = w.Issued / (peak * share) * busiest
		instructions := w.Issued / float64(2*l.MACs) * float64(l.Instructions) / float64(l.Products)
		t.Issue = instructions / (engine.WarpsIssuedCycle * float64(c.SMs) * c.Clock) * busiest
	} else if w.Flops > 0 {
		t.Matrix = w.Flops / peak * busiest
	}
	t.Limit = "gap"
	longest := t.Gap
	work := 0.0
	for _, part := range []struct {
		seconds float64
		name    string
	}{{t.Memory, "memory"}, {t.Cache, "L2 cache"}, {t.Matrix, "matrix units"}, {t.Issue, "instructions"}} {
		work = max(work, part.seconds)
		if part.seconds > longest {
			longest, t.Limit = part.seconds, part.name
		}
	}
	t.Seconds = work + t.Gap
	return t
}

// ports is what so many CTAs' multiprocessors take in from the L2 cache, bytes a second.
func (w *Work) ports(c *engine.Card, ctas int64) float64 {
	return float64(min(ctas, int64(c.SMs))) * c.Assumed.CyclesRead * c.Clock
}

// memory is the time that Bytes take.
func (w *Work) memory(c *engine.Card, slots int64) float64 {
	most := c.ReadBytes * c.Assumed.ReadShare
	rate := func(ctas int64) float64 {
		return min(most, w.ports(c, ctas), float64(ctas)*w.Flight/c.Assumed.Latency)
	}
	if w.Even {
		return w.Bytes / rate(min(slots, w.CTAs))
	}
	each := w.Bytes / float64(w.CTAs)
	full, rest := w.CTAs/slots, w.CTAs%slots
	seconds := float64(full*slots) * each / rate(slots)
	if rest > 0 {
		seconds += float64(rest) * each / rate(rest)
	}
	return seconds
}

// peak is what the card's units do of the entry's products in a second.
func (w *Work) peak(c *engine.Card) float64 {
	l := w.Loop
	switch {
	case l == nil:
		return c.F32
	case l.Unit == "e4m3" && c.FP8 > 0:
		return c.FP8
	case l.Unit == "s8":
		return c.Int8
	}
	return c.BF16
}

// Flight is how many bytes a CTA has under way at a time: three quarters of the stages in the shared memory that it is given, or what a round of loads
// brings to all threads. Loops that multiply nothing are short, and assemblers unroll them four times.
func (f *Facts) Flight(threads int, shared int64) float64 {
	const least, unrolled = 16, 4
	if f.Async && shared > 0 {
		return float64(shared * 3 / 4)
	}
	loads := f.Loads
	if f.Loop == nil {
		loads *= unrolled
	}
	return float64(max(least, loads) * threads)
}
