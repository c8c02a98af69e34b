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
	traffic []lineTraffic // of each instruction; nil without Options.Counts
}

// LineCount says how often warps executed the instructions of a line, and with Options.Counts what they moved.
type LineCount struct {
	Line   int
	Inst   string
	Count  uint64
	Buffer string // of global memory: the one that the line touched first
	MemoryCounts
}

// lineTraffic is what an instruction moved.
type lineTraffic struct {
	MemoryCounts
	buffer *Buffer
}

// add takes over what another worker counted.
func (l *lineTraffic) add(o *lineTraffic) {
	l.MemoryCounts.add(&o.MemoryCounts)
	if l.buffer == nil {
		l.buffer = o.buffer
	}
}

// MemoryCounts counts traffic. Sectors and Conflicts are counted only where Options.Counts is set.
type MemoryCounts struct {
	GlobalLoaded, GlobalStored   uint64 // bytes
	SectorsLoaded, SectorsStored uint64 // of 32 bytes
	SectorsFetched               uint64 // of those loaded, what the CTA did not have in a first-level cache; asynchronous copies go past it
	SharedLoaded, SharedStored   uint64 // bytes
	Conflicts                    uint64 // further passes over the banks of shared memory
	AtomicBytes                  uint64
	CopiedBytes                  uint64 // by asynchronous copies, counted in the global and shared bytes too
}

type memoryCounts = MemoryCounts

func (m *MemoryCounts) add(o *MemoryCounts) {
	m.GlobalLoaded += o.GlobalLoaded
	m.GlobalStored += o.GlobalStored
	m.SectorsLoaded += o.SectorsLoaded
	m.SectorsStored += o.SectorsStored
	m.SectorsFetched += o.SectorsFetched
	m.SharedLoaded += o.SharedLoaded
	m.SharedStored += o.SharedStored
	m.Conflicts += o.Conflicts
	m.AtomicBytes += o.AtomicBytes
	m.CopiedBytes += o.CopiedBytes
}

func newCounts(n int, exact bool) *Counts {
	c := &Counts{perInst: make([]uint64, n)}
	if exact {
		c.traffic = make([]lineTraffic, n)
	}
	return c
}

// add takes over and clears the traffic of a finished CTA.
func (c *Counts) add(b *cta) {
	for _, w := range b.warps {
		c.MemoryCounts.add(&w.memory)
		w.memory = memoryCounts{}
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
		line := LineCount{Line: in.line, Inst: in.name, Count: n}
		if c.traffic != nil {
			line.MemoryCounts = c.traffic[i].MemoryCounts
			if b := c.traffic[i].buffer; b != nil {
				line.Buffer = b.name
			}
		}
		c.Lines = append(c.Lines, line)
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
			lines[last].MemoryCounts.add(&l.MemoryCounts)
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

// addRun is add for n lanes, whose addresses are step apart.
func (t *traffic) addRun(sp space, addr uint64, n, step int) {
	t.space = sp
	if t.exact {
		for i := range n {
			t.addrs[t.n+i] = addr + uint64(i*step)
		}
	}
	t.n += n
}

// count adds an access of size bytes a lane to the counters.
func (w *warp) count(t *traffic, size int, write bool) {
	if !t.exact {
		w.memory.access(t, size, write)
		return
	}
	var m memoryCounts
	m.access(t, size, write)
	m.exactly(t, size, write)
	if t.space == spaceGlobal && !write {
		m.SectorsFetched = w.cta.fetch(t, size)
	}
	w.charge(&m, t)
}

// charge counts what the running instruction moved, where lines are counted too; t has its addresses in global memory, if any.
func (w *warp) charge(m *memoryCounts, t *traffic) {
	w.memory.add(m)
	l := &w.cta.traffic[w.pc]
	l.MemoryCounts.add(m)
	if l.buffer == nil && t.space == spaceGlobal && t.n > 0 {
		l.buffer = w.cta.launch.mem.find(t.addrs[0])
	}
}

// access counts the bytes of an access.
func (m *memoryCounts) access(t *traffic, size int, write bool) {
	bytes := uint64(t.n * size)
	switch {
	case t.space == spaceGlobal && write:
		m.GlobalStored += bytes
	case t.space == spaceGlobal:
		m.GlobalLoaded += bytes
	case t.space == spaceShared && write:
		m.SharedStored += bytes
	case t.space == spaceShared:
		m.SharedLoaded += bytes
	}
}

// exactly counts the sectors or conflicts of an access.
func (m *memoryCounts) exactly(t *traffic, size int, write bool) {
	switch {
	case t.space == spaceShared:
		m.Conflicts += t.conflicts(size)
	case t.space == spaceGlobal && write:
		m.SectorsStored += t.sectors(size)
	case t.space == spaceGlobal:
		m.SectorsLoaded += t.sectors(size)
	}
}

const sectorBytes = 32

// sectorsOf is how many sectors a run of bytes touches.
func sectorsOf(addr uint64, size int) uint64 {
	return (addr+uint64(size)-1)/sectorBytes - addr/sectorBytes + 1
}

// sectors counts the distinct 32-byte sectors that the lanes touch.
func (t *traffic) sectors(size int) uint64 {
	n := uint64(0)
	t.eachSector(size, func(uint64) { n++ })
	return n
}

// eachSector visits them.
func (t *traffic) eachSector(size int, visit func(sector uint64)) {
	var seen [2 * warpSize]uint64
	n := 0
	for _, a := range t.addrs[:t.n] {
	next:
		for s := a / sectorBytes; s <= (a+uint64(size)-1)/sectorBytes; s++ {
			for i := n - 1; i >= 0; i-- {
				if seen[i] == s {
					continue next
				}
			}
			if n < len(seen) {
				seen[n] = s
				n++
			}
			visit(s)
		}
	}
}

// cachedSectors is the size of a CTA's first-level cache: 16 KB, its share where eight have a multiprocessor. Each sector has one place in it.
const cachedSectors = 512

// fetch loads sectors through the cache and returns how many were not there.
func (c *cta) fetch(t *traffic, size int) (missed uint64) {
	t.eachSector(size, func(s uint64) {
		if place := &c.cache[s%cachedSectors]; *place != s+1 {
			*place = s + 1
			missed++
		}
	})
	return missed
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
