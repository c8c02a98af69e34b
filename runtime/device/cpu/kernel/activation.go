package kernel

import "math"

// Activation is a function of each number of a row, one of the names of the attribute act.
type Activation struct {
	name string
	// apply computes dst = f(x). dst and x are different memory.
	apply func(s *Set, dst, x []float32)
}

// activations are the functions by name. Those with an exponential have its vectors work on the whole row.
var activations = []Activation{
	{"silu", func(s *Set, dst, x []float32) { s.SiLU(dst, x) }},
	{"sigmoid", func(s *Set, dst, x []float32) {
		s.expOf(dst, x, func(v float32) float32 { return -v })
		for i, e := range dst {
			dst[i] = 1 / (1 + e)
		}
	}},
	{"quick_gelu", func(s *Set, dst, x []float32) { s.gated(dst, x, func(v float32) float32 { return -1.702 * v }) }},
	{"gelu_tanh", func(s *Set, dst, x []float32) { s.gated(dst, x, geluExponent) }},
	{"gelu", (*Set).gelu},
	{"relu", func(_ *Set, dst, x []float32) {
		for i, v := range x[:len(dst)] {
			dst[i] = max(v, 0)
		}
	}},
	{"relu2", func(_ *Set, dst, x []float32) {
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

// Activate computes dst = f(x); dst must not be x.
func (s *Set) Activate(a *Activation, dst, x []float32) { a.apply(s, dst, x) }

// Gate computes dst = f(gate) * up; dst must be neither.
func (s *Set) Gate(a *Activation, dst, gate, up []float32) {
	if a == nil || a.name == "silu" {
		s.SwiGLU(dst, gate, up)
		return
	}
	a.apply(s, dst, gate)
	s.Mul(dst, dst, up)
}

// expOf computes dst = e^f(x).
func (s *Set) expOf(dst, x []float32, f func(float32) float32) {
	for i, v := range x[:len(dst)] {
		dst[i] = f(v)
	}
	s.Exp(dst, dst)
}

// gated computes dst = x / (1 + e^f(x)).
func (s *Set) gated(dst, x []float32, f func(float32) float32) {
	s.expOf(dst, x, f)
	for i, v := range x[:len(dst)] {
		dst[i] = v / (1 + dst[i])
	}
}

// geluExponent: half of 1 + tanh(z) is the sigmoid of 2z.
func geluExponent(v float32) float32 {
	const twice = 2 * 0.7978845608028654 // sqrt(2/pi)
	cube := float32(0.044715) * v * v * v
	return float32(-twice) * (v + cube)
}

// Coefficients of the complementary error function (Abramowitz and Stegun, 7.1.26): an absolute error of 1.5e-7.
var erfPoly = [...]float32{0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429}

// gelu computes dst = x * (1 + erf(x/sqrt(2))) / 2.
func (s *Set) gelu(dst, x []float32) {
	s.expOf(dst, x, func(v float32) float32 { return -0.5 * v * v })
	for i, v := range x[:len(dst)] {
		t := 1 / (1 + float32(0.3275911/math.Sqrt2)*max(v, -v))
		tail := 0.5 * t * (erfPoly[0] + t*(erfPoly[1]+t*(erfPoly[2]+t*(erfPoly[3]+t*erfPoly[4])))) * dst[i]
		if v >= 0 {
			tail = 1 - tail
		}
		dst[i] = v * tail
	}
}

// Softcap computes dst = by * tanh(x/by).
func (s *Set) Softcap(dst, x []float32, by float32) {
	s.expOf(dst, x, func(v float32) float32 { return 2 * v / by })
	for i, e := range dst {
		dst[i] = by * ((e - 1) / (e + 1))
	}
}
