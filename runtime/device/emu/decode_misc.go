package emu

import (
	"strings"

	"llmc/runtime/device/emu/ptxtext"
)

// immediate reads operand i, which must be a constant up to high.
func (d *decoder) immediate(i int, high uint64) (uint64, bool) {
	if d.err != nil {
		return 0, false
	}
	o := &d.in.Args[i]
	if o.Kind != ptxtext.NumberOperand || o.Num.Int() > high {
		d.errorf(o.Pos, "operand %d of %s must be a constant from 0 to %d", i+1, d.in.Name(), high)
		return 0, false
	}
	return o.Num.Int(), true
}

// cloneInst is the instruction with its first n operands alone.
func cloneInst(in *ptxtext.Inst, n int) *ptxtext.Inst {
	c := *in
	c.Args = in.Args[:n]
	return &c
}

// decodeMov decodes mov: registers, predicates, packing and unpacking of vectors.
func decodeMov(d *decoder) {
	t, ok := d.lastType()
	if !ok || !d.nargs(2, 2) {
		return
	}
	if t.kind == kPred {
		d.predLogic()
		return
	}
	dst, src := &d.in.Args[0], &d.in.Args[1]
	if hasMod(d.in, "v2") || hasMod(d.in, "v4") || hasMod(d.in, "v8") {
		d.moveVector(t, d.elements(dst), d.elements(src))
		return
	}
	dv, sv := d.elements(dst), d.elements(src)
	switch {
	case len(sv) > 1:
		d.pack(t, dst, sv)
	case len(dv) > 1:
		d.unpack(t, dv, src)
	default:
		a := d.src(src, t)
		d.emit(apply1(d.dst(dst, t), a, copyLanes), ClassMove)
	}
}

func (d *decoder) moveVector(t typ, dst, src []ptxtext.Operand) {
	if len(dst) != len(src) {
		d.errorf(d.in.Pos, "vectors of %d and %d elements", len(dst), len(src))
		return
	}
	from, to := make([]int32, len(src)), make([]int32, len(dst))
	for i := range src {
		from[i], to[i] = d.src(&src[i], t), d.dst(&dst[i], t)
	}
	d.emit(func(w *warp) signal {
		if !w.defined(from...) {
			return goOn
		}
		var saved [8]vec
		for i, r := range from {
			saved[i] = w.regs[r]
		}
		for i, r := range to {
			w.tmp = saved[i]
			w.keep(r)
		}
		return goOn
	}, ClassMove)
}

// pack joins the elements into one register, first element lowest.
func (d *decoder) pack(t typ, dst *ptxtext.Operand, list []ptxtext.Operand) {
	part := typ{kBits, t.width() / len(list), 1}
	regs := make([]int32, len(list))
	for i := range list {
		regs[i] = d.src(&list[i], part)
	}
	r, width := d.dst(dst, t), part.bits
	if width*len(list) != t.width() || width < 8 {
		d.errorf(d.in.Pos, "%d elements do not make a .b%d", len(list), t.width())
	}
	d.emit(func(w *warp) signal {
		if !w.defined(regs...) {
			return goOn
		}
		for i := range w.tmp {
			v := uint64(0)
			for k, e := range regs {
				v |= w.regs[e][i] & lowBits(width) << (k * width)
			}
			w.tmp[i] = v
		}
		w.keep(r)
		return goOn
	}, ClassMove)
}

func (d *decoder) unpack(t typ, list []ptxtext.Operand, src *ptxtext.Operand) {
	width := t.width() / len(list)
	a := d.src(src, t)
	regs := make([]int32, len(list))
	for i := range list {
		regs[i] = d.dst(&list[i], typ{kBits, width, 1})
	}
	if width*len(list) != t.width() || width < 8 {
		d.errorf(d.in.Pos, "a .b%d has no %d elements", t.width(), len(list))
	}
	d.emit(func(w *warp) signal {
		if !w.defined(a) {
			return goOn
		}
		from := w.regs[a]
		for k, r := range regs {
			for i := range w.tmp {
				w.tmp[i] = from[i] >> (k * width) & lowBits(width)
			}
			w.keep(r)
		}
		return goOn
	}, ClassMove)
}

