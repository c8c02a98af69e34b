package main

// binary is dst = f(a, b), f working on registers 0 and 1 and leaving its result in 0.
func binary(f func(k *rowKernel, a, b string)) func(k *rowKernel) {
	return func(k *rowKernel) {
		k.arguments("dst", out, "a", in, "b", other, "n", count)
		k.walk(f32s(out, in, other), 2, func() {
			k.load(in, k.reg(0))
			k.load(other, k.reg(1))
			f(k, k.reg(0), k.reg(1))
			k.store(k.reg(0), out)
		})
	}
}

// unary is dst = f(x) on register 0.
func unary(f func(k *rowKernel, x string)) func(k *rowKernel) {
	return func(k *rowKernel) {
		k.arguments("dst", out, "x", in, "n", count)
		k.walk(f32s(out, in), 2, func() {
			k.load(in, k.reg(0))
			f(k, k.reg(0))
			k.store(k.reg(0), out)
		})
	}
}

// exp replaces v by e^v, with the operations of exp32; registers from temp on are overwritten, five of them.
func (k *rowKernel) exp(v string, temp int) {
	r := k.reg(temp)
	k.op("VBROADCASTSS", constant("expHigh"), r)
	k.op("VMINPS", v, r, r) // NaN stays: the second source wins
	k.expOf(r, v, temp+1)
}

// expBelowHigh is exp for numbers that are not above expHigh.
func (k *rowKernel) expBelowHigh(v string, temp int) {
	k.op(k.move(), v, k.reg(temp))
	k.expOf(k.reg(temp), v, temp+1)
}

// polynomial leaves the polynomial in x of the constants, the highest power's first, in p, by Horner's rule.
func (k *rowKernel) polynomial(x, p string, coefficients ...string) {
	k.op("VBROADCASTSS", constant(coefficients[0]), p)
	for _, c := range coefficients[1:] {
		k.op(k.bcst("VFMADD213PS"), constant(c), x, p)
	}
}

// expOf stores e^r in v, or zero where v is below expLow; r is overwritten.
func (k *rowKernel) expOf(r, v string, temp int) {
	n, p, t, whole := k.reg(temp), k.reg(temp+1), k.reg(temp+2), k.reg(temp+3)
	k.op(k.bcst("VMULPS"), constant("log2e"), r, t)
	k.op("VCVTPS2DQ", t, n)
	k.op("VCVTDQ2PS", n, whole)
	k.op(k.bcst("VFNMADD231PS"), constant("ln2High"), whole, r)
	k.op(k.bcst("VFNMADD231PS"), constant("ln2Low"), whole, r)
	k.polynomial(r, p, "expP4", "expP3", "expP2", "expP1", "expP0")
	k.op("VMULPS", r, r, t)
	k.op("VFMADD213PS", r, t, p)
	k.op(k.bcst("VADDPS"), constant("one"), p, p)
	k.op("VPSLLD", imm(23), n, n)
	k.op("VPADDD", n, p, p)
	const notLess = 5
	if k.wide() {
		k.op(k.bcst("VCMPPS"), imm(notLess), constant("expLow"), v, "K2")
		k.op("VMOVAPS.Z", p, "K2", v)
		return
	}
	k.op("VCMPPS", imm(notLess), constant("expLow"), v, t)
	k.op("VANDPS", t, p, v)
}

// gateRows is dst = silu(gate) * up for rows of 32 numbers, whose gate and up lie side by side, with the operations of swiglu.
func gateRows(k *rowKernel) {
	k.arguments("dst", out, "src", in, "rows", count, "dstStride", other)
	again := k.newLabel("row")
	k.place(again)
	for c := range lanes / k.lanes() {
		first, at := c%2*(k.registers/2), c*k.bytes
		v := k.reg(first)
		k.op("VMOVUPS", mem(at, in), v)
		k.silu(v, first+1)
		k.op("VMULPS", mem(stepBytes+at, in), v, v)
		k.op("VMOVUPS", v, mem(at, out))
	}
	k.op("ADDQ", imm(2*stepBytes), in)
	k.op("ADDQ", other, out)
	k.op("DECQ", count)
	k.op("JNE", again)
}

// silu replaces v by v / (1 + e^-v).
func (k *rowKernel) silu(v string, temp int) {
	e := k.reg(temp)
	k.op(k.bcst("VXORPS"), constant("signBit"), v, e)
	k.exp(e, temp+1)
	k.op(k.bcst("VADDPS"), constant("one"), e, e)
	k.op("VDIVPS", e, v, v)
}

// scaleMul is dst = (x*scale)*w.
func scaleMul(k *rowKernel) {
	k.arguments("dst", out, "x", in, "w", other, "n", count)
	k.broadcast("scale", k.reg(2))
	k.walk(f32s(out, in, other), 2, func() {
		k.load(in, k.reg(0))
		k.load(other, k.reg(1))
		k.op("VMULPS", k.reg(2), k.reg(0), k.reg(0))
		k.op("VMULPS", k.reg(1), k.reg(0), k.reg(0))
		k.store(k.reg(0), out)
	})
}

// withScalar is dst = op(x, a).
func withScalar(op string) func(k *rowKernel) {
	return func(k *rowKernel) {
		k.arguments("dst", out, "x", in, "n", count)
		k.broadcast("a", k.reg(1))
		k.walk(f32s(out, in), 2, func() {
			k.load(in, k.reg(0))
			k.op(op, k.reg(1), k.reg(0), k.reg(0))
			k.store(k.reg(0), out)
		})
	}
}

