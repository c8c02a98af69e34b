package main

// linearF32: acc = fma(x, w, acc), k after k.
func linearF32(t isa, rows int) *function {
	k := newLinear("f32", t, rows, floatVectors(t, rows))
	used := rows * k.nv
	k.passLoop(func() {
		k.segmentLoop(func() {
			k.zero()
			k.stepLoop(k.unroll(), func(i int) {
				k.prefetch(i)
				for c := range k.nv {
					k.op("VMOVUPS", mem(i*stepBytes+c*k.bytes, panel), k.temp(used, c))
				}
				for r := range rows {
					k.op("VBROADCASTSS", rowAt(4*i, x, r), k.temp(used, k.nv))
					for c := range k.nv {
						k.op("VFMADD231PS", k.temp(used, c), k.temp(used, k.nv), k.acc(r, c))
					}
				}
			})
		})
	})
	k.end()
	return k.function
}

// floatVectors is the number of vectors of outputs in a pass: all 32 outputs where registers suffice.
func floatVectors(t isa, rows int) int {
	if !t.wide() && rows > 2 {
		return 2
	}
	return lanes / t.lanes()
}

func (k *linearKernel) zero() {
	for i := range k.rows * k.nv {
		k.op("VXORPS", k.reg(i), k.reg(i), k.reg(i))
	}
}

// linearBF16: acc = fma(x odd, w odd, acc), then the same with the even elements; VDPBF16PS does just that.
func linearBF16(t isa, rows int) *function {
	k := newLinear("bf16", t, rows, floatVectors(t, rows))
	step := k.stepWidened
	if t.bf16 {
		step = k.stepDotBF16
	}
	k.passLoop(func() {
		k.segmentLoop(func() {
			k.zero()
			k.stepLoop(k.unroll(), func(i int) {
				k.prefetch(i)
				step(i)
			})
		})
	})
	k.end()
	return k.function
}

func (k *linearKernel) stepDotBF16(i int) {
	used := k.rows * k.nv
	for c := range k.nv {
		k.op("VMOVUPS", mem(i*stepBytes+c*k.bytes, panel), k.temp(used, c))
	}
	for r := range k.rows {
		k.op("VBROADCASTSS", rowAt(4*i, x, r), k.temp(used, k.nv+r%2))
		for c := range k.nv {
			k.dotBF16(used+k.nv+r%2, used+c, r*k.nv+c)
		}
	}
}

// stepWidened turns the halves of each pair into f32: the odd one by masking the other off, the even one by shifting it up.
func (k *linearKernel) stepWidened(i int) {
	used := k.rows * k.nv
	w, v := func(c int) string { return k.temp(used, c) }, k.temp(used, k.nv)
	for half := range 2 {
		for c := range k.nv {
			at := mem(i*stepBytes+c*k.bytes, panel)
			if half == 0 {
				k.op("VMOVUPS", constant("oddHalves"), w(c))
				k.op("VANDPS", at, w(c), w(c))
			} else {
				k.op("VMOVUPS", at, w(c))
				k.op("VPSLLD", imm(16), w(c), w(c))
			}
		}
		for r := range k.rows {
			k.op("VBROADCASTSS", rowAt(4*i, x, r), v)
			if half == 0 {
				k.op("VANDPS", constant("oddHalves"), v, v)
			} else {
				k.op("VPSLLD", imm(16), v, v)
			}
			for c := range k.nv {
				k.op("VFMADD231PS", w(c), v, k.acc(r, c))
			}
		}
	}
}