// decodeSelp is d = p ? a : b.
func decodeSelp(d *decoder) {
	t, ok := d.lastType()
	if !ok || !d.nargs(4, 4) {
		return
	}
	a, b, p := d.src(&d.in.Args[1], t), d.src(&d.in.Args[2], t), d.predSrc(&d.in.Args[3])
	dst := d.dst(&d.in.Args[0], t)
	d.emit(func(w *warp) signal {
		if !p.ok(w) {
			return goOn
		}
		v := p.value(w)
		if need := w.exec & v; need&^w.init[a] != 0 {
			w.uninit(a, need&^w.init[a])
			return goOn
		}
		if need := w.exec &^ v; need&^w.init[b] != 0 {
			w.uninit(b, need&^w.init[b])
			return goOn
		}
		x, y := &w.regs[a], &w.regs[b]
		for i := range w.tmp {
			m := -uint64(v >> i & 1)
			w.tmp[i] = x[i]&m | y[i]&^m
		}
		w.keep(dst)
		return goOn
	}, ClassMove)
}

// decodeSlct is d = c >= 0 ? a : b; the last type is that of c.
func decodeSlct(d *decoder) {
	list := typesOf(d.in)
	if len(list) != 2 {
		d.errorf(d.in.Pos, "slct needs two types")
		return
	}
	t, c, ftz := list[0], list[1], hasMod(d.in, "ftz")
	d.op3Types(t, t, t, c, each3(func(a, b, sel uint64) uint64 {
		negative := int32(sel) < 0
		if c.float() { // NaN selects b, -0 selects a
			f := float32From(sel, ftz)
			negative = !(f >= 0)
		}
		if negative {
			return b
		}
		return a
	}), ClassMove)
}

// decodeCvta changes an address between a space and the generic space.
func decodeCvta(d *decoder) {
	if !d.nargs(2, 2) {
		return
	}
	t, ok := d.lastType()
	if !ok {
		return
	}
	offset := uint64(0)
	for _, m := range d.in.Mods {
		name, _, _ := strings.Cut(m, "::")
		switch spaceWords[name] {
		case spaceShared:
			offset = sharedWindow
		case spaceLocal:
			offset = localWindow
		}
	}
	if hasMod(d.in, "to") {
		offset = -offset
	}
	d.op1(t, func(d, a *vec) {
		for i := range d {
			d[i] = a[i] + offset
		}
	}, ClassInt)
}

// decodeIsspacep tests the window of a generic address.
func decodeIsspacep(d *decoder) {
	if !d.nargs(2, 2) {
		return
	}
	want := spaceGeneric
	for _, m := range d.in.Mods {
		name, _, _ := strings.Cut(m, "::")
		if s, ok := spaceWords[name]; ok {
			want = s
		}
	}
	p, a := d.predDst(d.in.Args[0].Name, d.in.Pos), d.src(&d.in.Args[1], typeU64)
	d.emit(func(w *warp) signal {
		if !w.defined(a) {
			return goOn
		}
		v := uint32(0)
		for i, addr := range w.regs[a] {
			v |= uint32(truth(windowOf(addr) == want)) << i
		}
		w.setPred(p, v)
		return goOn
	}, ClassInt)
}

// decodePolicy gives an opaque cache policy.
func decodePolicy(d *decoder) {
	if len(d.in.Args) < 1 {
		d.unsupported("form")
		return
	}
	zero := d.constReg(0)
	d.emit(apply1(d.dst(&d.in.Args[0], typ{kBits, 64, 1}), zero, copyLanes), ClassMove)
}

// decodeMapa maps an address to a CTA of the cluster, of which there is one.
func decodeMapa(d *decoder) {
	t, ok := d.lastType()
	if !ok || !d.nargs(3, 3) {
		return
	}
	a, rank := d.src(&d.in.Args[1], t), d.src(&d.in.Args[2], typeU32)
	dst := d.dst(&d.in.Args[0], t)
	d.emit(func(w *warp) signal {
		if !w.defined(a, rank) {
			return goOn
		}
		if r, _ := w.uniform(rank); r != 0 {
			w.fail(BadOperand, firstLane(w.exec), "CTA %d of a cluster of one", r)
			return goOn
		}
		w.tmp = w.regs[a]
		w.keep(dst)
		return goOn
	}, ClassInt)
}
