package emu

import (
	"math"

	"llmc/runtime/device/emu/ptxtext"
)

// relation is a comparison: whether it holds for less, equal, greater, and unordered.
type relation struct {
	lt, eq, gt, nan bool
	unsigned        bool // lo, ls, hi, hs
}

var relations = map[string]relation{
	"eq": {eq: true}, "ne": {lt: true, gt: true}, "lt": {lt: true}, "le": {lt: true, eq: true}, "gt": {gt: true}, "ge": {eq: true, gt: true},
	"lo": {lt: true, unsigned: true}, "ls": {lt: true, eq: true, unsigned: true}, "hi": {gt: true, unsigned: true}, "hs": {eq: true, gt: true, unsigned: true},
	"equ": {eq: true, nan: true}, "neu": {lt: true, gt: true, nan: true}, "ltu": {lt: true, nan: true}, "leu": {lt: true, eq: true, nan: true},
	"gtu": {gt: true, nan: true}, "geu": {eq: true, gt: true, nan: true},
	"num": {lt: true, eq: true, gt: true}, "nan": {nan: true},
}

// compare returns one bit a lane.
type compare func(a, b *vec) uint32

// compareInt: numbers that are not less are equal or greater, so that two loops with two ways to negate each do for six relations.
func compareInt[T integer](r relation) compare {
	flip := uint32(0)
	switch {
	case r.lt == r.gt && r.gt == r.eq: // num, nan
		return func(_, _ *vec) uint32 { return -uint32(truth(r.eq)) }
	case r.lt == r.gt: // eq, ne
		if !r.eq {
			flip = allLanes
		}
		return func(a, b *vec) uint32 { return equalLanes[T](a, b) ^ flip }
	case r.eq: // le, ge: not greater, not less
		flip = allLanes
	}
	swapped := r.gt != r.eq // gt, le
	return func(a, b *vec) uint32 {
		if swapped {
			a, b = b, a
		}
		return lessLanes[T](a, b) ^ flip
	}
}

func equalLanes[T integer](a, b *vec) uint32 {
	out := uint32(0)
	for i := range a {
		bit := uint32(0)
		if T(a[i]) == T(b[i]) {
			bit = 1
		}
		out |= bit << i
	}
	return out
}

func lessLanes[T integer](a, b *vec) uint32 {
	out := uint32(0)
	for i := range a {
		bit := uint32(0)
		if T(a[i]) < T(b[i]) {
			bit = 1
		}
		out |= bit << i
	}
	return out
}

func compareFloat(r relation, value func(v uint64) float64) compare {
	return func(a, b *vec) uint32 {
		out := uint32(0)
		for i := range a {
			x, y := value(a[i]), value(b[i])
			bit := uint32(0)
			if x < y && r.lt || x == y && r.eq || x > y && r.gt || (x != x || y != y) && r.nan {
				bit = 1
			}
			out |= bit << i
		}
		return out
	}
}

func (d *decoder) comparison(t typ, word string, ftz bool) compare {
	r, ok := relations[word]
	if !ok {
		d.errorf(d.in.Pos, "%s: unknown comparison %q", d.in.Name(), word)
		return nil
	}
	if !t.float() {
		table := perType[compare]{
			compareInt[uint16](r), compareInt[uint32](r), compareInt[uint64](r),
			compareInt[int16](r), compareInt[int32](r), compareInt[int64](r),
		}
		one := t
		if r.unsigned {
			one.kind = kUnsigned
		}
		f, ok := table.find(one)
		if !ok {
			d.unsupported("type")
		}
		return f
	}
	switch {
	case t.bits == 64:
		return compareFloat(r, math.Float64frombits)
	case t.bits == 32:
		return compareFloat(r, func(v uint64) float64 { return float64(float32From(v, ftz)) })
	}
	fm, ok := formatOf(t)
	if !ok {
		d.unsupported("type")
		return nil
	}
	return compareFloat(r, func(v uint64) float64 { return fm.input(v, ftz) })
}

// comparing is the common part of setp and set: op(.bool), types, a, b and the predicate that is combined.
type comparing struct {
	test    compare
	a, b    int32
	with    pred
	combine func(a, b uint32) uint32 // nil without a boolean operator
	t       typ
}

