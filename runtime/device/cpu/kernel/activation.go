package kernel

import (
	"math"
	"unsafe"
)

// Activation is a function of each number of a row, one of the names of the attribute act.
type Activation struct {
	name string
	// apply computes dst = f(x), of which dst may be x.
	apply func(s *Set, dst, x []float32)

	limit, shift float32 // of a gate; see Bounded
}

// Bounded is the activation of a gate that is at most limit, and lets through what is within limit, with shift added to it; a limit of 0 is none.
func (a *Activation) Bounded(limit, shift float32) *Activation {
	if limit == 0 && shift == 0 {
		return a
	}
	bounded := *a
	bounded.limit, bounded.shift = limit, shift
	return &bounded
}

// activations are the functions by name. Those with an exponential have its vectors work on the whole row.
var activations = []Activation{
	{name: "silu", apply: func(s *Set, dst, x []float32) { s.SiLU(dst, x) }},
	{name: "sigmoid", apply: func(s *Set, dst, x []float32) {
		s.Scale(dst, x, -1)
		s.Exp(dst, dst)
		for i, e := range dst {
			dst[i] = 1 / (1 + e)
		}
	}},
	{name: "quick_gelu", apply: func(s *Set, dst, x []float32) {
		const steepness = 1.702
		s.Scale(dst, x, steepness)
		s.SiLU(dst, dst)
		s.Scale(dst, dst, 1/steepness)
	}},
	{name: "gelu_tanh", apply: func(s *Set, dst, x []float32) { // half of 1 + tanh(z) is the sigmoid of 2z
		const twice = 2 * 0.7978845608028654 // sqrt(2/pi)
		if n := len(dst); n > 0 {
			s.row.gateCubic(&dst[0], &x[:n][0], n, -twice, -twice*0.044715)
		}
	}},
	{name: "gelu", apply: func(s *Set, dst, x []float32) { s.unary(s.row.gelu, dst, x) }},
	{name: "relu", apply: func(_ *Set, dst, x []float32) {
		for i, v := range x[:len(dst)] {
			dst[i] = max(v, 0)
		}
	}},
	{name: "relu2", apply: func(_ *Set, dst, x []float32) {
		for i, v := range x[:len(dst)] {
			v = max(v, 0)
			dst[i] = v * v
		}
	}},
}

// FindActivation returns the activation of that name, silu for "".
func FindActivation(name string) (*Activation, bool) {
	if name == "" {
		name = "silu"
	}
	for i := range activations {
		if activations[i].name == name {
			return &activations[i], true
		}
	}
	return nil, false
}

// silu tells whether a gate is silu without bounds, which has kernels of its own.
func (a *Activation) silu() bool {
	return a == nil || a.name == "silu" && a.limit == 0 && a.shift == 0
}

// Activate computes dst = f(x), of which dst may be x.
func (s *Set) Activate(a *Activation, dst, x []float32) { a.apply(s, dst, x) }

// Gate computes dst = f(gate) * up; dst must be neither.
func (s *Set) Gate(a *Activation, dst, gate, up []float32) {
	switch {
	case a.silu():
		s.SwiGLU(dst, gate, up)
	case a.limit != 0 || a.shift != 0:
		s.gateBounded(a, dst, gate, up)
	default:
		a.apply(s, dst, gate)
		s.Mul(dst, dst, up)
	}
}

// boundedAtOnce is how many numbers gateBounded has at a time.
const boundedAtOnce = 64

// gateBounded is Gate with bounds, a part of the row at a time.
func (s *Set) gateBounded(a *Activation, dst, gate, up []float32) {
	limit := a.limit
	if limit == 0 {
		limit = float32(math.Inf(1))
	}
	for len(dst) > 0 {
		n := min(len(dst), boundedAtOnce)
		part := dst[:n]
		for i, g := range gate[:n] {
			part[i] = min(g, limit)
		}
		a.apply(s, part, part)
		for i, u := range up[:n] {
			part[i] *= min(max(u, -limit), limit) + a.shift
		}
		dst, gate, up = dst[n:], gate[n:], up[n:]
	}
}

func refGateCubic(dst, x *float32, n int, a, b float32) {
	d := unsafe.Slice(dst, n)
	for i, v := range unsafe.Slice(x, n) {
		d[i] = v / (1 + exp32(v*fma32(v*v, b, a)))
	}
}

// Halves of the coefficients of the complementary error function (Abramowitz and Stegun, 7.1.26), which is within 1.5e-7; gen/constant.go has them too.
var erfPoly = [...]float32{0.254829592 / 2, -0.284496736 / 2, 1.421413741 / 2, -1.453152027 / 2, 1.061405429 / 2}

// gelu32 is x * (1 + erf(x/sqrt(2))) / 2, as max(x, 0) less |x| times half of the complementary error function of |x|.
func gelu32(x float32) float32 {
	const scale = 0.3275911 / math.Sqrt2
	size := math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
	t := 1 / fma32(size, scale, 1)
	p := erfPoly[4]
	for i := 3; i >= 0; i-- {
		p = fma32(p, t, erfPoly[i])
	}
	p *= t
	p *= exp32(x * x * -0.5)
	p *= size
	if !(x > 0) { // NaN too, of which p is one
		x = 0
	}
	return x - p
}

// Softcap computes dst = by * tanh(x/by).
func (s *Set) Softcap(dst, x []float32, by float32) {
	s.Scale(dst, x, 2/by)
	s.Exp(dst, dst)
	for i, e := range dst {
		dst[i] = by * ((e - 1) / (e + 1))
	}
}
