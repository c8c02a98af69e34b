package main

// linearFloat multiplies floats: step is the dot product of one step of the panel with one of each row.
func linearFloat(kind dotKind) linearWriter {
	return func(t isa, rows, _ int) *function {
		k := newLinear(kind.name, t, rows, 1, floatVectors(t, rows))
		k.passLoop(func() {
			k.segmentLoop(func() {
				k.zero(k.rows * k.nv)
				k.stepLoop(k.unroll(), func(i int) {
					k.prefetch(i)
					kind.write(k.dotStep(i))
				})
			})
		})
		k.end()
		return k.function
	}
}

// floatVectors is the number of vectors of outputs in a pass: all 32 outputs where registers suffice.
func floatVectors(t isa, rows int) int {
	if !t.wide() && rows > 2 {
		return 2
	}
	return lanes / t.lanes()
}

// dotStep is step i of the round.
func (k *linearKernel) dotStep(i int) dotStep {
	s := dotStep{function: k.function, isa: k.isa, acc: func(r, c int) int { return r*k.nv + c }, used: k.rows * k.nv}
	for c := range k.nv {
		s.vectors = append(s.vectors, mem(i*stepBytes+c*k.bytes, panel))
	}
	for r := range k.rows {
		s.scalars = append(s.scalars, rowAt(4*i, x, r))
	}
	return s
}

// zero clears the first n registers.
func (k *linearKernel) zero(n int) {
	for i := range n {
		k.op("VXORPS", k.reg(i), k.reg(i), k.reg(i))
	}
}
