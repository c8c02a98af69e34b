package main

// dotKind is a way to multiply numbers of rows with vectors, one step (4 bytes a lane) at a time.
type dotKind struct {
	name  string // of the element type
	write func(s dotStep)
}

// dotStep is one step: acc[r][c] += scalar of row r * vector c. Registers from used on are free.
type dotStep struct {
	*function
	isa
	vectors []string // operands in memory
	scalars []string // operands in memory
	acc     func(r, c int) int
	used    int
}

var (
	dotF32   = dotKind{"f32", dotStep.fused}
	dotBF16s = dotKind{"bf16", dotStep.pairs}
)

// fused is a fused multiply-add on f32.
func (s dotStep) fused() {
	n := len(s.vectors)
	for c, at := range s.vectors {
		s.op("VMOVUPS", at, s.reg(s.used+c))
	}
	for r, at := range s.scalars {
		s.op("VBROADCASTSS", at, s.reg(s.used+n))
		for c := range s.vectors {
			s.op("VFMADD231PS", s.reg(s.used+c), s.reg(s.used+n), s.reg(s.acc(r, c)))
		}
	}
}

// pairs multiplies bf16 pairs: the odd products, then the even ones.
func (s dotStep) pairs() {
	if s.bf16 {
		s.dotPairs()
		return
	}
	s.widened(func(v string) { s.op(s.bcst("VANDPS"), constant("oddHalves"), v, v) })
	s.widened(func(v string) { s.op("VPSLLD", imm(16), v, v) })
}

// widened multiplies one half of each pair: keep turns that half of the lanes into f32.
func (s dotStep) widened(keep func(v string)) {
	n := len(s.vectors)
	for c, at := range s.vectors {
		s.op("VMOVUPS", at, s.reg(s.used+c))
		keep(s.reg(s.used + c))
	}
	v := s.reg(s.used + n)
	for r, at := range s.scalars {
		s.op("VBROADCASTSS", at, v)
		keep(v)
		for c := range s.vectors {
			s.op("VFMADD231PS", s.reg(s.used+c), v, s.reg(s.acc(r, c)))
		}
	}
}

// dotPairs does both halves with VDPBF16PS.
func (s dotStep) dotPairs() {
	n := len(s.vectors)
	for c, at := range s.vectors {
		s.op("VMOVUPS", at, s.reg(s.used+c))
	}
	for r, at := range s.scalars {
		v := s.used + n + r%2
		s.op("VBROADCASTSS", at, s.reg(v))
		for c := range s.vectors {
			s.dotBF16(v, s.used+c, s.acc(r, c))
		}
	}
}
