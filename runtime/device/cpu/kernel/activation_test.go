package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// formulas are what activations mean, in float64.
var formulas = map[string]func(x float64) float64{
	"silu":       func(x float64) float64 { return x / (1 + math.Exp(-x)) },
	"sigmoid":    func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
	"gelu":       func(x float64) float64 { return x * math.Erfc(-x/math.Sqrt2) / 2 },
	"gelu_tanh":  func(x float64) float64 { return x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) / 2 },
	"quick_gelu": func(x float64) float64 { return x / (1 + math.Exp(-1.702*x)) },
	"relu":       func(x float64) float64 { return max(x, 0) },
	"relu2":      func(x float64) float64 { return max(x, 0) * max(x, 0) },
}

// Every activation has its function, within some units of f32, far from zero too, where terms overflow.
func TestActivationsAreTheirFormulas(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	x := []float32{0, 1e-20, -1e-20, 1e-4, -1e-4, 11, -11, 88, -88, 1e4, -1e4, 1e30, -1e30}
	for range 500 {
		x = append(x, float32(6*r.NormFloat64()))
	}
	y, s := make([]float32, len(x)), genericSet()
	if len(activations) != len(formulas) {
		t.Errorf("%d activations, %d formulas", len(activations), len(formulas))
	}
	for name, formula := range formulas {
		act, ok := FindActivation(name)
		if !ok {
			t.Errorf("%s is unknown", name)
			continue
		}
		s.Activate(act, y, x)
		for i, v := range x {
			want := formula(float64(v))
			if want > math.MaxFloat32 {
				want = math.Inf(1)
			}
			if got := float64(y[i]); got != want && !(math.Abs(got-want) <= 4e-7*max(1, math.Abs(want), min(math.Abs(float64(v)), 16))) {
				t.Errorf("%s(%g) = %g, want %g", name, v, got, want)
			}
		}
	}
	s.Softcap(y, x, 30)
	for i, v := range x {
		if want := 30 * math.Tanh(float64(v)/30); math.Abs(float64(y[i])-want) > 6e-6 {
			t.Errorf("softcap(%g) = %g, want %g", v, y[i], want)
		}
	}
}

// Gates with bounds are min(gate, limit) through the function, times up within the limit and shifted, on every set; results may lie where the gate was bounded.
func TestBoundedGates(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 7))
	const limit, shift = 1.5, 1
	for _, set := range Detect() {
		for name, formula := range formulas {
			n := 1 + r.IntN(200)
			gate, up, y := randomRow(r, n), randomRow(r, n), make([]float32, n)
			for i := range gate {
				gate[i], up[i] = 3*gate[i], 3*up[i]
			}
			act, _ := FindActivation(name)
			set.Gate(act.Bounded(limit, shift), y, gate, up)
			for i := range y {
				want := formula(min(float64(gate[i]), limit)) * (min(max(float64(up[i]), -limit), limit) + shift)
				if math.Abs(float64(y[i])-want) > 2e-6 {
					t.Errorf("%s: %s(%g), %g: %g, want %g", set.Name, name, gate[i], up[i], y[i], want)
				}
			}
			set.Gate(act.Bounded(0, shift), y, gate, up)
			for i := range y {
				if want := formula(float64(gate[i])) * (float64(up[i]) + shift); math.Abs(float64(y[i])-want) > 1e-5*max(1, math.Abs(want)) {
					t.Errorf("%s: %s(%g), %g unbounded: %g, want %g", set.Name, name, gate[i], up[i], y[i], want)
				}
			}
		}
	}
}

// A layer norm of rows far from zero is that of float64.
func TestLayerNorm(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 6))
	for n := 1; n < 200; n += 7 {
		x, w, b := randomRow(r, n), randomRow(r, n), randomRow(r, n)
		mean := 0.0
		for i := range x {
			x[i] += 20
			mean += float64(x[i]) / float64(n)
		}
		squares := 0.0
		for _, v := range x {
			squares += (float64(v) - mean) * (float64(v) - mean)
		}
		y, sum, zeros := make([]float32, n), make([]float32, n), make([]float32, n)
		genericSet().LayerNorm(y, x, w, b, 1e-5)
		for i, v := range x {
			want := (float64(v)-mean)/math.Sqrt(squares/float64(n)+1e-5)*float64(w[i]) + float64(b[i])
			if math.Abs(float64(y[i])-want) > 1e-4 {
				t.Errorf("layer norm of %d: [%d] is %g, want %g", n, i, y[i], want)
			}
		}
		genericSet().AddLayerNorm(sum, zeros, zeros, x, w, b, 1e-5)
		for i := range y {
			if zeros[i] != y[i] || sum[i] != x[i] {
				t.Errorf("the same after a sum: [%d] is %g, want %g", i, zeros[i], y[i])
			}
		}
	}
}
