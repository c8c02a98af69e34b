package main

// Fields of layout.Entry.
const (
	entryScale   = 0
	entryBias    = 4 // by digit
	entryNegSums = 12
)

// linearU8: exact integer sums of a segment, one for each digit of x, then f32(sum) * (wscale * xscale).
func linearU8(t isa, rows, digits int) *function {
	nv := lanes / t.lanes()
	if !t.wide() && rows*digits > 2 {
		nv = 2
	}
	k := newLinear("u8", t, rows, digits, nv)
	start, step := k.startAtBias, func(i int) { k.stepDotU8(i, k.codesU8) }
	switch {
	case !t.wide():
		start, step = func() { k.zero(k.used()) }, k.stepSignU8
	case !t.vnni:
		step = k.stepWidenU8
	}
	k.passLoop(func() {
		k.segmentLoop(func() {
			start()
			k.stepLoop(k.unroll(), func(i int) {
				k.prefetch(i)
				step(i)
			})
			k.scaleU8()
			k.op("ADDQ", imm(entry), entries)
		})
	})
	k.end()
	return k.function
}

// codesU8 leaves the codes of vector c in step i in dst.
func (k *linearKernel) codesU8(i, c int, dst string) {
	k.op(k.load(), mem(i*stepBytes+c*k.bytes, panel), dst)
}

// signed turns stored codes into signed ones.
func (k *linearKernel) signed(at, dst string) {
	k.op("VMOVDQU", constant("signBytes"), dst)
	k.op("VPXOR", at, dst, dst)
}

// sum is the register of the sum of digit d; the first digit's becomes the result.
func (k *linearKernel) sum(r, d, c int) string { return k.reg((d*k.rows+r)*k.nv + c) }

// used is the number of registers that hold sums.
func (k *linearKernel) used() int { return k.digits * k.rows * k.nv }

// eachDigit visits the digits of all rows. at is the operand of the four codes that step i multiplies, count of them there are.
func (k *linearKernel) eachDigit(i int, visit func(r, d int, at string)) {
	for r := range k.rows {
		for d := range k.digits {
			visit(r, d, rowAt(4*(i*k.digits+d), x, r))
		}
	}
}

// startAtBias makes the sums start at -zero * sum(x), which undoes that the codes are stored with zero added.
func (k *linearKernel) startAtBias() {
	for r := range k.rows {
		for d := range k.digits {
			for c := range k.nv {
				k.op("VPBROADCASTD", rowAt(entryBias+4*d, entries, r), k.sum(r, d, c))
			}
		}
	}
}

// stepDotU8 adds a step's products; codes is as codesU8.
func (k *linearKernel) stepDotU8(i int, codes func(i, c int, dst string)) {
	used := k.used()
	for c := range k.nv {
		codes(i, c, k.temp(used, c))
	}
	k.eachDigit(i, func(r, d int, at string) {
		v := k.temp(used, k.nv+(r+d)%2)
		k.op("VPBROADCASTD", at, v)
		for c := range k.nv {
			k.op("VPDPBUSD", v, k.temp(used, c), k.sum(r, d, c))
		}
	})
}

// stepWidenU8 multiplies 16-bit pairs: the even bytes of a step, then the odd ones.
func (k *linearKernel) stepWidenU8(i int) {
	used := k.used()
	even, odd := func(c int) string { return k.temp(used, c) }, func(c int) string { return k.temp(used, k.nv+c) }
	v, half, product := k.temp(used, 2*k.nv), k.temp(used, 2*k.nv+1), k.temp(used, 2*k.nv+2)
	for c := range k.nv {
		k.codesU8(i, c, odd(c))
		k.op(k.bcst("VPANDD"), constant("evenBytes"), odd(c), even(c))
		k.op("VPSRLW", imm(8), odd(c), odd(c))
	}
	k.eachDigit(i, func(r, d int, at string) {
		k.op("VPBROADCASTD", at, v)
		k.op("VPSLLW", imm(8), v, half)
		k.op("VPSRAW", imm(8), half, half)
		k.op("VPSRAW", imm(8), v, v)
		for c := range k.nv {
			k.op("VPMADDWD", even(c), half, product)
			k.op("VPADDD", product, k.sum(r, d, c), k.sum(r, d, c))
			k.op("VPMADDWD", odd(c), v, product)
			k.op("VPADDD", product, k.sum(r, d, c), k.sum(r, d, c))
		}
	})
}

