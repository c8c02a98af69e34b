package emu

import (
	"llmc/runtime/device/emu/ptxtext"
)

// asyncState holds a warp's asynchronous copies (cp.async) and the group numbers of its lanes.
type asyncState struct {
	ops      []*asyncOp
	open     [warpSize]uint32 // number of the group that collects now
	bulkOpen [warpSize]uint32
}

func (s *asyncState) reset() {
	s.ops = s.ops[:0]
	s.open, s.bulkOpen = [warpSize]uint32{}, [warpSize]uint32{}
}

// asyncOp is one cp.async of a warp, or an arrival that follows the copies before it.
type asyncOp struct {
	pc    int
	mask  uint32 // lanes that have not landed
	size  int
	dst   [warpSize]uint32 // offset in shared memory
	src   [warpSize]place
	group [warpSize]uint32
	mbar  [warpSize]uint32 // of arrivals
	isArr bool
	clock []uint32
}

func (op *asyncOp) fault(w *warp, msg string) *Fault {
	w.pc = op.pc
	w.fail(AsyncHazard, firstLane(op.mask), "%s", msg)
	return w.fault
}

// decodeCp decodes the cp family.
func decodeCp(d *decoder) {
	name := d.in.Name()
	switch {
	case hasMod(d.in, "bulk"):
		d.bulk()
	case hasMod(d.in, "commit_group"):
		d.emit(func(w *warp) signal {
			for m := w.exec; m != 0; m &= m - 1 {
				w.async.open[firstLane(m)]++
			}
			return goOn
		}, ClassCopy)
	case name == "cp.async.wait_all":
		d.emit(func(w *warp) signal { return w.landCopies(func(uint32, int) bool { return true }) }, ClassCopy)
	case hasMod(d.in, "wait_group"):
		if !d.nargs(1, 1) {
			return
		}
		n, _ := d.immediate(0, 1<<20)
		d.emit(func(w *warp) signal {
			return w.landCopies(func(group uint32, lane int) bool { return group+uint32(n) < w.async.open[lane] })
		}, ClassCopy)
	case hasMod(d.in, "mbarrier"):
		d.cpArrive()
	case hasMod(d.in, "async") && hasMod(d.in, "global"):
		d.cpAsync()
	default:
		d.unsupported("form")
	}
}

// cpAsync decodes cp.async.{ca,cg}.shared.global [dst], [src], size{, src-size or ignore-src}{, policy}.
func (d *decoder) cpAsync() {
	args := d.in.Args
	if hasMod(d.in, "L2::cache_hint") && len(args) > 3 {
		args = args[:len(args)-1]
	}
	if len(args) < 3 || len(args) > 4 {
		d.errorf(d.in.Pos, "%s: wrong number of operands", d.in.Name())
		return
	}
	size64, ok := d.immediate(2, 16)
	size := int(size64)
	if ok && (size != 4 && size != 8 && size != 16 || hasMod(d.in, "cg") && size != 16) {
		d.errorf(args[2].Pos, "cp.async copies 4, 8 or 16 bytes, with .cg only 16")
		return
	}
	_, dst, dstOff := d.address(&args[0], spaceShared)
	_, src, srcOff := d.address(&args[1], spaceGlobal)
	have, ignore := int32(-1), pred{}
	if len(args) == 4 {
		if d.isPred(&args[3]) {
			ignore = d.predSrc(&args[3])
		} else {
			have = d.src(&args[3], typeU32)
		}
	}
	d.emit(func(w *warp) signal {
		if !w.defined(dst, src) || have >= 0 && !w.defined(have) || !ignore.ok(w) {
			return goOn
		}
		w.turn++
		op := &asyncOp{pc: w.pc, mask: w.exec, size: size, group: w.async.open}
		skip := ignore.value(w)
		w.traffic.start(w)
		w.copied.start(w)
		for m := w.exec; m != 0; m &= m - 1 {
			lane := firstLane(m)
			n := size
			if have >= 0 {
				n = int(uint32(w.regs[have][lane]))
			}
			if skip>>lane&1 == 1 {
				n = 0
			}
			if !w.startCopy(op, lane, w.regs[dst][lane]+dstOff, w.regs[src][lane]+srcOff, n) {
				return goOn
			}
		}
		w.countCopy(size)
		w.async.ops = append(w.async.ops, op)
		if w.cta.chance.early() {
			w.land(op, op.mask)
			w.dropLanded()
		}
		return goOn
	}, ClassCopy)
}

// startCopy checks one lane's copy of n bytes, padded with zeros to the size of op, and marks its target.
func (w *warp) startCopy(op *asyncOp, lane int, dst, src uint64, n int) bool {
	if n > op.size {
		w.fail(BadOperand, lane, "the source size %d is larger than the copy of %d bytes", n, op.size)
		return false
	}
	if n > 0 {
		p := w.resolve(spaceGlobal, lane, src, op.size, false)
		if w.fault != nil && w.fault.Kind == BadAddress && n < op.size { // only n bytes are read
			w.fault = nil
			p = w.resolveGlobal(lane, src, n, false)
		}
		if p.bytes == nil {
			return false
		}
		p.bytes = p.bytes[:n]
		if !w.note(lane, p, accessKind{}) {
			return false
		}
		op.src[lane] = p
		w.traffic.add(spaceGlobal, p.addr)
		w.copied.bytes += uint64(n)
	}
	p := w.resolve(spaceShared, lane, dst, op.size, true)
	if p.bytes == nil || !w.note(lane, p, accessKind{write: true}) {
		return false
	}
	op.dst[lane] = uint32(p.addr - sharedBase)
	w.cta.mark(op.dst[lane], op.size, true)
	w.copied.add(spaceShared, p.addr)
	return true
}

