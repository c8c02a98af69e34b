package emu

import (
	"fmt"
	"math/bits"
	"strings"
)

// cta is one thread block: its warps take turns on one goroutine.
type cta struct {
	launch *launch
	prog   *program
	id     [3]uint32
	linear uint32

	warps        []*warp
	shared       []byte        // from sharedBase
	counts       []uint64      // per instruction, of the worker that runs it
	traffic      []lineTraffic // likewise, with Options.Counts
	cache        []uint64      // with Options.Counts: the sector at each place, plus one
	barriers     [numBarriers]barrier
	clusterClock []uint32 // races: what the last cluster barrier published
	mbars        map[uint32]*mbarrier
	copies       []*bulkCopy
	races        *sharedRaces
	order        ctaOrder
	chance       chance

	progress  uint64 // changes whenever something happens that a spinning warp may wait for
	seen      uint64
	idle      int  // rounds in which nothing but failed waits happened
	usesAsync bool // some asynchronous operation has marked shared memory
	spun      bool // some mbarrier wait has failed in this round
	polled    bool // it looked at memory that other CTAs may change: let them run
	ended     bool
	steps     uint64
	ticks     uint64              // of the clock registers
	reads     []uint16            // per word of shared memory: asynchronous reads in flight
	wgmmas    map[uint64]*wgEntry // by warpgroup and serial number: operations that some warps have yet to execute
}

const (
	quantum     = 512     // instructions of a warp's turn
	sliceRounds = 64      // turns of all warps before other CTAs run
	idleRounds  = 1 << 12 // fruitless rounds after which a CTA counts as stuck
)

// newCTA makes the memory of a CTA; start gives it an identity.
func newCTA(l *launch) *cta {
	c := &cta{launch: l, prog: l.prog, mbars: map[uint32]*mbarrier{}}
	c.shared = make([]byte, l.sharedBytes)
	threads := int(l.Block[0] * l.Block[1] * l.Block[2])
	for i := 0; i*warpSize < threads; i++ {
		w := &warp{
			prog: l.prog, cta: c, index: i,
			regs: make([]vec, l.prog.regs), init: make([]uint32, l.prog.regs),
			preds: make([]uint32, l.prog.preds), predInit: make([]uint32, l.prog.preds),
		}
		for _, k := range l.prog.constants {
			for lane := range w.regs[k.reg] {
				w.regs[k.reg][lane] = k.bits
			}
		}
		if l.prog.wgmma {
			w.stamp = make([]uint32, l.prog.regs)
		}
		if l.prog.local > 0 {
			w.local = make([][]byte, warpSize)
			for lane := range w.local {
				w.local[lane] = make([]byte, l.prog.local)
			}
		}
		c.warps = append(c.warps, w)
	}
	if l.opt.Races {
		c.races = newSharedRaces(len(c.warps), len(c.shared))
	}
	c.reads = make([]uint16, (len(c.shared)+3)/4)
	return c
}

// anotherCTA returns the memory of a CTA of a launch before, where one of the same size is left, or a new one.
func (l *launch) anotherCTA() *cta {
	c, _ := l.kernel.ctas.Get().(*cta)
	threads := int(l.Block[0] * l.Block[1] * l.Block[2])
	if c == nil || len(c.shared) != l.sharedBytes || len(c.warps) != (threads+warpSize-1)/warpSize || (c.races != nil) != l.opt.Races {
		return newCTA(l)
	}
	c.launch, c.ticks, c.clusterClock = l, 0, nil
	return c
}

// detach lets go of what belongs to the launch.
func (c *cta) detach() {
	c.launch, c.counts, c.traffic = nil, nil, nil
	for _, w := range c.warps {
		w.seg = &noBuffer
	}
}

