package emu

import (
	"math/bits"

	"llmc/runtime/device/emu/ptxtext"
)

const numBarriers = 17 // 16 named ones and that of the cluster

const clusterBarrier = 16

// barrier is a named barrier of a CTA. Threads are counted; an aligned instruction counts whole warps.
type barrier struct {
	expected int // threads; 0 while nobody has arrived
	arrived  int
	waiters  []waiter
	clock    []uint32 // races: what the arrivals published
	phase    int
	pop      int // reductions
	and, or  bool
}

// waiter is a group of lanes that waits for a barrier.
type waiter struct {
	w       *warp
	exec    uint32
	parking *parking
	result  func(w *warp, exec uint32, b *barrier)
}

// barrierInst is a decoded bar or barrier.
type barrierInst struct {
	id, count int32 // registers; count -1 for all threads
	sync      bool  // waits
	aligned   bool
	reduce    func(w *warp, exec uint32, b *barrier) // stores the result of bar.red
	with      pred
}

// decodeBar decodes bar and barrier: sync, arrive, red; bar.warp.sync; barrier.cluster.
func decodeBar(d *decoder) {
	switch {
	case hasMod(d.in, "warp"):
		d.warpSync()
		return
	case hasMod(d.in, "cluster"):
		d.clusterSync()
		return
	}
	args := d.in.Args
	b := &barrierInst{count: -1, sync: !hasMod(d.in, "arrive"), aligned: d.in.Op == "bar" || hasMod(d.in, "aligned")}
	if hasMod(d.in, "red") {
		if args = d.barrierReduction(b); args == nil {
			return
		}
	}
	if len(args) < 1 || len(args) > 2 {
		d.errorf(d.in.Pos, "%s needs a barrier and at most a count", d.in.Name())
		return
	}
	b.id = d.src(&args[0], typeU32)
	if len(args) == 2 {
		b.count = d.src(&args[1], typeU32)
	} else if !b.sync {
		d.errorf(d.in.Pos, "%s needs a count of threads", d.in.Name())
	}
	if b.aligned {
		d.collective(b.run, ClassBarrier)
	} else {
		d.emit(b.run, ClassBarrier)
	}
}

// barrierReduction decodes d, a, {b,} p of bar.red and returns the operands of the barrier.
func (d *decoder) barrierReduction(b *barrierInst) []ptxtext.Operand {
	args := d.in.Args
	if len(args) < 3 || len(args) > 4 {
		d.errorf(d.in.Pos, "%s needs a destination, a barrier and a predicate", d.in.Name())
		return nil
	}
	b.with = d.predSrc(&args[len(args)-1])
	if hasMod(d.in, "popc") {
		dst := d.dst(&args[0], typeU32)
		b.reduce = func(w *warp, exec uint32, x *barrier) {
			for m := exec; m != 0; m &= m - 1 {
				w.regs[dst][firstLane(m)] = uint64(x.pop)
			}
			w.init[dst] |= exec
		}
		return args[1 : len(args)-1]
	}
	dst, and := d.predDst(args[0].Name, args[0].Pos), hasMod(d.in, "and")
	b.reduce = func(w *warp, exec uint32, x *barrier) {
		v := uint32(0)
		if and && x.and || !and && x.or {
			v = exec
		}
		w.preds[dst] = w.preds[dst]&^exec | v
		w.predInit[dst] |= exec
	}
	return args[1 : len(args)-1]
}

func (b *barrierInst) run(w *warp) signal {
	lane := firstLane(w.exec)
	if !w.defined(b.id) || b.count >= 0 && !w.defined(b.count) || b.reduce != nil && !b.with.ok(w) {
		return goOn
	}
	id, uniform := w.uniform(b.id)
	if !uniform || id > 15 {
		w.fail(BadOperand, lane, "barrier %d: lanes must agree on one from 0 to 15", id)
		return goOn
	}
	threads := len(w.cta.warps) * warpSize
	if b.count >= 0 {
		n, same := w.uniform(b.count)
		if !same || n == 0 || n%warpSize != 0 || n > uint64(threads) {
			w.fail(BadOperand, lane, "a count of %d threads: it must be the same for all lanes, a multiple of %d, and at most the %d threads of the CTA", n, warpSize, threads)
			return goOn
		}
		threads = int(n)
	}
	return w.arrive(int(id), threads, b)
}

