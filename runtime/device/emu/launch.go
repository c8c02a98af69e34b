package emu

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Kernel is a decoded entry. It may be launched from several goroutines.
type Kernel struct {
	prog *program
	ctas sync.Pool // of *cta, from launches before
}

// Name of the entry.
func (k *Kernel) Name() string { return k.prog.name }

// Params lists the sizes in bytes of the kernel's parameters.
func (k *Kernel) Params() []int {
	sizes := make([]int, len(k.prog.params))
	for i, p := range k.prog.params {
		sizes[i] = p.size
	}
	return sizes
}

// StaticShared is the shared memory that the kernel declares, in bytes.
func (k *Kernel) StaticShared() int { return k.prog.shared }

// Config is what a launch says.
type Config struct {
	Grid, Block [3]uint32
	Shared      int      // bytes of dynamic shared memory
	Args        []uint64 // 8-byte slots: a parameter takes the low bytes of its slot, one larger than 8 bytes takes several
	// Early: the launch before may not have ended. Warps that have not waited for it may read memory that is never written, and nothing else.
	Early bool
}

// Options are how to emulate. The zero value is strict where strictness is cheap, without race checks.
type Options struct {
	Workers  int           // goroutines; 0 for GOMAXPROCS
	Resident int           // CTAs in progress at once, which may wait for each other; 0 for 2048 or what fits in 4 GiB
	Seed     uint64        // other than 0: asynchronous operations land at random, at the latest at their wait
	Races    bool          // check shared and global memory for races
	Counts   bool          // count sectors and bank conflicts
	Patience time.Duration // how long CTAs wait for other cards while none of these does anything; 0 for 5 minutes
	Steps    uint64        // warp instructions after which the launch fails; 0 for no limit
}

// launch is one run of a kernel.
type launch struct {
	Config
	kernel      *Kernel
	prog        *program
	mem         *Memory
	opt         Options
	params      []byte
	globals     []*Buffer
	sharedBytes int
	dynBase     uint32 // address of dynamic shared memory
	races       *globalRaces
	total       uint32
	steps       atomic.Uint64
	stopped     atomic.Bool

	mu     sync.Mutex
	next   uint32
	open   int // CTAs in progress
	queue  []*cta
	spare  []*cta
	fault  *Fault
	counts *Counts
	ended  map[uint32]uint32 // what CTAs that have ended knew, where several cards are checked for races
	writes uint64            // on the bus when they were last seen to change
	since  time.Time         // then
	looks  int               // of CTAs for what other cards write, since then
}

const (
	defaultResident = 2048
	residentBytes   = 4 << 30
)

// ctaBytes estimates the memory of a CTA in progress.
func ctaBytes(l *launch, threads int) int {
	warps := (threads + warpSize - 1) / warpSize
	n := l.sharedBytes + l.sharedBytes/2 + warps*warpSize*(8*l.prog.regs+l.prog.local) + 8*len(l.prog.code)
	if l.opt.Races {
		n += l.sharedBytes/4*(16+4*warps) + 64
	}
	return max(n, 1)
}

// Launch runs the kernel to its end and returns what it counted. A *Fault tells what the kernel did wrong.
func (k *Kernel) Launch(ctx context.Context, mem *Memory, cfg Config, opt Options) (*Counts, error) {
	l, err := k.prepare(mem, cfg, opt)
	if err != nil {
		return nil, err
	}
	workers := opt.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = min(workers, int(min(l.total, 1<<16)))
	if workers == 1 {
		l.work(ctx)
	} else {
		var group sync.WaitGroup
		for range workers {
			group.Go(func() { l.work(ctx) })
		}
		group.Wait()
	}
	mem.ended(l)
	l.counts.finish(l.prog)
	if l.fault != nil {
		return l.counts, mem.Fail(l.fault)
	}
	for _, c := range l.spare {
		c.detach()
		k.ctas.Put(c)
	}
	return l.counts, nil
}

var extents = [3]struct {
	name        string
	grid, block uint32
}{{"x", 1<<31 - 1, 1024}, {"y", 65535, 1024}, {"z", 65535, 64}}

func (k *Kernel) prepare(mem *Memory, cfg Config, opt Options) (*launch, error) {
	p := k.prog
	bad := func(format string, args ...any) (*launch, error) {
		return nil, fmt.Errorf("kernel %s: %s", p.name, fmt.Sprintf(format, args...))
	}
	ctas := uint64(1)
	for i, e := range extents {
		if cfg.Grid[i] < 1 || cfg.Grid[i] > e.grid {
			return bad("grid %s is %d, expected 1 to %d", e.name, cfg.Grid[i], e.grid)
		}
		if cfg.Block[i] < 1 || cfg.Block[i] > e.block {
			return bad("block %s is %d, expected 1 to %d", e.name, cfg.Block[i], e.block)
		}
		ctas *= uint64(cfg.Grid[i])
		if ctas > 1<<31 {
			return bad("a grid of more than %d CTAs", 1<<31)
		}
	}
	threads := int(cfg.Block[0] * cfg.Block[1] * cfg.Block[2])
	if threads > 1024 {
		return bad("%d threads a block, at most 1024", threads)
	}
	if err := checkLimits(p, cfg, threads); err != nil {
		return bad("%s", err)
	}
	if cfg.Shared < 0 {
		return bad("%d bytes of dynamic shared memory", cfg.Shared)
	}
	dyn := alignUp(p.shared, max(p.dynAlign, 16))
	if dyn+cfg.Shared > maxShared {
		return bad("%d bytes of shared memory, at most %d", dyn+cfg.Shared, maxShared)
	}
	l := &launch{
		Config: cfg, kernel: k, prog: p, mem: mem, opt: opt, sharedBytes: dyn + cfg.Shared, dynBase: uint32(sharedBase + dyn),
		total: uint32(ctas), counts: newCounts(len(p.code), opt.Counts),
	}
	if l.opt.Resident <= 0 {
		l.opt.Resident = max(min(defaultResident, residentBytes/ctaBytes(l, threads)), 1)
	}
	var err error
	if l.params, err = packArgs(p, cfg.Args); err != nil {
		return bad("%s", err)
	}
	if l.globals, err = mem.moduleGlobals(p.mod); err != nil {
		return nil, err
	}
	switch {
	case opt.Races && mem.bus != nil:
		l.races = mem.bus.races
	case opt.Races && l.total > 1:
		l.races = newGlobalRaces()
	}
	return l, nil
}

