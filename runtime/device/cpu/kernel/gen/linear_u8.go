package main

// Fields of layout.Entry.
const (
	entryScale  = 0
	entryBias   = 4
	entryNegSum = 8
)

// linearU8: exact integer sums of a segment, then f32(sum) * (wscale * xscale).
func linearU8(t isa, rows int) *function {
	nv := lanes / t.lanes()
	if !t.wide() && rows > 2 {
		nv = 2
	}
	k := newLinear("u8", t, rows, nv)
	start, step := k.startAtBias, k.stepDotU8
	switch {
	case !t.wide():
		start, step = k.zero, k.stepSignU8
	case !t.vnni:
		step = k.stepWidenU8
	}
	k.passLoop(func() {
		k.segmentLoop(func() {
			start()
			k.stepLoop(k.unroll(), func(i int) {
				k.prefetch()
				step(i)
			})
			k.scaleU8()
			k.op("ADDQ", imm(entry), entries)
		})
	})
	k.end()
	return k.function
}

// startAtBias makes the sums start at -zero * sum(x), which undoes that the codes are stored with zero added.
func (k *linearKernel) startAtBias() {
	for r := range k.rows {
		for c := range k.nv {
			k.op("VPBROADCASTD", rowAt(entryBias, entries, r), k.acc(r, c))
		}
	}
}

func (k *linearKernel) stepDotU8(i int) {
	used := k.rows * k.nv
	for c := range k.nv {
		k.op(k.load(), mem(i*stepBytes+c*k.bytes, panel), k.temp(used, c))
	}
	for r := range k.rows {
		v := k.temp(used, k.nv+r%2)
		k.op("VPBROADCASTD", rowAt(4*i, x, r), v)
		for c := range k.nv {
			k.op("VPDPBUSD", v, k.temp(used, c), k.acc(r, c))
		}
	}
}

// stepWidenU8 multiplies 16-bit pairs: the even bytes of a step, then the odd ones.
func (k *linearKernel) stepWidenU8(i int) {
	used := k.rows * k.nv
	even, odd := func(c int) string { return k.temp(used, c) }, func(c int) string { return k.temp(used, k.nv+c) }
	v, half, product := k.temp(used, 2*k.nv), k.temp(used, 2*k.nv+1), k.temp(used, 2*k.nv+2)
	for c := range k.nv {
		k.op(k.load(), mem(i*stepBytes+c*k.bytes, panel), odd(c))
		k.op(k.bcst("VPANDD"), constant("evenBytes"), odd(c), even(c))
		k.op("VPSRLW", imm(8), odd(c), odd(c))
	}
	for r := range k.rows {
		k.op("VPBROADCASTD", rowAt(4*i, x, r), v)
		k.op("VPSLLW", imm(8), v, half)
		k.op("VPSRAW", imm(8), half, half)
		k.op("VPSRAW", imm(8), v, v)
		for c := range k.nv {
			k.op("VPMADDWD", even(c), half, product)
			k.op("VPADDD", product, k.acc(r, c), k.acc(r, c))
			k.op("VPMADDWD", odd(c), v, product)
			k.op("VPADDD", product, k.acc(r, c), k.acc(r, c))
		}
	}
}

// stepSignU8 multiplies |w| with x times the sign of w: a pair's sum is at most 2*128*127, so nothing saturates.
func (k *linearKernel) stepSignU8(i int) {
	used := k.rows * k.nv
	at := func(c int) string { return mem(i*stepBytes+c*k.bytes, panel) }
	if k.nv > 2 { // one row or two: not enough registers for all weights, but for all rows
		w, size, product := k.temp(used, k.rows), k.temp(used, k.rows+1), k.temp(used, k.rows+2)
		for r := range k.rows {
			k.op("VPBROADCASTD", rowAt(4*i, x, r), k.temp(used, r))
		}
		for c := range k.nv {
			k.signAndSize(at(c), w, size)
			for r := range k.rows {
				k.addSigned(w, size, k.temp(used, r), product, k.acc(r, c))
			}
		}
		return
	}
	w, size := func(c int) string { return k.temp(used, 2*c) }, func(c int) string { return k.temp(used, 2*c+1) }
	v, product := k.temp(used, 2*k.nv), k.temp(used, 2*k.nv+1)
	for c := range k.nv {
		k.signAndSize(at(c), w(c), size(c))
	}
	for r := range k.rows {
		k.op("VPBROADCASTD", rowAt(4*i, x, r), v)
		for c := range k.nv {
			k.addSigned(w(c), size(c), v, product, k.acc(r, c))
		}
	}
}

// signAndSize turns stored codes into signed weights and their magnitudes.
func (k *linearKernel) signAndSize(at, w, size string) {
	k.op("VMOVDQU", constant("signBytes"), w)
	k.op("VPXOR", at, w, w)
	k.op("VPABSB", w, size)
}

// addSigned adds the products of w and v.
func (k *linearKernel) addSigned(w, size, v, product, acc string) {
	k.op("VPSIGNB", w, v, product)
	k.op("VPMADDUBSW", product, size, product)
	k.op("VPMADDWD", constant("oneWords"), product, product)
	k.op("VPADDD", product, acc, acc)
}

// scaleU8 turns the integer sums into f32.
func (k *linearKernel) scaleU8() {
	used := k.rows * k.nv
	factor, w := k.temp(used, 0), k.temp(used, 1)
	k.op("MOVQ", k.arg("scale"), scratch)
	if k.passes() > 1 {
		k.op("ADDQ", column, scratch)
	}
	for c := range k.nv {
		k.op("VMOVUPS", mem(c*k.bytes, scratch), w)
		for r := range k.rows {
			k.rowOp("VMULPS", rowAt(entryScale, entries, r), w, factor, factor)
			k.op("VCVTDQ2PS", k.acc(r, c), k.acc(r, c))
			k.op("VMULPS", factor, k.acc(r, c), k.acc(r, c))
		}
	}
}
