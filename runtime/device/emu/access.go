package emu

import (
	"encoding/binary"
	"math/bits"
)

func (a *access) load(w *warp) signal {
	if w.exec&^w.init[a.base] != 0 {
		w.defined(a.base)
		return goOn
	}
	w.turn++
	t := &w.traffic
	t.n = 0
	base, checked := &w.regs[a.base], w.checked(a.space)
	switch a.pattern(w, base) {
	case onePlace:
		if a.loadOne(w, base, checked) {
			return goOn
		}
	case row:
		if p := a.row(w, base, checked, false); p != nil {
			for lane := range warpSize {
				a.read(w, lane, p[lane*a.total:])
			}
			a.loaded(w, t)
			return goOn
		}
	}
	for m := w.exec; m != 0 && w.fault == nil; m &= m - 1 {
		lane := bits.TrailingZeros32(m) & 31
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
					a.read(w, lane, p.bytes)
				}
			})
		} else if !checked || w.note(lane, p, accessKind{sync: a.sync, strong: a.strong}) {
			a.read(w, lane, p.bytes)
		}
		t.add(p.space, p.addr)
	}
	if w.fault == nil {
		a.loaded(w, t)
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

func (a *access) read(w *warp, lane int, p []byte) {
	switch a.size {
	case 4:
		for k, r := range a.regs {
			w.regs[r][lane] = uint64(binary.LittleEndian.Uint32(p[4*k:]))
		}
	case 8:
		for k, r := range a.regs {
			w.regs[r][lane] = binary.LittleEndian.Uint64(p[8*k:])
		}
	case 2:
		for k, r := range a.regs {
			w.regs[r][lane] = uint64(binary.LittleEndian.Uint16(p[2*k:]))
		}
	default:
		for k, r := range a.regs {
			w.regs[r][lane] = uint64(p[k])
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
	t.n = 0
	base, checked := &w.regs[a.base], w.checked(a.space)
	if a.pattern(w, base) == row {
		if p := a.row(w, base, checked, true); p != nil {
			for lane := range warpSize {
				a.write(w, lane, p[lane*a.total:])
			}
			w.count(t, a.total, true)
			return goOn
		}
	}
	for m := w.exec; m != 0 && w.fault == nil; m &= m - 1 {
		lane := bits.TrailingZeros32(m) & 31
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
					a.write(w, lane, p.bytes)
				}
			})
		} else if !checked || w.note(lane, p, accessKind{write: true, sync: a.sync, strong: a.strong}) {
			a.write(w, lane, p.bytes)
		}
		t.add(p.space, p.addr)
	}
	if w.fault == nil {
		w.count(t, a.total, true)
	}
	return goOn
}

func (a *access) write(w *warp, lane int, p []byte) {
	switch a.size {
	case 4:
		for k, r := range a.regs {
			binary.LittleEndian.PutUint32(p[4*k:], uint32(w.regs[r][lane]))
		}
	case 8:
		for k, r := range a.regs {
			binary.LittleEndian.PutUint64(p[8*k:], w.regs[r][lane])
		}
	case 2:
		for k, r := range a.regs {
			binary.LittleEndian.PutUint16(p[2*k:], uint16(w.regs[r][lane]))
		}
	default:
		for k, r := range a.regs {
			p[k] = byte(w.regs[r][lane])
		}
	}
}

// strongly runs an access to global memory, with what the race check notes about it, as one step among those of other CTAs.
func (w *warp) strongly(addr uint64, f func()) {
	w.cta.polled = true
	l := w.cta.launch.mem.lock(addr)
	defer l.Unlock()
	f()
}
