package emu

import (
	"encoding/binary"
	"math/bits"
	"strings"

	"llmc/runtime/device/emu/ptxtext"
)

// access is a decoded ld or st.
type access struct {
	space  space
	base   int32
	off    uint64
	size   int // bytes of an element
	total  int // bytes of the vector
	regs   []int32
	strong bool // volatile, relaxed, acquire, release: no race, serialized with atomics
	sync   syncOrder
	extend int // bits of the destination registers of a signed load, or 0
	narrow int // bits of an element
}

var strongWords = map[string]syncOrder{"volatile": orderRelaxed, "relaxed": orderRelaxed, "acquire": orderAcquire, "release": orderRelease, "acq_rel": orderBoth, "mmio": orderRelaxed}

// address decodes [base+off]. Where the instruction names no space and the base is a variable, the variable's space counts.
func (d *decoder) address(o *ptxtext.Operand, sp space) (space, int32, uint64) {
	if o.Kind != ptxtext.AddressOperand {
		d.errorf(o.Pos, "expected an address in brackets")
		return sp, 0, 0
	}
	if o.Name == "" {
		return sp, d.constReg(uint64(o.Off)), 0
	}
	name := *o
	name.Kind, name.Off = ptxtext.NameOperand, 0
	if s, ok := d.lookup(o.Name); ok && s.kind == symVar {
		if sp == spaceGeneric || sp == spaceParam && s.v.space == spaceLocal {
			sp = s.v.space // .param variables of a body live in local memory
		}
		if sp != s.v.space {
			d.errorf(o.Pos, "%s is not in the space of %s", o.Name, d.in.Name())
		}
		return sp, d.addressOf(s.v, o.Off), 0
	}
	t := typeU64
	if sp == spaceShared || sp == spaceConst || sp == spaceLocal || sp == spaceParam {
		t = typeU32 // either width will do
	}
	return sp, d.wide(&name, t), uint64(o.Off)
}

// spaceOf reads the state space among the modifiers; sub-spaces of shared mean the only CTA of the cluster.
func spaceOf(in *ptxtext.Inst) space {
	for _, m := range in.Mods {
		name, _, _ := strings.Cut(m, "::")
		if s, ok := spaceWords[name]; ok {
			return s
		}
	}
	return spaceGeneric
}

func vectorOf(in *ptxtext.Inst) int {
	for _, m := range in.Mods {
		switch m {
		case "v2":
			return 2
		case "v4":
			return 4
		case "v8":
			return 8
		}
	}
	return 1
}

// access decodes the parts that ld, ldu and st share; value is the register or vector operand.
func (d *decoder) access(addr, value *ptxtext.Operand, load bool) (a access, ok bool) {
	t, ok := d.lastType()
	if !ok {
		return a, false
	}
	a.space, a.base, a.off = d.address(addr, spaceOf(d.in))
	list := d.elements(value)
	n := vectorOf(d.in)
	if len(list) != n || t.kind == kPred || t.bits > 64 {
		d.errorf(d.in.Pos, "%s: %d registers for a vector of %d .%s", d.in.Name(), len(list), n, d.in.Mods[len(d.in.Mods)-1])
		return a, false
	}
	a.size, a.narrow = t.size(), t.width()
	a.total = a.size * n
	for i := range list {
		if load {
			if t.signed() && d.regBits(&list[i], t) > t.bits {
				a.extend = d.regBits(&list[i], t)
			}
			a.regs = append(a.regs, d.wideDst(&list[i], t))
		} else {
			a.regs = append(a.regs, d.wide(&list[i], t))
		}
	}
	for _, m := range d.in.Mods {
		if o, ok := strongWords[m]; ok {
			a.strong, a.sync = true, o
		}
	}
	return a, d.err == nil
}

func decodeLoad(d *decoder) {
	if len(d.in.Args) == 3 && hasMod(d.in, "L2::cache_hint") {
		d.in = cloneInst(d.in, 2)
	}
	if !d.nargs(2, 2) {
		return
	}
	if a, ok := d.access(&d.in.Args[1], &d.in.Args[0], true); ok {
		d.emit(a.load, ClassLoad)
	}
}

func decodeStore(d *decoder) {
	if len(d.in.Args) == 3 && hasMod(d.in, "L2::cache_hint") {
		d.in = cloneInst(d.in, 2)
	}
	if !d.nargs(2, 2) {
		return
	}
	if a, ok := d.access(&d.in.Args[0], &d.in.Args[1], false); ok {
		d.emit(a.store, ClassStore)
	}
}

func (a *access) load(w *warp) signal {
	if w.exec&^w.init[a.base] != 0 {
		w.defined(a.base)
		return goOn
	}
	w.turn++
	t := &w.traffic
	t.n = 0
	base, checked := &w.regs[a.base], w.checked(a.space)
	if p := a.row(w, base, checked); p != nil {
		for lane := range warpSize {
			a.read(w, lane, p[lane*a.total:])
		}
		a.loaded(w, t)
		return goOn
	}
	for m := w.exec; m != 0; m &= m - 1 {
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
		if w.fault != nil {
			return goOn
		}
		t.add(p.space, p.addr)
	}
	a.loaded(w, t)
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

// row is the memory of a whole warp whose lanes follow each other without a gap, the usual case; else nil.
func (a *access) row(w *warp, base *vec, checked bool) []byte {
	if checked || a.strong || w.exec != allLanes || base[1]-base[0] != uint64(a.total) {
		return nil
	}
	for i := 2; i < warpSize; i++ {
		if base[i]-base[i-1] != uint64(a.total) {
			return nil
		}
	}
	p := w.quick(a.space, base[0]+a.off, a.total)
	if p.bytes == nil {
		return nil
	}
	all, at := w.cta.shared, p.addr-sharedBase
	if p.space == spaceGlobal {
		all, at = w.seg.data, p.addr-w.seg.addr
	}
	if uint64(len(all))-at < uint64(warpSize*a.total) {
		return nil
	}
	t := &w.traffic
	t.space, t.n = p.space, warpSize
	for i := range t.addrs {
		t.addrs[i] = p.addr + uint64(i*a.total)
	}
	return all[at:][:warpSize*a.total]
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
	if p := a.row(w, base, checked || w.seg.readOnly); p != nil {
		for lane := range warpSize {
			a.write(w, lane, p[lane*a.total:])
		}
		w.count(t, a.total, true)
		return goOn
	}
	for m := w.exec; m != 0; m &= m - 1 {
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
		if w.fault != nil {
			return goOn
		}
		t.add(p.space, p.addr)
	}
	w.count(t, a.total, true)
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