// stepSignU8 multiplies |w| with x times the sign of w: a pair's sum is at most 2*128*127, so nothing saturates.
func (k *linearKernel) stepSignU8(i int) {
	used := k.used()
	signAndSize := func(c int, w, size string) {
		k.signed(mem(i*stepBytes+c*k.bytes, panel), w)
		k.op("VPABSB", w, size)
	}
	if k.nv > 2 { // one row or two: not enough registers for all weights, but for all rows
		w, size, product := k.temp(used, 2), k.temp(used, 3), k.temp(used, 4)
		k.eachDigit(i, func(r, d int, at string) { k.op("VPBROADCASTD", at, k.temp(used, r+d)) })
		for c := range k.nv {
			signAndSize(c, w, size)
			k.eachDigit(i, func(r, d int, _ string) { k.addSigned(w, size, k.temp(used, r+d), product, k.sum(r, d, c)) })
		}
		return
	}
	w, size := func(c int) string { return k.temp(used, 2*c) }, func(c int) string { return k.temp(used, 2*c+1) }
	v, product := k.temp(used, 2*k.nv), k.temp(used, 2*k.nv+1)
	for c := range k.nv {
		signAndSize(c, w(c), size(c))
	}
	k.eachDigit(i, func(r, d int, at string) {
		k.op("VPBROADCASTD", at, v)
		for c := range k.nv {
			k.addSigned(w(c), size(c), v, product, k.sum(r, d, c))
		}
	})
}

// addSigned adds the products of w and v.
func (k *linearKernel) addSigned(w, size, v, product, sum string) {
	k.op("VPSIGNB", w, v, product)
	k.op("VPMADDUBSW", product, size, product)
	k.op("VPMADDWD", constant("oneWords"), product, product)
	k.op("VPADDD", product, sum, sum)
}

// join turns a row's integer sums into one f32, in steps of the first digit; it replaces the first digit's sum.
func (k *linearKernel) join(sum func(r, d, c int) string, r, c int) string {
	first := sum(r, 0, c)
	k.op("VCVTDQ2PS", first, first)
	if k.digits == 2 {
		second := sum(r, 1, c)
		k.op("VCVTDQ2PS", second, second)
		k.op(k.bcst("VFMADD231PS"), constant("restStep"), second, first)
	}
	return first
}

// joinExactly is join by way of f64, which has both sums without a rounding. The two vectors at free are overwritten.
func (k *linearKernel) joinExactly(r, c int, low, high, low2, high2 string) string {
	first, second := k.sum(r, 0, c), k.sum(r, 1, c)
	k.op("VEXTRACTI128", imm(1), first, xmm(high))
	k.op("VEXTRACTI128", imm(1), second, xmm(high2))
	k.op("VCVTDQ2PD", xmm(first), low)
	k.op("VCVTDQ2PD", xmm(high), high)
	k.op("VCVTDQ2PD", xmm(second), low2)
	k.op("VCVTDQ2PD", xmm(high2), high2)
	k.op("VFMADD231PD", constant("restStepF64"), low2, low)
	k.op("VFMADD231PD", constant("restStepF64"), high2, high)
	k.roundDoubles(low, high, first)
	return first
}

// scaleU8 turns the integer sums into f32.
func (k *linearKernel) scaleU8() {
	factor, w := k.temp(k.used(), 0), k.temp(k.used(), 1)
	k.op("MOVQ", k.arg("scale"), scratch)
	if k.passes() > 1 {
		k.op("ADDQ", column, scratch)
	}
	for c := range k.nv {
		k.op("VMOVUPS", mem(c*k.bytes, scratch), w)
		for r := range k.rows {
			k.rowOp("VMULPS", rowAt(entryScale, entries, r), w, factor, factor)
			var v string
			if k.digits == 2 && !k.wide() {
				v = k.joinExactly(r, c, k.temp(k.used(), 2), k.temp(k.used(), 3), k.temp(k.used(), 4), k.temp(k.used(), 5))
			} else {
				v = k.join(k.sum, r, c)
			}
			k.op("VMULPS", factor, v, v)
		}
	}
}
