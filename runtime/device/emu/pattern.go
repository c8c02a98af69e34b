package emu

// Most accesses of a warp have one address for all lanes, or addresses that follow each other. What is so is resolved and checked once
// instead of lane by lane; what is found wrong with it is left to the lanes in turn, which say whose fault it is.

// onePlace reports whether all executing lanes have the same address.
func (a *access) onePlace(w *warp, base *vec) bool {
	if a.strong || a.space == spaceLocal { // steps of their own, memory of their own
		return false
	}
	if a.fixed {
		return true
	}
	if w.exec != allLanes {
		return false
	}
	for _, addr := range base[1:] {
		if addr != base[0] {
			return false
		}
	}
	return true
}

// run counts the lanes of a mask, from lane on, each of which stands right behind the one before.
func (a *access) run(base *vec, mask uint32, lane int, checked bool) int {
	if a.strong || a.space == spaceLocal || checked && a.total < 4 { // the checks go by words
		return 1
	}
	n := 1
	for next := lane + 1; next < warpSize && mask>>next&1 == 1 && base[next]-base[next-1] == uint64(a.total); next++ {
		n++
	}
	return n
}

// loadOne loads for all executing lanes what lies at their common address. It is false where each lane has memory of its own there.
func (a *access) loadOne(w *warp, base *vec, checked bool) bool {
	lane := firstLane(w.exec)
	p := w.quick(a.space, base[lane]+a.off, a.total)
	if p.bytes == nil {
		if p = w.resolve(a.space, lane, base[lane]+a.off, a.total, false); p.bytes == nil {
			return true
		}
	}
	if p.space == spaceLocal {
		return false
	}
	if checked && p.space != spaceParam && p.space != spaceConst {
		// A second lane stands for all others: if one of them wrote there, at least one of these two is another one.
		rest := w.exec & (w.exec - 1)
		if !w.note(lane, p, accessKind{}) || rest != 0 && !w.note(firstLane(rest), p, accessKind{}) {
			return true
		}
	}
	a.read(w, lane, 1, p.bytes)
	for _, r := range a.regs {
		w.spread(r, lane)
	}
	t := &w.traffic
	t.addRun(p.space, p.addr, int(popcount(w.exec)), 0)
	a.loaded(w, t)
	return true
}

// spread copies a lane's register to all executing lanes.
func (w *warp) spread(r int32, lane int) {
	d := &w.regs[r]
	v := d[lane]
	if w.exec == allLanes {
		for i := range d {
			d[i] = v
		}
		return
	}
	for m := w.exec; m != 0; m &= m - 1 {
		d[firstLane(m)] = v
	}
}

// resolveRun is the memory of n lanes that follow each other, from lane on, after all checks; nil where one is at fault, or where the lanes must be
// looked at one by one.
func (a *access) resolveRun(w *warp, lane, n int, addr uint64, checked, write bool) []byte {
	p := w.quick(a.space, addr, a.total)
	if p.bytes == nil || write && p.space == spaceGlobal && w.seg.readOnly {
		if p = w.resolve(a.space, lane, addr, a.total, write); p.bytes == nil {
			return nil
		}
	}
	var all []byte
	var at uint64
	switch p.space {
	case spaceGlobal:
		all, at = w.seg.data, p.addr-w.seg.addr
	case spaceShared:
		all, at = w.cta.shared, p.addr-sharedBase
	default:
		return nil
	}
	if uint64(len(all))-at < uint64(n*a.total) || checked && !w.noteRun(lane, n, p, write) {
		return nil
	}
	w.traffic.addRun(p.space, p.addr, n, a.total)
	return all[at:][:n*a.total]
}

// noteRun is note for n lanes that follow each other, of which p is the first. It is false where a lane is at fault, which for shared memory
// the lanes in turn have to say: nobody else touches its marks meanwhile, as other CTAs do those of global memory.
func (w *warp) noteRun(lane, n int, p place, write bool) bool {
	if p.space == spaceShared {
		return w.noteSharedRun(lane, n, uint32(p.addr-sharedBase), len(p.bytes), write)
	}
	if r := w.cta.launch.races; r != nil && !w.seg.readOnly {
		return r.noteRun(w, lane, n, p.addr, len(p.bytes), write)
	}
	return true
}
