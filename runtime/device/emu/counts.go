package emu

import (
	"math/bits"
	"slices"
)

// Class groups opcodes for counting.
type Class uint8

// Classes of instructions.
const (
	ClassInt Class = iota
	ClassFloat
	ClassSpecial // rcp, ex2, ...
	ClassConvert
	ClassMove
	ClassLoad
	ClassStore
	ClassAtomic
	ClassCopy // cp.async and bulk copies
	ClassShuffle
	ClassBarrier
	ClassTensor
	ClassControl
	numClasses
)

var classNames = [numClasses]string{
	"int", "float", "special", "convert", "move", "load", "store", "atomic", "copy", "shuffle", "barrier", "tensor", "control",
}

func (c Class) String() string { return classNames[c] }

// Counts is what a launch did.
type Counts struct {
	Instructions uint64            // warp instructions
	Classes      map[string]uint64 // by class name
	Lines        []LineCount       // by line of the text, in order
	MACs         uint64            // multiply-adds of tensor-core instructions
	MemoryCounts

	perInst []uint64
}

// LineCount says how often warps executed the instructions of a line.
type LineCount struct {
	Line  int
	Inst  string
	Count uint64
}

// MemoryCounts counts traffic. Sectors and Conflicts are counted only where Options.Counts is set.
type MemoryCounts struct {
	GlobalLoaded, GlobalStored   uint64 // bytes
	SectorsLoaded, SectorsStored uint64 // of 32 bytes
	SharedLoaded, SharedStored   uint64 // bytes
	Conflicts                    uint64 // further passes over the banks of shared memory
	AtomicBytes                  uint64
	CopiedBytes                  uint64 // by asynchronous copies, counted in the global and shared bytes too
}

type memoryCounts = MemoryCounts

func newCounts(n int) *Counts { return &Counts{perInst: make([]uint64, n)} }

// add takes over and clears the traffic of a finished CTA.
func (c *Counts) add(b *cta) {
	for _, w := range b.warps {
		m := &w.memory
		c.GlobalLoaded += m.GlobalLoaded
		c.GlobalStored += m.GlobalStored
		c.SectorsLoaded += m.SectorsLoaded
		c.SectorsStored += m.SectorsStored
		c.SharedLoaded += m.SharedLoaded
		c.SharedStored += m.SharedStored
		c.Conflicts += m.Conflicts
		c.AtomicBytes += m.AtomicBytes
		c.CopiedBytes += m.CopiedBytes
		*m = memoryCounts{}
	}
}

// finish derives the totals.
func (c *Counts) finish(p *program) {
	var classes [numClasses]uint64
	for i, n := range c.perInst {
		if n == 0 {
			continue
		}
		in := &p.code[i]
		c.Instructions += n
		classes[in.class] += n
		c.MACs += n * uint64(in.macs)
		c.Lines = append(c.Lines, LineCount{Line: in.line, Inst: in.name, Count: n})
	}
	c.Classes = map[string]uint64{}
	for class, n := range classes {
		if n > 0 {
			c.Classes[Class(class).String()] = n
		}
	}
	// A line has several instructions, and those of an inlined function appear wherever it is called.
	slices.SortStableFunc(c.Lines, func(a, b LineCount) int { return a.Line - b.Line })
	lines := c.Lines[:0]
	for _, l := range c.Lines {
		if last := len(lines) - 1; last >= 0 && lines[last].Line == l.Line {
			lines[last].Count += l.Count
		} else {
			lines = append(lines, l)
		}
	}
	c.Lines = lines
}

// traffic collects the addresses of one access of a warp.
type traffic struct {
	n     int
	space space
	exact bool // addrs are wanted
	addrs [warpSize]uint64
}

func (t *traffic) start(w *warp) { t.n, t.exact = 0, w.cta.launch.opt.Counts }

func (t *traffic) add(sp space, addr uint64) {
	t.space = sp
	if t.exact {
		t.addrs[t.n] = addr
	}
	t.n++
}

// count adds an access of size bytes a lane to the counters.
func (w *warp) count(t *traffic, size int, write bool) {
	bytes := uint64(t.n * size)
	m, exact := &w.memory, t.exact
	switch {
	case t.space == spaceGlobal && write:
		m.GlobalStored += bytes
		if exact {
			m.SectorsStored += t.sectors(size)
		}
	case t.space == spaceGlobal:
		m.GlobalLoaded += bytes
		if exact {
			m.SectorsLoaded += t.sectors(size)
		}
	case t.space == spaceShared && write:
		m.SharedStored += bytes
	case t.space == spaceShared:
		m.SharedLoaded += bytes
	}
	if t.space == spaceShared && exact {
		m.Conflicts += t.conflicts(size)
	}
}

const sectorBytes = 32

// sectors counts the distinct 32-byte sectors that the lanes touch.
func (t *traffic) sectors(size int) uint64 {
	seen := make([]uint64, 0, 2*warpSize)
	n := uint64(0)
	for _, a := range t.addrs[:t.n] {
	next:
		for s := a / sectorBytes; s <= (a+uint64(size)-1)/sectorBytes; s++ {
			for i := len(seen) - 1; i >= 0; i-- {
				if seen[i] == s {
					continue next
				}
			}
			if len(seen) < cap(seen) {
				seen = append(seen, s)
			}
			n++
		}
	}
	return n
}

// conflicts counts the passes beyond the first of each part of an access: lanes are served in parts of up to 128 bytes, and a part
// needs as many passes as the busiest of the 32 banks has distinct words.
func (t *traffic) conflicts(size int) uint64 {
	lanes := warpSize
	if size > 4 {
		lanes = warpSize * 4 / size
	}
	extra := uint64(0)
	for at := 0; at < t.n; at += lanes {
		var words [32][warpSize]uint64
		var used [32]int
		worst := 1
		for _, a := range t.addrs[at:min(at+lanes, t.n)] {
			for word := a / 4; word <= (a+uint64(size)-1)/4; word++ {
				b := word % 32
				if hasWord(words[b][:used[b]], word) || used[b] == warpSize {
					continue
				}
				words[b][used[b]] = word
				used[b]++
				worst = max(worst, used[b])
			}
		}
		extra += uint64(worst - 1)
	}
	return extra
}

func hasWord(list []uint64, word uint64) bool {
	for _, x := range list {
		if x == word {
			return true
		}
	}
	return false
}

func popcount(mask uint32) uint64 { return uint64(bits.OnesCount32(mask)) }
