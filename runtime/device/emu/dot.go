package emu

// decodeDot decodes dp4a and dp2a: products of bytes (dp2a: of 16-bit halves of a with two bytes of b) are added to c.
func decodeDot(d *decoder) {
	list := typesOf(d.in)
	if len(list) != 2 {
		d.errorf(d.in.Pos, "%s needs two types", d.in.Name())
		return
	}
	signedA, signedB := list[0].signed(), list[1].signed()
	n, width, first := 4, 8, 0
	if d.in.Op == "dp2a" {
		n, width = 2, 16
		if hasMod(d.in, "hi") {
			first = 2
		}
	}
	d.op3(typeB32, each3(func(a, b, c uint64) uint64 {
		sum := int64(c)
		for i := range n {
			sum += field(a, i, width, signedA) * field(b, first+i, 8, signedB)
		}
		return uint64(uint32(sum))
	}), ClassInt)
}

// field is the i-th part of n bits.
func field(v uint64, i, n int, signed bool) int64 {
	v = v >> (i * n) & lowBits(n)
	if signed {
		return signExtend(v, n)
	}
	return int64(v)
}
