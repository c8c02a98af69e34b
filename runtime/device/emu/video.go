package emu

import "strings"

// decodeVideo decodes the scalar video instructions vadd, vsub, vabsdiff, vmin, vmax, vshl, vshr, vmad without byte selectors of
// the destination (PTX ISA, "Video Instructions"): 32-bit values or sub-words, a secondary operation with c.
func decodeVideo(d *decoder) {
	op := d.in.Op[1:]
	list := typesOf(d.in)
	if len(list) != 3 || op != "shr" && op != "shl" {
		d.unsupported("only vshl and vshr")
		return
	}
	for _, t := range list {
		if t.bits != 32 {
			d.unsupported("types other than 32 bits")
			return
		}
	}
	second, clamp := "", strings.Contains(d.in.Name(), ".clamp")
	for _, m := range d.in.Mods {
		if m == "add" || m == "min" || m == "max" {
			second = m
		}
	}
	shift := func(a, b uint64) uint64 {
		n := b & 31
		if clamp {
			n = min(b, 32)
		}
		switch {
		case op == "shl":
			return uint64(uint32(a << n))
		case list[1].signed():
			return uint64(uint32(signExtend(a, 32) >> n))
		}
		return a >> n
	}
	if second == "" {
		d.op2(typeB32, each2(shift), ClassInt)
		return
	}
	fold := atomicOps[second](typ{list[0].kind, 32, 1})
	d.op3(typeB32, each3(func(a, b, c uint64) uint64 { return fold(shift(a, b), c, 0) & 0xffffffff }), ClassInt)
}