// copied collects the places in shared memory of one copy of a warp, and how many bytes it reads.
type copied struct {
	traffic
	bytes uint64
}

func (c *copied) start(w *warp) {
	c.traffic.start(w)
	c.bytes = 0
}

// countCopy adds a copy of size bytes a lane to the counters. It stores to shared memory as a warp's stores do, in as many passes.
func (w *warp) countCopy(size int) {
	from, to := &w.traffic, &w.copied
	stored := uint64(to.n * size)
	m := memoryCounts{GlobalLoaded: to.bytes, SharedStored: stored, CopiedBytes: stored}
	if !to.exact {
		w.memory.add(&m)
		return
	}
	m.exactly(&to.traffic, size, true)
	if from.n > 0 {
		m.exactly(from, size, false)
		m.SectorsFetched = m.SectorsLoaded
	}
	w.charge(&m, from)
}

// mark sets or clears the landing mark of the words under [off,off+size).
func (c *cta) mark(off uint32, size int, on bool) {
	c.usesAsync = true
	for word := off / 4; word*4 < off+uint32(size); word++ {
		if on {
			c.reads[word] |= landing
		} else {
			c.reads[word] &^= landing
		}
	}
}

// landCopies lands the lanes' copies whose group is done.
func (w *warp) landCopies(done func(group uint32, lane int) bool) signal {
	for _, op := range w.async.ops {
		if op.isArr {
			continue
		}
		lanes := uint32(0)
		for m := op.mask & w.exec; m != 0; m &= m - 1 {
			if lane := firstLane(m); done(op.group[lane], lane) {
				lanes |= 1 << lane
			}
		}
		w.land(op, lanes)
	}
	w.dropLanded()
	return goOn
}

func (w *warp) land(op *asyncOp, lanes uint32) {
	c := w.cta
	for m := lanes & op.mask; m != 0; m &= m - 1 {
		lane := firstLane(m)
		if op.isArr {
			if b := c.mbars[op.mbar[lane]]; b != nil {
				joinEpochs(&b.clock, op.clock)
				b.pending--
				b.settle(c)
			}
			continue
		}
		to := c.shared[op.dst[lane]:][:op.size]
		n := copy(to, op.src[lane].bytes)
		clear(to[n:])
		c.mark(op.dst[lane], op.size, false)
	}
	op.mask &^= lanes
	c.progress++
}

func (w *warp) dropLanded() {
	kept := w.async.ops[:0]
	for _, op := range w.async.ops {
		if op.mask != 0 {
			kept = append(kept, op)
		}
	}
	w.async.ops = kept
}

// cpArrive decodes cp.async.mbarrier.arrive{.noinc}: the arrival happens when the lane's earlier copies have landed.
func (d *decoder) cpArrive() {
	if !d.nargs(1, 1) {
		return
	}
	sp, base, disp := d.address(&d.in.Args[0], spaceOf(d.in))
	noinc := hasMod(d.in, "noinc")
	d.emit(func(w *warp) signal {
		if !w.defined(base) {
			return goOn
		}
		op := &asyncOp{pc: w.pc, mask: w.exec, isArr: true}
		for m := w.exec; m != 0; m &= m - 1 {
			lane := firstLane(m)
			b, off := w.mbarrierAt(sp, lane, w.regs[base][lane]+disp, false)
			if w.fault != nil {
				return goOn
			}
			if !noinc {
				b.pending++
			}
			op.mbar[lane] = off
		}
		w.release(&op.clock)
		w.async.ops = append(w.async.ops, op)
		return goOn
	}, ClassCopy)
}

// landFor lands the arrivals on an mbarrier and the copies before them.
func (w *warp) landFor(off uint32) {
	found := false
	for i, op := range w.async.ops {
		if !op.isArr {
			continue
		}
		lanes := uint32(0)
		for m := op.mask; m != 0; m &= m - 1 {
			if op.mbar[firstLane(m)] == off {
				lanes |= 1 << firstLane(m)
			}
		}
		if lanes == 0 {
			continue
		}
		for _, earlier := range w.async.ops[:i] {
			if !earlier.isArr {
				w.land(earlier, lanes&earlier.mask)
			}
		}
		w.land(op, lanes)
		found = true
	}
	if found {
		w.dropLanded()
	}
}

// policyless drops the cache policy operand.
func policyless(in *ptxtext.Inst) []ptxtext.Operand {
	if hasMod(in, "L2::cache_hint") && len(in.Args) > 0 {
		return in.Args[:len(in.Args)-1]
	}
	return in.Args
}