func checkLimits(p *program, cfg Config, threads int) error {
	if m := p.limits.MaxThreads; m[0] > 0 && threads > m[0]*m[1]*m[2] {
		return fmt.Errorf("%d threads a block, .maxntid allows %d", threads, m[0]*m[1]*m[2])
	}
	for i, r := range p.limits.ReqThreads {
		if p.limits.ReqThreads[0] > 0 && uint32(r) != cfg.Block[i] {
			return fmt.Errorf("block %v, .reqntid demands %v", cfg.Block, p.limits.ReqThreads)
		}
	}
	if c := p.limits.ReqCluster; c[0]*c[1]*c[2] > 1 {
		return fmt.Errorf(".reqnctapercluster %v: clusters of more than one CTA are not supported", c)
	}
	return nil
}

func packArgs(p *program, args []uint64) ([]byte, error) {
	bytes := make([]byte, p.paramSize)
	next := 0
	for _, q := range p.params {
		slots := max((q.size+7)/8, 1)
		if next+slots > len(args) {
			return nil, fmt.Errorf("%d argument slots given, parameter %s needs slot %d", len(args), q.name, next+slots-1)
		}
		for i := range q.size {
			bytes[q.offset+i] = byte(args[next+i/8] >> (8 * (i % 8)))
		}
		next += slots
	}
	if next != len(args) {
		return nil, fmt.Errorf("%d argument slots given, the kernel takes %d", len(args), next)
	}
	return bytes, nil
}

// work runs CTAs until none is left. A CTA that may be waiting for another one makes room: new CTAs go first, so that all that
// wait for each other get to run.
func (l *launch) work(ctx context.Context) {
	counts := newCounts(len(l.prog.code), l.opt.Counts)
	defer l.counted(counts)
	for {
		c, ok := l.take()
		if !ok {
			return
		}
		if c == nil { // all CTAs are in the hands of other workers
			time.Sleep(idleSleep)
			continue
		}
		c.counts, c.traffic = counts.perInst, counts.traffic
		for ended := false; !ended && !c.polled; {
			ended = l.slice(ctx, c)
		}
		if c.polled && !c.ended {
			l.awaitCards(c)
		}
		l.put(c)
	}
}

const idleSleep = 50 * time.Microsecond

// slice runs a CTA for a while and reports whether it is over.
func (l *launch) slice(ctx context.Context, c *cta) bool {
	ended, fault := c.slice()
	steps := l.steps.Add(c.steps)
	c.steps = 0
	switch {
	case fault != nil:
	case l.opt.Steps > 0 && steps > l.opt.Steps && !ended:
		fault = c.stuck(fmt.Sprintf("more than %d warp instructions", l.opt.Steps))
		fault.Kind = StepLimit
	case ctx.Err() != nil:
		fault = &Fault{Kind: Canceled, Kernel: l.prog.name, Whole: true, Msg: ctx.Err().Error()}
	}
	if fault != nil {
		l.stop(fault)
	}
	c.ended = ended || l.stopped.Load()
	return c.ended
}

func (l *launch) stop(f *Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped.Store(true)
	if l.fault == nil {
		l.fault = f
	}
}

// take returns a CTA to run; ok is false when there is nothing left to do, c is nil when the rest is being run by others.
func (l *launch) take() (c *cta, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.fault != nil:
		return nil, false
	case l.next < l.total && l.open < l.opt.Resident:
		if n := len(l.spare); n > 0 {
			c, l.spare = l.spare[n-1], l.spare[:n-1]
		} else {
			c = l.anotherCTA()
		}
		c.start(l.next)
		l.next++
		l.open++
		return c, true
	case len(l.queue) > 0:
		c = l.queue[0]
		l.queue = l.queue[1:]
		return c, true
	}
	return nil, l.open > 0
}

// counted takes over how often a worker executed each instruction, and what these moved.
func (l *launch) counted(c *Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, n := range c.perInst {
		l.counts.perInst[i] += n
	}
	for i := range c.traffic {
		l.counts.traffic[i].add(&c.traffic[i])
	}
}

func (l *launch) put(c *cta) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.polled = false
	if !c.ended {
		l.queue = append(l.queue, c)
		return
	}
	l.open--
	if l.races != nil && l.mem.bus != nil {
		joinClock(&l.ended, c.order.snapshot())
	}
	l.counts.add(c)
	l.spare = append(l.spare, c)
}
