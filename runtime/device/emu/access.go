package emu

import "encoding/binary"

func (a *access) load(w *warp) signal {
	if w.exec&^w.init[a.base] != 0 {
		w.defined(a.base)
		return goOn
	}
	w.turn++
	t := &w.traffic
	t.start(w)
	base, checked := &w.regs[a.base], w.checked(a.space)
	if a.onePlace(w, base) && a.loadOne(w, base, checked) {
		return goOn
	}
	for m := w.exec; m != 0 && w.fault == nil; m &= m - 1 {
		lane := firstLane(m)
		if n := a.run(base, m, lane, checked); n > 1 {
			if p := a.resolveRun(w, lane, n, base[lane]+a.off, checked, false); p != nil {
				a.read(w, lane, n, p)
				m &^= (1<<(n-1) - 1) << lane
				continue
			} else if w.fault != nil {
				return goOn
			}
		}
		addr := base[lane] + a.off
		p := w.quick(a.space, addr, a.total)
		if p.bytes == nil {
			if p = w.resolve(a.space, lane, addr, a.total, false); p.bytes == nil {
				return goOn
			}
		}
		if a.strong && p.space == spaceGlobal {
			w.strongly(p.addr, func() {
				if w.note(lane, p, accessKind{sync: a.sync, strong: true}) {
					a.read(w, lane, 1, p.bytes)
				}
			})
		} else if !checked || w.note(lane, p, accessKind{sync: a.sync, strong: a.strong}) {
			a.read(w, lane, 1, p.bytes)
		}
		t.add(p.space, p.addr)
	}
	if w.fault == nil {
		a.loaded(w, t)
	}
	if a.sync.acquires() && w.fault == nil && w.cta.launch.mem.bus != nil {
		return yield // another card may have to write what it looks for
	}
	return goOn
}

// loaded ends a load: signed values are extended to their registers.
func (a *access) loaded(w *warp, t *traffic) {
	for _, r := range a.regs {
		if a.extend > 0 {
			v, m := &w.regs[r], lowBits(a.extend)
			for i := range v {
				if w.exec>>i&1 == 1 {
					v[i] = uint64(signExtend(v[i], a.narrow)) & m
				}
			}
		}
		w.init[r] |= w.exec
	}
	w.count(t, a.total, false)
}

// read takes the elements of n lanes, from lane on, out of their memory.
func (a *access) read(w *warp, lane, n int, p []byte) {
	for k, r := range a.regs {
		d := w.regs[r][lane:][:n]
		switch p := p[k*a.size:]; a.size {
		case 4:
			for i := range d {
				d[i] = uint64(binary.LittleEndian.Uint32(p[i*a.total:]))
			}
		case 8:
			for i := range d {
				d[i] = binary.LittleEndian.Uint64(p[i*a.total:])
			}
		case 2:
			for i := range d {
				d[i] = uint64(binary.LittleEndian.Uint16(p[i*a.total:]))
			}
		default:
			for i := range d {
				d[i] = uint64(p[i*a.total])
			}
		}
	}
}

func (a *access) store(w *warp) signal {
	if w.exec&^w.init[a.base] != 0 || !w.defined(a.regs...) {
		w.defined(a.base)
		return goOn
	}
	w.cta.progress++
	w.turn++
	t := &w.traffic
	t.start(w)
	base, checked := &w.regs[a.base], w.checked(a.space)
	for m := w.exec; m != 0 && w.fault == nil; m &= m - 1 {
		lane := firstLane(m)
		if n := a.run(base, m, lane, checked); n > 1 {
			if p := a.resolveRun(w, lane, n, base[lane]+a.off, checked, true); p != nil {
				a.write(w, lane, n, p)
				m &^= (1<<(n-1) - 1) << lane
				continue
			} else if w.fault != nil {
				return goOn
			}
		}
		addr := base[lane] + a.off
		p := w.quick(a.space, addr, a.total)
		if p.bytes == nil || w.seg.readOnly {
			if p = w.resolve(a.space, lane, addr, a.total, true); p.bytes == nil {
				return goOn
			}
		}
		if a.strong && p.space == spaceGlobal {
			w.strongly(p.addr, func() {
				if w.note(lane, p, accessKind{write: true, sync: a.sync, strong: true}) {
					a.write(w, lane, 1, p.bytes)
				}
			})
		} else if !checked || w.note(lane, p, accessKind{write: true, sync: a.sync, strong: a.strong}) {
			a.write(w, lane, 1, p.bytes)
		}
		t.add(p.space, p.addr)
	}
	if w.fault == nil {
		w.count(t, a.total, true)
	}
	return goOn
}

// write puts the elements of n lanes, from lane on, into their memory.
func (a *access) write(w *warp, lane, n int, p []byte) {
	for k, r := range a.regs {
		v := w.regs[r][lane:][:n]
		switch p := p[k*a.size:]; a.size {
		case 4:
			for i := range v {
				binary.LittleEndian.PutUint32(p[i*a.total:], uint32(v[i]))
			}
		case 8:
			for i := range v {
				binary.LittleEndian.PutUint64(p[i*a.total:], v[i])
			}
		case 2:
			for i := range v {
				binary.LittleEndian.PutUint16(p[i*a.total:], uint16(v[i]))
			}
		default:
			for i := range v {
				p[i*a.total] = byte(v[i])
			}
		}
	}
}

// strongly runs an access to global memory, with what the race check notes about it, as one step among those of other CTAs.
func (w *warp) strongly(addr uint64, f func()) {
	w.cta.polled = true
	if b := w.cta.launch.mem.bus; b != nil && addr >= globalStart && w.cta.launch.mem.owner(addr) != w.cta.launch.mem {
		b.writes.Add(1)
	}
	l := w.cta.launch.mem.owner(addr).lock(addr)
	defer l.Unlock()
	f()
}
