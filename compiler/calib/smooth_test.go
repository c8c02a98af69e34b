package calib

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"llmc/internal/dense"
	"llmc/internal/quant"
)

// TestAWQNeverLosesMoreThanRounding by what it looks for, the loss of products with the inputs, worked out here in f64 from the factors alone.
func TestAWQNeverLosesMoreThanRounding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(roundedFormats()).Draw(t, "format")
		cols, rows := groupOf(f)*rapid.IntRange(1, 2).Draw(t, "groups"), rapid.IntRange(1, 4).Draw(t, "rows")
		tied := rapid.SampledFrom([]int{1, 2}).Draw(t, "tied")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		h, x := correlated(r, rapid.IntRange(1, 60).Draw(t, "inputs"), cols), normal(r, rows*cols)
		s := &Smoothing{Format: f, Input: &Input{Cols: cols, Rows: 1, Moments: h}, Rows: x, Factors: cols / tied, Factor: func(c int) int { return c / tied }}
		factors := awqFactors(s)
		if factors == nil {
			return
		}
		scaled := make([]float32, len(x))
		for i, w := range x {
			scaled[i] = w * factors[s.Factor(i%cols)]
		}
		var b quant.Block
		if err := f.Quantize(&b, scaled, cols); err != nil {
			t.Fatal(err)
		}
		q := make([]float32, len(x))
		f.Dequantize(q, &b)
		loss := func(at func(i int) float64) (sum float64) {
			for row := 0; row < len(x); row += cols {
				for i := range cols {
					for j := range cols {
						sum += at(row+i) * at(row+j) * float64(h[min(i, j)*cols+max(i, j)])
					}
				}
			}
			return sum
		}
		got := loss(func(i int) float64 { return float64(q[i])/float64(factors[s.Factor(i%cols)]) - float64(x[i]) })
		var plain quant.Block
		if err := f.Quantize(&plain, x, cols); err != nil {
			t.Fatal(err)
		}
		f.Dequantize(q, &plain)
		if want := loss(func(i int) float64 { return float64(q[i]) - float64(x[i]) }); got > want*1.001 {
			t.Errorf("%s: loses %g, rounding %g", f.Name, got, want)
		}
	})
}

// TestAWQGains where few inputs are much larger than all others.
func TestAWQGains(t *testing.T) {
	f, err := quant.Find("int4-g32")
	if err != nil {
		t.Fatal(err)
	}
	const cols, rows = 128, 64
	r := rand.New(rand.NewPCG(5, 5))
	inputs, x := normal(r, 300*cols), normal(r, rows*cols)
	for i := range inputs {
		if i%cols%20 == 0 {
			inputs[i] *= 12
		}
	}
	h := dense.Matrix{Data: make([]float32, cols*cols), Stride: cols}
	dense.AddTransposed(h, dense.Matrix{Data: inputs, Stride: cols}, dense.Matrix{Data: inputs, Stride: cols}, cols, cols, 300)
	s := &Smoothing{Format: f, Input: &Input{Cols: cols, Rows: 300, Moments: h.Data}, Rows: x, Factors: cols, Factor: func(c int) int { return c }}
	trial := newTrial(s)
	if part := trial.loss(awqFactors(s)) / trial.loss(nil); !(part < 0.7) {
		t.Errorf("loses %.3f of what rounding does", part)
	}
}

// TestSmoothquantEvensOut: afterwards inputs stand out of their columns as much as weights do, and factors take few digits.
func TestSmoothquantEvensOut(t *testing.T) {
	inputs, weights := []float32{64, 1, 4, 0.5}, []float32{1, 1, 4, 2}
	s := &Smoothing{Input: &Input{Cols: 4, Largest: inputs}, Rows: []float32{1, -1, 2, 1, -0.5, 0.5, -4, 2}, Factors: 4, Factor: func(c int) int { return c }}
	factors := smoothquantFactors(s)
	even := float64(inputs[0]/factors[0]) / float64(weights[0]*factors[0])
	for c, f := range factors {
		fraction, _ := math.Frexp(float64(f))
		if fraction*16 != math.Round(fraction*16) {
			t.Errorf("factor %g takes many digits", f)
		}
		if ratio := float64(inputs[c]/f) / float64(weights[c]*f) / even; !(ratio > 0.75 && ratio < 1.33) {
			t.Errorf("column %d: inputs up to %g, weights up to %g, %.2f of what it is in the first", c, inputs[c]/f, weights[c]*f, ratio)
		}
	}
	if factors[0] < 2*factors[3] {
		t.Errorf("factors %v do not follow the inputs", factors)
	}
}
