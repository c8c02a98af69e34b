package quant

import (
	"math"
	"math/rand/v2"
	"testing"

	"llmc/internal/dtype"

	"pgregory.net/rapid"
)

// Each number is replaced by the nearest of the 254 that its row can hold: none of them is closer. The largest magnitude takes the largest code.
func TestE4M3TakesTheNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := weights(t, rapid.IntRange(1, 200).Draw(t, "n"))
		codes := make([]uint8, len(x))
		scale := E4M3(codes, x)
		for i, code := range codes {
			have := math.Abs(float64(x[i]) - float64(scale)*float64(dtype.E4M3ToF32(code)))
			for other := range 256 {
				if other&0x7f == 0x7f {
					continue
				}
				// The scale and its inverse are rounded, so that ties may fall to either side.
				d := math.Abs(float64(x[i]) - float64(scale)*float64(dtype.E4M3ToF32(uint8(other))))
				if d < have-1e-6*math.Abs(float64(x[i])) {
					t.Fatalf("%g became code %#02x, %#02x is nearer (scale %g)", x[i], code, other, scale)
				}
			}
		}
		e, _ := extreme(x)
		for i, v := range x {
			if v == e && abs(e) >= leastMaxAbs && codes[i]&0x7f != 0x7e {
				t.Fatalf("the largest magnitude %g became code %#02x", v, codes[i])
			}
		}
	})
	codes := make([]uint8, 2)
	if scale := E4M3(codes, []float32{1e-31, -1e-31}); scale != 0 || codes[0] != 0 || codes[1] != 0x80 {
		t.Errorf("numbers below the least magnitude gave %v, scale %g", codes, scale)
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		if scale := E4M3(codes, []float32{1, float32(bad)}); !(scale != scale || scale > math.MaxFloat32) || codes[1] != 0x7f {
			t.Errorf("%g gave codes %v and scale %g", bad, codes, scale)
		}
	}
}

// Scales are amax/448 of the whole weight, or of each block of 128 rows and columns, the last ones shorter; limits may come in pieces.
func TestSharedScales(t *testing.T) {
	const rows, cols = 300, 200
	r := rand.New(rand.NewPCG(9, 1))
	x := make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(r.NormFloat64()) * float32(1+i/cols/128) * float32(1+i%cols/128*3)
	}
	for name, block := range map[string][2]int{"fp8-tensor": {rows, cols}, "fp8-block": {128, 128}} {
		f, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		var b Block
		if err := f.Quantize(&b, x, cols); err != nil {
			t.Fatal(err)
		}
		groups := (cols + block[1] - 1) / block[1]
		for i, scale := range b.Scales {
			most := float32(0)
			for at, v := range x {
				if at/cols/block[0] == i/groups/block[0] && at%cols/block[1] == i%groups {
					most = max(most, abs(v))
				}
			}
			if scale != most/448 {
				t.Fatalf("%s: scale %d of row %d is %g, want %g", name, i%groups, i/groups, scale, most/448)
			}
		}
		one, two := f.NewLimits(rows, cols), f.NewLimits(rows, cols)
		if err := one.Add(x[:77*cols], 0); err != nil {
			t.Fatal(err)
		}
		if err := two.Add(x[77*cols:], 77); err != nil {
			t.Fatal(err)
		}
		one.Join(two)
		for i := range b.Scales {
			if one.Of(i/groups, i%groups)/448 != b.Scales[i] {
				t.Fatalf("%s: limits in pieces differ at row %d", name, i/groups)
			}
		}
	}
}