// gateCubic is dst = x / (1 + e^(x*(a + b*x*x))).
func gateCubic(k *rowKernel) {
	k.arguments("dst", out, "x", in, "n", count)
	k.broadcast("a", k.reg(10))
	k.broadcast("b", k.reg(11))
	k.walk(f32s(out, in), 2, func() {
		x, e := k.reg(0), k.reg(1)
		k.load(in, x)
		k.op("VMULPS", x, x, e)
		k.op("VFMADD213PS", k.reg(10), k.reg(11), e)
		k.op("VMULPS", x, e, e)
		k.exp(e, 2)
		k.op(k.bcst("VADDPS"), constant("one"), e, e)
		k.op("VDIVPS", e, x, x)
		k.store(x, out)
	})
}

// gelu replaces x by max(x, 0) - |x|*(1 - erf(|x|/sqrt(2)))/2, with the operations of gelu32.
func (k *rowKernel) gelu(x string) {
	size, t, p, e := k.reg(1), k.reg(2), k.reg(3), k.reg(4)
	k.op(k.bcst("VANDPS"), constant("absBits"), x, size)
	k.op("VBROADCASTSS", constant("one"), p)
	k.op(k.move(), p, t)
	k.op(k.bcst("VFMADD231PS"), constant("erfScale"), size, t)
	k.op("VDIVPS", t, p, t)
	k.polynomial(t, p, "erf4", "erf3", "erf2", "erf1", "erf0")
	k.op("VMULPS", t, p, p)
	k.op("VMULPS", x, x, e)
	k.op(k.bcst("VMULPS"), constant("minusHalf"), e, e)
	k.exp(e, 5)
	k.op("VMULPS", e, p, p)
	k.op("VMULPS", size, p, p)
	k.op("VXORPS", t, t, t)
	k.op("VMAXPS", t, x, x)
	k.op("VSUBPS", p, x, x)
}

// foldRow is acc = fma(acc, a, part*b).
func foldRow(k *rowKernel) {
	k.arguments("acc", out, "part", in, "n", count)
	k.broadcast("a", k.reg(2))
	k.broadcast("b", k.reg(3))
	k.walk(f32s(out, in), 2, func() {
		k.load(out, k.reg(0))
		k.load(in, k.reg(1))
		k.op("VMULPS", k.reg(3), k.reg(1), k.reg(1))
		k.op("VFMADD213PS", k.reg(1), k.reg(2), k.reg(0))
		k.store(k.reg(0), out)
	})
}

// ropeHalf turns the pairs (x[i], x[i+half]).
func ropeHalf(k *rowKernel) {
	k.arguments("x", in, "cos", other, "sin", third, "half", count)
	k.op("LEAQ", indexed(0, in, count, 4), out)
	k.walk(f32s(in, out, other, third), 1, func() {
		a, b, c, s, t := k.reg(0), k.reg(1), k.reg(2), k.reg(3), k.reg(4)
		k.load(in, a)
		k.load(out, b)
		k.load(other, c)
		k.load(third, s)
		k.op("VMULPS", c, a, t)
		k.op("VFNMADD231PS", s, b, t)
		k.op("VMULPS", c, b, c)
		k.op("VFMADD231PS", s, a, c)
		k.store(t, in)
		k.store(c, out)
	})
}

// ropePairs turns the pairs (x[2i], x[2i+1]). Cosines and sines are doubled to lie under both elements of a pair.
func ropePairs(k *rowKernel) {
	k.arguments("x", in, "cos", other, "sin", third, "half", count)
	k.op("ADDQ", count, count) // elements of x
	k.walk([]pointer{{in, 4}, {other, 2}, {third, 2}}, 1, func() {
		v, c, s, swapped := k.reg(0), k.reg(1), k.reg(2), k.reg(3)
		k.load(in, v)
		k.double(other, c)
		k.double(third, s)
		k.op(map[bool]string{true: "VXORPD.BCST", false: "VXORPS"}[k.wide()], constant("evenSign"), s, s) // the first of a pair takes -sin
		k.op("VPERMILPS", imm(0xb1), v, swapped)
		k.op("VMULPS", c, v, v)
		k.op("VFMADD231PS", s, swapped, v)
		k.store(v, in)
	})
}

// double loads half a vector of numbers, each twice.
func (k *rowKernel) double(base, dst string) {
	temp := k.reg(4)
	switch {
	case !k.masked:
		k.op("VPMOVZXDQ", mem(0, base), dst)
	case k.wide():
		k.op("MOVL", count, work)
		k.op("SHRL", imm(1), work)
		k.op("MOVL", imm(-1), "BX")
		k.op("BZHIL", work, "BX", "BX")
		k.op("KMOVW", "BX", "K2")
		k.op("VPMOVZXDQ.Z", mem(0, base), "K2", dst)
	default:
		k.op("MOVQ", count, "BX")
		k.op("SHRQ", imm(1), "BX")
		k.op("NEGQ", "BX")
		k.op("LEAQ", "tailMask<>+32(SB)", work)
		k.op("VMOVDQU", indexed(0, work, "BX", 4), lower(temp))
		k.op("VMASKMOVPS", mem(0, base), lower(temp), lower(dst))
		k.op("VPMOVZXDQ", lower(dst), dst)
	}
	k.op("VPSLLQ", imm(32), dst, temp)
	k.op(map[bool]string{true: "VPORQ", false: "VPOR"}[k.wide()], temp, dst, dst)
}
