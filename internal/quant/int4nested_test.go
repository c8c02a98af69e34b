package quant

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
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

// Vectors give the grids, codes and numbers of the Go code, to the bit, whatever the weights are.
func TestNestedVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.IntRange(1, 40).Draw(t, "groups")
		x := weights(t, groups*nestedGroup)
		if rapid.Bool().Draw(t, "constant groups") {
			for k := range nestedGroup {
				x[k] = x[0]
			}
		}
		low, high := make([]float32, groups), make([]float32, groups)
		if n := vectorSpans(x, low, high); n != groups {
			t.Skip("no vectors")
		}
		amax := float32(0)
		for g := range groups {
			a, b := span(x[g*nestedGroup:][:nestedGroup])
			if math.Float32bits(a) != math.Float32bits(low[g]) || math.Float32bits(b) != math.Float32bits(high[g]) {
				t.Fatalf("group %d from %g to %g, vectors say %g to %g", g, a, b, low[g], high[g])
			}
			amax = max(amax, abs(a), abs(b))
		}
		inverse := 127 / amax * rapid.Float32Range(0.4, 1).Draw(t, "room")
		if amax < leastMaxAbs {
			inverse = 0
		}
		codes, steps, offsets := make([]uint8, len(x)), make([]uint8, groups), make([]uint8, groups)
		vectorNested(x, low, high, inverse, codes, steps, offsets)
		want := make([]uint8, nestedGroup)
		for g := range groups {
			v := x[g*nestedGroup:][:nestedGroup]
			grid := bestNested(v, low[g], high[g], inverse)
			grid.assign(want, v)
			if got := codes[g*nestedGroup:][:nestedGroup]; int(steps[g]) != grid.step || int(offsets[g]) != grid.offset+nestedZero || !slices.Equal(got, want) {
				t.Fatalf("group %d of %v, inverse %g: step %d, offset %d, codes %v; vectors say %d, %d, %v", g, v, inverse, grid.step, grid.offset+nestedZero, want, steps[g], offsets[g], got)
			}
		}
		numbers := make([]float32, len(x))
		vectorNumbers(numbers, codes, steps, offsets, 1/inverse)
		for k, y := range numbers {
			if z := float32(int32(codes[k])*int32(steps[k/nestedGroup])+int32(offsets[k/nestedGroup])-nestedZero) * (1 / inverse); math.Float32bits(y) != math.Float32bits(z) {
				t.Fatalf("number %d is %g, vectors say %g", k, z, y)
			}
		}
	})
}
