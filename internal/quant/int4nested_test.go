package quant

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// nestedRow draws numbers that the format can hold: whole steps and offsets of a scale, of which the row's largest is 127.
func nestedRow(r *rand.Rand, groups int, scale float32) []float32 {
	x := make([]float32, 32*groups)
	for g := range groups {
		step := 1 + r.IntN(maxStep)
		offset := r.IntN(254-maxCode*step+1) - 127
		for i := range 32 {
			code := r.IntN(16)
			if i < 2 { // both ends of the range
				code = 15 * i
			}
			x[32*g+i] = float32(code*step+offset) * scale
		}
	}
	for i := range 32 {
		x[i] = float32(i%16*15-98) * scale // 127 at the end
	}
	return x
}

// Numbers on a nested grid come back exactly.
func TestNestedNumbersStay(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	f, err := Find("int4-nested")
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		x := nestedRow(r, 1+r.IntN(5), 0.25)
		var b Block
		if err := f.Quantize(&b, x, len(x)); err != nil {
			t.Fatal(err)
		}
		y := make([]float32, len(x))
		f.Dequantize(y, &b)
		if !slices.Equal(x, y) {
			t.Fatalf("%v became %v", x, y)
		}
	}
}

// Over normally distributed weights the format loses less than 4 bits with a scale in half precision, at fewer bits, and at most 2 % more than a
// scale and an offset in single precision would that cover each group.
func TestNestedLoss(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	const cols = 2048
	x := make([]float32, 32*cols)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	loss := func(y []float32) float64 {
		sum := 0.0
		for i := range x {
			sum += math.Pow(float64(x[i])-float64(y[i]), 2)
		}
		return math.Sqrt(sum / float64(len(x)))
	}
	stored := func(name string) (float64, float64) {
		f, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		var b Block
		if err := f.Quantize(&b, x, cols); err != nil {
			t.Fatal(err)
		}
		y := make([]float32, len(x))
		f.Dequantize(y, &b)
		return loss(y), f.BitsPerWeight(cols)
	}
	nested, bits := stored("int4-nested")
	symmetric, more := stored("int4-g32")
	covering := make([]float32, len(x))
	for i, g := range slices.Collect(slices.Chunk(x, 32)) {
		low, high := span(g)
		step := float64(high-low) / 15
		for k, v := range g {
			covering[32*i+k] = float32(float64(low) + step*math.RoundToEven(float64(v-low)/step))
		}
	}
	t.Logf("nested %.4f at %.3f bits, symmetric %.4f at %.3f, covering %.4f", nested, bits, symmetric, more, loss(covering))
	if !(nested < symmetric) || bits >= more || nested > 1.02*loss(covering) {
		t.Errorf("loss %g at %g bits; %g at %g, covering %g", nested, bits, symmetric, more, loss(covering))
	}
}
