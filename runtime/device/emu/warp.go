package emu

import "math/bits"

// groupState says what a group of lanes waits for.
type groupState uint8

const (
	ready groupState = iota
	yielded
	gathering // at a collective, for further lanes
	parked    // at a barrier
)

// group is a set of lanes that share a program counter but do not run now.
type group struct {
	pc    int
	mask  uint32
	state groupState
	wait  *parking
}

// parking is the promise that a group may go on.
type parking struct{ done bool }

// warp is 32 lanes. The running group is (pc, active); the others stand in groups. next is the lowest pc at which the running
// group must stop to be merged with or to give way to another one.
type warp struct {
	prog  *program
	cta   *cta
	index int

	pc      int
	active  uint32
	next    int
	exec    uint32 // active lanes whose guard holds, during an instruction
	target  int    // of a split
	parked  *parking
	groups  []group
	running bool // (pc, active) is valid
	exited  uint32
	streak  int    // instructions since the last change of group
	turn    uint32 // memory instructions so far

	regs     []vec
	init     []uint32
	preds    []uint32
	predInit []uint32
	carry    uint32
	carryOK  uint32
	stamp    []uint32 // per register: fence at its last write; wgmma kernels only
	fences   uint32   // wgmma.fence seen

	local [][]byte
	seg   *Buffer // last global buffer touched
	// waited: the launch before has ended; see Config.Early.
	waited bool
	fault  *Fault
	tmp    vec

	clock   raceClock
	async   asyncState
	memory  memoryCounts
	traffic traffic // of the running memory instruction
	copied  copied
	mma     mmaScratch
	wg      wgmmaState

	clusterArrived bool
	clusterPhase   int // of the last barrier.cluster.arrive
}

const (
	noPC         = 1 << 30
	groupPatient = 1 << 14 // instructions that a group runs before others get a turn, so that no lane can starve its neighbours
)

// start readies the warp for its CTA; registers keep their memory.
func (w *warp) start(lanes uint32) {
	w.pc, w.active, w.next, w.running = 0, lanes, noPC, true
	w.groups, w.exited, w.streak = w.groups[:0], ^lanes, 0
	w.carryOK, w.fault, w.fences, w.seg, w.waited = 0, nil, 1, &noBuffer, false
	clear(w.init)
	clear(w.predInit)
	clear(w.stamp)
	w.predInit[predFalse], w.predInit[predTrue] = allLanes, allLanes
	w.preds[predFalse], w.preds[predTrue] = 0, allLanes
	for _, c := range w.prog.constants {
		w.init[c.reg] = allLanes
	}
	for _, s := range w.prog.specials {
		s.fill(w, &w.regs[s.reg])
		w.init[s.reg] = allLanes
	}
	for _, l := range w.local {
		fillNaN(l)
	}
	w.clusterArrived = false
	w.async.reset()
	w.wg.reset()
}

// done reports whether all lanes have exited.
func (w *warp) done() bool { return w.exited == allLanes }

// runnable reports whether the warp could execute something now.
func (w *warp) runnable() bool {
	if w.running {
		return true
	}
	for i := range w.groups {
		g := &w.groups[i]
		if g.state == ready || g.state == yielded || g.state == parked && g.wait.done {
			return true
		}
	}
	return false
}

// run executes up to quantum instructions and returns how many.
func (w *warp) run(quantum int) int {
	if !w.running && !w.pick() {
		return 0
	}
	code, counts := w.prog.code, w.cta.counts
	n := 0
	for n < quantum {
		if w.pc >= w.next && !w.regroup() {
			break
		}
		in := &code[w.pc]
		exec := w.active
		if in.guard >= 0 {
			if w.active&^w.predInit[in.guard] != 0 {
				w.uninitPred(in.guard)
				break
			}
			p := w.preds[in.guard]
			if in.not {
				p = ^p
			}
			exec &= p
		}
		n++
		counts[w.pc]++
		if exec == 0 && !in.whole {
			w.pc++
			continue
		}
		w.exec = exec
		s := in.run(w)
		if w.stamp != nil {
			for _, d := range in.dsts {
				w.stamp[d] = w.fences
			}
		}
		if w.fault != nil {
			break
		}
		if s == goOn {
			w.pc++
		} else if !w.obey(s) {
			break
		}
	}
	if w.streak += n; w.streak > groupPatient && w.running && len(w.groups) > 0 {
		w.leave(yielded, w.pc, nil)
		w.pick()
	}
	return n
}

