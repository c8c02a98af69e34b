package quant

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/internal/dtype"

	"pgregory.net/rapid"
)

// Codes are those of dtype.F32ToE2M1, which compares with the ends of every code.
func TestNearestE2M1(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float32().Draw(t, "x")
		if rapid.Bool().Draw(t, "near") {
			x = float32(rapid.IntRange(-200, 200).Draw(t, "eighths")) / 8
		}
		if got, want := nearestE2M1(x, 1, 0), dtype.F32ToE2M1(x); got != want {
			t.Fatalf("%g has code %d, want %d", x, got, want)
		}
		level := math.Float32frombits(levelE2M1(math.Float32bits(x)&^signBit) | math.Float32bits(x)&signBit)
		if want := dtype.E2M1ToF32(dtype.F32ToE2M1(x)); level != want {
			t.Fatalf("%g has level %g, want %g", x, level, want)
		}
	})
}

// onNVFP4 makes rows of numbers of NVFP4, whose first group has the row's largest magnitude.
func onNVFP4(r *rand.Rand, rows, cols int, scale float32) []float32 {
	x := make([]float32, rows*cols)
	for i := range x {
		if i%cols%16 == 0 {
			part := float32(largestPart)
			if i%cols > 0 {
				part = dtype.E4M3ToF32(uint8(1 + r.IntN(int(dtype.F32ToE4M3(largestPart)))))
			}
			for k := range min(16, cols-i%cols) {
				x[i+k] = dtype.E2M1ToF32(uint8(r.IntN(16))) * float32(part*scale)
			}
			x[i] = dtype.E2M1Max * float32(part*scale)
		}
	}
	return x
}

// Numbers of NVFP4 stay, whatever their scale: what was quantized before loses nothing.
func TestNVFP4(t *testing.T) {
	f, err := Find("nvfp4")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 9))
	for exponent := -80; exponent <= 100; exponent += 9 {
		const cols = 200
		x := onNVFP4(r, 3, cols, float32(math.Ldexp(1, exponent)))
		var b Block
		if err := f.Quantize(&b, x, cols); err != nil {
			t.Fatal(err)
		}
		y := make([]float32, len(x))
		f.Dequantize(y, &b)
		if !slices.Equal(x, y) {
			t.Errorf("2^%d: numbers changed", exponent)
		}
		for row := range b.Rows {
			for g := range f.Groups(cols) {
				s := b.Scales[row*f.Scales(cols)+g]
				if dtype.E4M3ToF32(dtype.F32ToE4M3(s)) != s || s < 0 {
					t.Fatalf("scale %g is none of e4m3", s)
				}
			}
		}
	}
	var b Block
	if err := f.Quantize(&b, make([]float32, 32), 32); err != nil || b.Scales[2] != 0 {
		t.Errorf("zeros: scale %g, %v", b.Scales[2], err)
	}
}

// The search loses less than the scale at which the largest magnitude takes the largest level, rounded to e4m3, as it does for int4.
func TestSearchOfNVFP4(t *testing.T) {
	f, err := Find("nvfp4")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, 1<<14)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	var b Block
	if err := f.Quantize(&b, x, len(x)); err != nil {
		t.Fatal(err)
	}
	var searched, rounded float64
	of := *f.rowScale(&b, 0)
	for g := range f.Groups(len(x)) {
		group := x[16*g : 16*g+16]
		e, _ := extreme(group)
		plain := dtype.E4M3ToF32(dtype.F32ToE4M3(abs(e)/6/of)) * of
		loss := func(scale float32) float64 { return float64(lossE2M1(group, evenly[:], 1/scale) * scale * scale) }
		searched += loss(f.tieredLevels(&b, 0, g).Scale)
		rounded += loss(plain)
	}
	if gain := 1 - math.Sqrt(searched/rounded); gain < 0.06 {
		t.Errorf("the search gains %.3f", gain)
	} else {
		t.Logf("the search gains %.3f", gain)
	}
}

// Shifted scales are numbers that the format stores, and SetLevels gives them back.
func TestShiftedScales(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	for _, name := range []string{"mxfp4", "nvfp4"} {
		f, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 2000 {
			x := make([]float32, f.Group)
			for i := range x {
				x[i] = float32(r.NormFloat64() * math.Exp(8*r.NormFloat64()))
			}
			var b Block
			if err := f.Quantize(&b, x, len(x)); err != nil {
				t.Fatal(err)
			}
			l := f.Levels(&b, 0, 0)
			to, by := f.Shift(l, float32(r.NormFloat64())*l.Scale)
			f.SetLevels(&b, 0, 0, to)
			if back := f.Levels(&b, 0, 0); back != to || to.Scale-l.Scale != by {
				t.Fatalf("%s: %+v moved by %g to %+v, which is stored as %+v", name, l, by, to, back)
			}
		}
	}
}
