package main

// dotKind is a way to multiply numbers of rows with vectors, one step (4 bytes a lane) at a time.
type dotKind struct {
	name  string // of the element type
	write func(s dotStep)
	// widen loads a vector's lanes, of lane bytes each, as f32; nil: lanes are 4 bytes and stay as they are.
	widen func(s dotStep, at string, v int)
	lane  int
	codes bool // elements are codes, with a scale for each position
	whole bool // sums are int32, and rows have scales too
}

// dotStep is one step: acc[r][c] += scalar of row r * vector c. Registers from used on are free.
type dotStep struct {
	*function
	isa
	vectors []string // operands in memory
	scalars []string // operands in memory
	acc     func(r, c int) int
	used    int
	widen   func(s dotStep, at string, v int) // nil: lanes are f32
}

var (
	dotF32   = dotKind{name: "f32", write: dotStep.fused, lane: 4}
	dotBF16s = dotKind{name: "bf16", write: dotStep.pairs, lane: 4}
	dotF16   = dotKind{name: "f16", write: dotStep.fused, widen: dotStep.widenF16, lane: 2}
	dotE4M3  = dotKind{name: "e4m3", write: dotStep.fused, widen: dotStep.widenE4M3, lane: 1, codes: true}
	dotI16   = dotKind{name: "i16", write: dotStep.words, lane: 4, codes: true, whole: true}
	dotI8    = dotKind{name: "i8", lane: 1, codes: true} // written otherwise: see attend_i8.go
)

// fused is a fused multiply-add on f32.
func (s dotStep) fused() {
	n := len(s.vectors)
	for c, at := range s.vectors {
		if s.widen != nil {
			s.widen(s, at, s.used+c)
			continue
		}
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

// words multiplies pairs of words, whose sums are int32.
func (s dotStep) words() {
	n := len(s.vectors)
	for c, at := range s.vectors {
		s.op(s.load(), at, s.reg(s.used+c))
	}
	v, product := s.used+n, s.used+n+1
	for r, at := range s.scalars {
		s.op("VPBROADCASTD", at, s.reg(v))
		for c := range s.vectors {
			if s.vnni {
				s.op("VPDPWSSD", s.reg(v), s.reg(s.used+c), s.reg(s.acc(r, c)))
				continue
			}
			s.op("VPMADDWD", s.reg(v), s.reg(s.used+c), s.reg(product))
			s.op("VPADDD", s.reg(product), s.reg(s.acc(r, c)), s.reg(s.acc(r, c)))
		}
		if s.vnni { // the next number goes to the other register
			v, product = product, v
		}
	}
}

func (s dotStep) widenF16(at string, v int) { s.op("VCVTPH2PS", at, s.reg(v)) }

// widenE4M3 makes numbers of f16 of codes, which are too small by a power of two, for f16 has another bias.
func (s dotStep) widenE4M3(at string, v int) {
	half := lower(s.reg(v))
	s.op("VPMOVSXBW", at, half)
	s.op("VPSLLW", imm(7), half, half)
	if s.wide() {
		s.op("VPANDD.BCST", constant("e4m3AsF16"), half, half)
	} else {
		s.op("VPAND", constant("e4m3AsF16"), half, half)
	}
	s.op("VCVTPH2PS", half, s.reg(v))
}
