package emu

import (
	"strings"

	"llmc/runtime/device/emu/ptxtext"
)

// access is a decoded ld or st.
type access struct {
	space  space
	base   int32
	fixed  bool // the base is a constant: all lanes have one address
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
	_, a.fixed = d.constant(a.base)
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
	a, ok := d.access(&d.in.Args[1], &d.in.Args[0], true)
	switch {
	case !ok:
	case hasMod(d.in, "nc"):
		d.emit(a.loadConstant, ClassLoad)
	default:
		d.emit(a.load, ClassLoad)
	}
}

// loadConstant is a load of what nobody writes while the kernel runs. One that may have been started before the launch before it ended is only sure of
// memory that is never written.
func (a *access) loadConstant(w *warp) signal {
	next := a.load(w)
	if w.fault == nil && w.exec != 0 && w.cta.launch.Early && !w.seg.readOnly {
		lane := firstLane(w.exec)
		w.failAddr(TooEarly, lane, w.regs[a.base][lane]+a.off, "ld.global.nc of buffer %s, which the launch before may have written while this one ran", w.seg.name)
	}
	return next
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
