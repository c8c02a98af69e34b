package main

// sumRow adds up the elements of a row.
func sumRow(k *rowKernel) {
	k.arguments("x", in, "n", count)
	v := k.reg(sumLanes / k.lanes())
	k.sumInLanes(f32s(in), "total", func(sum string) {
		k.load(in, v)
		k.op("VADDPS", v, sum, sum)
	})
}

// sumAbs adds up magnitudes.
func sumAbs(k *rowKernel) {
	k.arguments("x", in, "n", count)
	v := k.reg(sumLanes / k.lanes())
	k.sumInLanes(f32s(in), "total", func(sum string) {
		k.load(in, v)
		k.op(k.bcst("VANDPS"), constant("absBits"), v, v)
		k.op("VADDPS", v, sum, sum)
	})
}

// sumSquares adds up squares; with it the row x + delta is stored where withDelta is set.
func sumSquares(withDelta bool) func(k *rowKernel) {
	return func(k *rowKernel) {
		sums := sumLanes / k.lanes()
		v, w := k.reg(sums), k.reg(sums+1)
		rows := f32s(in)
		k.arguments("x", in, "n", count)
		if withDelta {
			rows = f32s(in, other, out)
			k.arguments("delta", other, "sum", out)
		}
		k.sumInLanes(rows, "squares", func(sum string) {
			k.load(in, v)
			if withDelta {
				k.load(other, w)
				k.op("VADDPS", w, v, v)
				k.store(v, out)
			}
			k.op("VFMADD231PS", v, v, sum)
		})
	}
}

// sumLanes is the number of partial sums of a row.
const sumLanes = 64

// sumInLanes adds up what add adds of each vector, element i in lane i%64, and folds the lanes. The first registers hold the sums.
func (k *rowKernel) sumInLanes(rows []pointer, result string, add func(sum string)) {
	sums := sumLanes / k.lanes()
	for i := range sums {
		k.op("VXORPS", k.reg(i), k.reg(i), k.reg(i))
	}
	again, rest, done := k.newLabel("round"), k.newLabel("rest"), k.newLabel("done")
	k.op("SUBQ", imm(sumLanes), count)
	k.op("JLT", rest)
	k.place(again)
	for k.vectorIndex = range sums {
		add(k.reg(k.vectorIndex))
	}
	for _, p := range rows {
		k.op("ADDQ", imm(4*sumLanes), p.register)
	}
	k.op("SUBQ", imm(sumLanes), count)
	k.op("JGE", again)
	k.place(rest)
	k.op("ADDQ", imm(sumLanes), count)
	k.masked = true
	for k.vectorIndex = range sums {
		k.op("CMPQ", count, imm(0))
		k.op("JLE", done)
		k.setMaskUpTo(count)
		add(k.reg(k.vectorIndex))
		k.op("SUBQ", imm(k.lanes()), count)
	}
	k.place(done)
	for n := sums / 2; n > 0; n /= 2 {
		for i := range n {
			k.op("VADDPS", k.reg(i+n), k.reg(i), k.reg(i))
		}
	}
	k.fold("VADDPS", k.reg(0), k.reg(1))
	k.op("VMOVSS", "X0", k.param(result))
}

// setMaskUpTo selects the first min(n, lanes) lanes, 0 < n <= 64.
func (k *rowKernel) setMaskUpTo(n string) {
	if k.wide() {
		k.op("MOVL", imm(-1), work) // BZHI keeps all bits from 32 on
		k.op("BZHIL", n, work, work)
		k.op("KMOVW", work, "K1")
		return
	}
	k.op("MOVQ", imm(-k.lanes()), "BX")
	k.op("MOVQ", n, work)
	k.op("NEGQ", work)
	k.op("CMPQ", work, "BX")
	k.op("CMOVQLT", "BX", work)
	k.op("LEAQ", "tailMask<>+32(SB)", "BX")
	k.op("VMOVDQU", indexed(0, "BX", work, 4), k.tail())
}

// maxAbs compares magnitudes as integers, in which NaN is the largest.
func maxAbs(k *rowKernel) {
	k.arguments("x", in, "n", count)
	k.op("VXORPS", k.reg(0), k.reg(0), k.reg(0))
	k.walk(f32s(in), 1, func() {
		k.load(in, k.reg(1))
		k.op(k.bcst("VANDPS"), constant("absBits"), k.reg(1), k.reg(1))
		k.op("VPMAXUD", k.reg(1), k.reg(0), k.reg(0))
	})
	k.fold("VPMAXUD", k.reg(0), k.reg(1))
	k.op("VMOVSS", "X0", k.param("most"))
}

// maxOf is the largest element that is a number, -Inf without any.
func maxOf(k *rowKernel) {
	k.arguments("x", in, "n", count)
	k.op("VBROADCASTSS", constant("minusInf"), k.reg(0))
	k.walk(f32s(in), 1, func() {
		if k.masked { // lanes beyond the row must not count as zeros
			k.op("VBROADCASTSS", constant("minusInf"), k.reg(1))
			if k.wide() {
				k.op("VMOVUPS", k.at(in), "K1", k.reg(1))
			} else {
				k.load(in, k.reg(2))
				k.op("VBLENDVPS", k.tail(), k.reg(2), k.reg(1), k.reg(1))
			}
		} else {
			k.load(in, k.reg(1))
		}
		k.op("VMAXPS", k.reg(0), k.reg(1), k.reg(0)) // a NaN in the first source yields the second
	})
	k.fold("VMAXPS", k.reg(0), k.reg(1))
	k.op("VMOVSS", "X0", k.param("most"))
}

// indexOf is the index of the first element that equals v, which there is.
func indexOf(k *rowKernel) {
	k.arguments("x", in, "n", count)
	k.op("MOVQ", in, out)
	k.broadcast("v", k.reg(0))
	found := k.newLabel("found")
	k.walk(f32s(in), 1, func() {
		k.load(in, k.reg(1))
		const equal = 0
		if k.wide() {
			k.op("VCMPPS", imm(equal), k.reg(0), k.reg(1), "K2")
			k.op("KMOVW", "K2", work)
		} else {
			k.op("VCMPPS", imm(equal), k.reg(0), k.reg(1), k.reg(1))
			k.op("VMOVMSKPS", k.reg(1), work)
		}
		k.op("TESTL", work, work)
		k.op("JNE", found)
	})
	k.place(found)
	k.op("BSFL", work, work) // a short last vector has zeros behind the row: v's index is lower
	k.op("SUBQ", out, in)
	k.op("SHRQ", imm(2), in)
	k.op("ADDQ", in, work)
	k.op("MOVQ", work, k.param("index"))
}