// uniform reads a register that must be the same in all executing lanes.
func (w *warp) uniform(r int32) (uint64, bool) {
	v := w.regs[r][firstLane(w.exec)]
	for m := w.exec; m != 0; m &= m - 1 {
		if w.regs[r][firstLane(m)] != v {
			return v, false
		}
	}
	return v, true
}

// arrive counts the executing lanes at a barrier. The last arrival releases everybody and the barrier starts anew.
func (w *warp) arrive(id, threads int, in *barrierInst) signal {
	b := &w.cta.barriers[id]
	if b.expected == 0 {
		b.expected, b.and, b.or, b.pop = threads, true, false, 0
	}
	if b.expected != threads {
		w.fail(BadOperand, firstLane(w.exec), "barrier %d is awaited by %d threads, here by %d", id, b.expected, threads)
		return goOn
	}
	n := bits.OnesCount32(w.exec)
	if in.aligned {
		n = warpSize
	}
	if b.arrived += n; b.arrived > b.expected {
		w.fail(BadOperand, firstLane(w.exec), "barrier %d expects %d threads and %d came", id, b.expected, b.arrived)
		return goOn
	}
	if in.reduce != nil {
		v := in.with.value(w)
		b.pop += bits.OnesCount32(v & w.exec)
		b.and = b.and && ^v&w.exec == 0
		b.or = b.or || v&w.exec != 0
	}
	w.release(&b.clock)
	if in.sync {
		b.waiters = append(b.waiters, waiter{w, w.exec, &parking{}, in.reduce})
	}
	var mine *parking
	if in.sync {
		mine = b.waiters[len(b.waiters)-1].parking
	}
	if b.arrived == b.expected {
		b.open(w.cta)
	}
	if mine == nil || mine.done {
		return goOn
	}
	w.parked = mine
	return park
}

// open releases all waiters.
func (b *barrier) open(c *cta) {
	c.progress++
	for i := range b.waiters {
		x := &b.waiters[i]
		x.w.acquire(b.clock)
		if x.result != nil {
			x.result(x.w, x.exec, b)
		}
		x.parking.done = true
	}
	b.expected, b.arrived, b.waiters = 0, 0, b.waiters[:0]
	b.phase++
	if b == &c.barriers[clusterBarrier] {
		c.clusterClock = append(c.clusterClock[:0], b.clock...)
	}
	clear(b.clock)
}

// warpSync decodes bar.warp.sync: the lanes of the mask meet and see each other's memory.
func (d *decoder) warpSync() {
	if !d.nargs(1, 1) {
		return
	}
	mask := d.src(&d.in.Args[0], typeU32)
	d.masked(mask, func(w *warp) signal {
		w.clock.tick(w)
		return goOn
	}, ClassBarrier)
}

// clusterSync decodes barrier.cluster for clusters of one CTA: all warps of the CTA meet.
func (d *decoder) clusterSync() {
	in := &barrierInst{sync: true, aligned: true}
	if hasMod(d.in, "arrive") {
		in.sync = false
	}
	waits := hasMod(d.in, "wait")
	d.collective(func(w *warp) signal {
		if !waits {
			w.clusterPhase, w.clusterArrived = w.cta.barriers[clusterBarrier].phase, true
			return w.arrive(clusterBarrier, len(w.cta.warps)*warpSize, in)
		}
		return w.clusterWait()
	}, ClassBarrier)
}

// clusterWait parks the warp until the phase of its last arrival is over.
func (w *warp) clusterWait() signal {
	b := &w.cta.barriers[clusterBarrier]
	if !w.clusterArrived {
		w.fail(BadOperand, firstLane(w.exec), "barrier.cluster.wait without barrier.cluster.arrive")
		return goOn
	}
	w.clusterArrived = false
	if b.phase > w.clusterPhase {
		w.acquire(w.cta.clusterClock)
		return goOn
	}
	p := &parking{}
	b.waiters = append(b.waiters, waiter{w, w.exec, p, nil})
	w.parked = p
	return park
}
