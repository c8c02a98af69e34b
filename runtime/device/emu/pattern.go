package emu

// pattern says how the addresses of an access lie. The two usual ones are resolved and checked once instead of lane by lane; what
// they find wrong is left to the lanes in turn, which say whose fault it is.
type pattern uint8

const (
	scattered pattern = iota
	onePlace          // all executing lanes at one address
	row               // all lanes, each right behind the one before
)

func (a *access) pattern(w *warp, base *vec) pattern {
	switch {
	case a.strong, a.space == spaceLocal:
		return scattered // steps of their own, memory of their own
	case a.fixed:
		return onePlace
	case w.exec != allLanes:
		return scattered
	}
	step := base[1] - base[0]
	if step != 0 && step != uint64(a.total) {
		return scattered
	}
	for i := 2; i < warpSize; i++ {
		if base[i]-base[i-1] != step {
			return scattered
		}
	}
	if step == 0 {
		return onePlace
	}
	return row
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
	a.read(w, lane, p.bytes)
	for _, r := range a.regs {
		w.spread(r, lane)
	}
	t := &w.traffic
	for range popcount(w.exec) {
		t.add(p.space, p.addr)
	}
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

// row is the memory of lanes that follow each other, after all checks; nil where the lanes must be looked at one by one.
func (a *access) row(w *warp, base *vec, checked, write bool) []byte {
	p := w.quick(a.space, base[0]+a.off, a.total)
	if p.bytes == nil || write && p.space == spaceGlobal && w.seg.readOnly {
		if p = w.resolve(a.space, 0, base[0]+a.off, a.total, write); p.bytes == nil {
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
	if uint64(len(all))-at < uint64(warpSize*a.total) || checked && !w.noteRow(p, write) {
		return nil
	}
	t := &w.traffic
	t.space, t.n = p.space, warpSize
	for i := range t.addrs {
		t.addrs[i] = p.addr + uint64(i*a.total)
	}
	return all[at:][:warpSize*a.total]
}

// noteRow is note for 32 lanes that follow each other, of which p is the first. It is false where a lane may be at fault.
func (w *warp) noteRow(p place, write bool) bool {
	size := len(p.bytes)
	if size < 4 {
		return false // lanes share words
	}
	if p.space == spaceShared {
		return w.noteSharedRow(uint32(p.addr-sharedBase), size, write)
	}
	if r := w.cta.launch.races; r != nil && !w.seg.readOnly {
		return r.noteRow(w, p.addr, size, write)
	}
	return true
}