func (c *cta) start(linear uint32) {
	g := c.launch.Grid
	c.linear = linear
	c.id = [3]uint32{linear % g[0], linear / g[0] % g[1], linear / g[0] / g[1]}
	fillNaN(c.shared)
	if c.launch.opt.Counts && c.cache == nil {
		c.cache = make([]uint64, cachedSectors)
	}
	clear(c.cache)
	clear(c.reads)
	clear(c.mbars)
	clear(c.wgmmas)
	c.copies = c.copies[:0]
	c.barriers = [numBarriers]barrier{}
	c.progress, c.seen, c.idle, c.polled, c.ended = 0, 0, 0, false, false
	c.usesAsync = false
	c.chance = newChance(c.launch.opt.Seed, uint64(linear))
	c.launch.mem.begin(&c.order, linear)
	threads := int(c.launch.Block[0] * c.launch.Block[1] * c.launch.Block[2])
	for i, w := range c.warps {
		lanes := allLanes
		if rest := threads - i*warpSize; rest < warpSize {
			lanes = uint32(lowBits(rest))
		}
		w.start(lanes)
	}
	if c.races != nil {
		c.races.reset(c)
	}
}

// slice runs the CTA for some rounds; it reports whether the CTA has ended.
func (c *cta) slice() (ended bool, fault *Fault) {
	for range sliceRounds {
		alive, ran, busy := 0, 0, false
		for _, w := range c.warps {
			if w.done() {
				continue
			}
			alive++
			n := w.run(quantum)
			ran += n
			busy = busy || n >= quantum
			if w.fault != nil {
				return true, w.fault
			}
		}
		c.steps += uint64(ran)
		if alive == 0 {
			return true, c.finish()
		}
		if ran == 0 && !c.anyRunnable() {
			return true, c.stuck("all of them wait")
		}
		if c.progress != c.seen || !c.spun || busy || c.polled {
			c.seen, c.idle = c.progress, 0
		} else if c.idle++; c.idle > idleRounds {
			return true, c.stuck("they wait for a phase that nobody will complete")
		}
		c.spun = false
		if c.polled && c.launch.mem.bus != nil {
			return false, nil
		}
	}
	return false, nil
}

func (c *cta) anyRunnable() bool {
	for _, w := range c.warps {
		if !w.done() && w.runnable() {
			return true
		}
	}
	return false
}

// finish checks what must not be left open when a CTA ends.
func (c *cta) finish() *Fault {
	if len(c.copies) > 0 {
		b := c.copies[0]
		if b.store {
			return b.fault(c, AsyncHazard, "the CTA ended before cp.async.bulk.wait_group")
		}
		return b.fault(c, AsyncHazard, "the CTA ended while the copy into its shared memory was in flight: wait for its mbarrier")
	}
	for _, w := range c.warps {
		if len(w.async.ops) > 0 {
			return w.async.ops[0].fault(w, "the CTA ended before cp.async.wait_group: the copy has no effect")
		}
		if len(w.wg.ops) > 0 {
			return w.wg.ops[0].fault(w, AsyncHazard, "the CTA ended before wgmma.wait_group")
		}
	}
	return nil
}

// stuck is a deadlock that names where every warp waits.
func (c *cta) stuck(why string) *Fault {
	var where []string
	for _, w := range c.warps {
		if w.done() {
			continue
		}
		if w.running {
			where = append(where, fmt.Sprintf("warp %d at line %d (%s)", w.index, c.prog.code[w.pc].line, c.prog.code[w.pc].name))
		}
		for _, g := range w.groups {
			pc := g.pc
			if (g.state == parked || g.state == yielded) && pc > 0 {
				pc--
			}
			where = append(where, fmt.Sprintf("warp %d lanes %#08x at line %d (%s)", w.index, g.mask, c.prog.code[pc].line, c.prog.code[pc].name))
		}
		if len(where) > 40 {
			where = append(where, "...")
			break
		}
	}
	f := &Fault{Kind: Deadlock, Kernel: c.prog.name, CTA: c.id, Msg: why + ": " + strings.Join(where, ", ")}
	for _, w := range c.warps {
		if len(w.groups) > 0 {
			g := w.groups[0]
			in := &c.prog.code[max(g.pc-1, 0)]
			f.Line, f.Inst, f.Thread = in.line, in.name, w.thread(bits.TrailingZeros32(g.mask))
			break
		}
	}
	return f
}