// obey acts on a signal and reports whether the warp may go on within its quantum.
func (w *warp) obey(s signal) bool {
	switch s {
	case jump:
		w.recompute()
		return true
	case split:
		w.groups = append(w.groups, group{pc: w.target, mask: w.exec})
		w.active &^= w.exec
		w.pc++
		w.recompute()
		return true
	case finish:
		w.exited |= w.exec
		w.wake()
		if w.active &^= w.exec; w.active != 0 {
			w.pc++
			return true
		}
		w.running = false
		return w.pick()
	case yield:
		w.leave(yielded, w.pc+1, nil)
		w.pickReady()
		return w.running
	case wait:
		w.leave(gathering, w.pc, nil)
	case park:
		w.leave(parked, w.pc+1, w.parked)
	}
	return w.pick()
}

// wake lets gathering groups try again: the lanes that they wait for may have exited.
func (w *warp) wake() {
	for i := range w.groups {
		if w.groups[i].state == gathering {
			w.groups[i].state = ready
		}
	}
}

func (w *warp) leave(s groupState, pc int, p *parking) {
	w.groups = append(w.groups, group{pc, w.active, s, p})
	w.running = false
}

// pickReady makes the ready group with the lowest pc run.
func (w *warp) pickReady() bool {
	best := -1
	for i := range w.groups {
		g := &w.groups[i]
		if g.state == parked && g.wait.done {
			g.state, g.wait = ready, nil
		}
		if g.state == ready && (best < 0 || g.pc < w.groups[best].pc) {
			best = i
		}
	}
	if best < 0 {
		return false
	}
	g := w.groups[best]
	w.remove(best)
	w.pc, w.active, w.running, w.streak = g.pc, g.mask, true, 0
	w.recompute()
	return true
}

func (w *warp) remove(i int) {
	w.groups[i] = w.groups[len(w.groups)-1]
	w.groups = w.groups[:len(w.groups)-1]
}

// pick is pickReady, with the groups that yielded as second choice. Where only gathering groups are left they wait for lanes
// that will never come.
func (w *warp) pick() bool {
	if w.pickReady() {
		return true
	}
	if w.done() {
		return false
	}
	waiting := false
	for i := range w.groups {
		switch g := &w.groups[i]; g.state {
		case yielded:
			g.state = ready
		case parked:
			waiting = true
		}
	}
	if w.pickReady() {
		return true
	}
	if !waiting {
		w.scatterFault()
	}
	return w.fault == nil && w.running
}

// scatterFault blames a warp in which every group gathers: the lanes that they wait for will never come.
func (w *warp) scatterFault() {
	g := w.groups[0]
	w.pc, w.active, w.exec = g.pc, g.mask, g.mask
	lane := bits.TrailingZeros32(g.mask)
	if len(w.groups) > 1 {
		o := w.groups[1]
		w.fail(Divergence, lane, "lanes %#08x are here while lanes %#08x are at line %d (%s); all lanes that it names must execute it together",
			g.mask, o.mask, w.prog.code[o.pc].line, w.prog.code[o.pc].name)
		return
	}
	w.fail(Divergence, lane, "only lanes %#08x execute it, lanes %#08x have exited or were never there", g.mask, w.exited)
}

// regroup merges groups that stand at the running one's pc and switches to a ready group with a lower pc.
func (w *warp) regroup() bool {
	for i := 0; i < len(w.groups); {
		if g := w.groups[i]; g.pc == w.pc && (g.state != parked || g.wait.done) {
			w.active |= g.mask
			w.remove(i)
			continue
		}
		i++
	}
	for i := range w.groups {
		if g := w.groups[i]; g.pc < w.pc && (g.state == ready || g.state == parked && g.wait.done) {
			w.leave(ready, w.pc, nil)
			return w.pickReady()
		}
	}
	w.recompute()
	return true
}

// recompute sets next to the nearest pc where another group matters.
func (w *warp) recompute() {
	w.next = noPC
	for i := range w.groups {
		g := &w.groups[i]
		if g.pc >= w.pc || g.state == ready {
			w.next = min(w.next, g.pc)
		}
	}
}

func (w *warp) uninitPred(p int32) {
	w.fail(Uninitialized, bits.TrailingZeros32(w.active&^w.predInit[p]), "predicate %s was never written", w.prog.predNames[p])
}

// defined checks that the registers hold values in the executing lanes.
func (w *warp) defined(regs ...int32) bool {
	for _, r := range regs {
		if miss := w.exec &^ w.init[r]; miss != 0 {
			w.uninit(r, miss)
			return false
		}
	}
	return true
}

func (w *warp) uninit(r int32, lanes uint32) {
	lane := bits.TrailingZeros32(lanes)
	if w.wg.pending(r) {
		w.fail(AsyncHazard, lane, "register %s belongs to a wgmma that no wgmma.wait_group has completed", w.prog.regNames[r])
		return
	}
	w.fail(Uninitialized, lane, "register %s was never written", w.prog.regNames[r])
}