func (d *decoder) comparing(t typ) (c comparing, ok bool) {
	args := d.in.Args
	c.t = t
	one := t
	one.pack = 1
	c.test = d.comparison(one, d.in.Mods[0], hasMod(d.in, "ftz"))
	for _, m := range d.in.Mods[1:] {
		if f := predOps[m]; f != nil {
			c.combine = f
		}
	}
	want := 3
	if c.combine != nil {
		want = 4
	}
	if len(args) != want {
		d.errorf(d.in.Pos, "%s has %d operands, expected %d", d.in.Name(), len(args), want)
		return c, false
	}
	c.a, c.b = d.src(&args[1], t), d.src(&args[2], t)
	if c.combine != nil {
		c.with = d.predSrc(&args[3])
	}
	return c, d.err == nil
}

// decodeSetp decodes setp: p|q = (a cmp b) op c, with q = !(a cmp b) op c. Packed types compare both halves: p low, q high.
func decodeSetp(d *decoder) {
	t, ok := d.lastType()
	if !ok || !d.nargs(3, 4) {
		return
	}
	c, ok := d.comparing(t)
	if !ok {
		return
	}
	p, q := d.predDst(d.in.Args[0].Name, d.in.Pos), int32(-1)
	if alt := d.in.Args[0].Alt; alt != "" {
		q = d.predDst(alt, d.in.Pos)
	}
	if t.pack == 2 && q < 0 {
		d.errorf(d.in.Pos, "setp of a packed type needs two destinations p|q")
		return
	}
	if t.pack == 1 && c.combine == nil && q < 0 {
		d.emit(func(w *warp) signal {
			if w.exec&^(w.init[c.a]&w.init[c.b]) != 0 {
				w.defined(c.a, c.b)
				return goOn
			}
			w.setPred(p, c.test(&w.regs[c.a], &w.regs[c.b]))
			return goOn
		}, ClassInt)
		return
	}
	d.emit(func(w *warp) signal {
		if !w.defined(c.a, c.b) || c.combine != nil && !c.with.ok(w) {
			return goOn
		}
		x, y := c.run(w)
		w.setPred(p, x)
		if q >= 0 {
			w.setPred(q, y)
		}
		return goOn
	}, ClassInt)
}

// run returns the results of p and q.
func (c *comparing) run(w *warp) (p, q uint32) {
	if c.t.pack == 2 {
		var a, b, ha, hb vec
		for i := range a {
			a[i], ha[i] = w.regs[c.a][i]&0xffff, w.regs[c.a][i]>>16
			b[i], hb[i] = w.regs[c.b][i]&0xffff, w.regs[c.b][i]>>16
		}
		p, q = c.test(&a, &b), c.test(&ha, &hb)
	} else {
		p = c.test(&w.regs[c.a], &w.regs[c.b])
		q = ^p
	}
	if c.combine != nil {
		v := c.with.value(w)
		p, q = c.combine(p, v), c.combine(q, v)
	}
	return p, q
}

// decodeSet decodes set: all ones (or 1.0) where the comparison holds. The types are destination, source.
func decodeSet(d *decoder) {
	list := typesOf(d.in)
	if len(list) < 1 || !d.nargs(3, 4) {
		d.errorf(d.in.Pos, "set needs types and operands")
		return
	}
	t, td := list[len(list)-1], list[0]
	c, ok := d.comparing(t)
	if !ok {
		return
	}
	yes := lowBits(td.bits)
	if td.float() {
		one := ptxtext.Number{Bits: math.Float64bits(1), Float: true}
		yes = numberBits(one, typ{td.kind, td.bits, 1})
	}
	dst := d.dst(&d.in.Args[0], typ{kBits, td.width(), 1})
	d.emit(func(w *warp) signal {
		if !w.defined(c.a, c.b) || c.combine != nil && !c.with.ok(w) {
			return goOn
		}
		p, q := c.run(w)
		for i := range w.tmp {
			w.tmp[i] = -uint64(p>>i&1) & yes
			if t.pack == 2 {
				w.tmp[i] = w.tmp[i]&lowBits(td.bits) | -uint64(q>>i&1)&yes<<td.bits
			}
		}
		w.keep(dst)
		return goOn
	}, ClassInt)
}
