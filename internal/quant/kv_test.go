package quant

import (
	"math"
	"testing"

	"llmc/internal/dtype"

	"pgregory.net/rapid"
)

// Numbers of a row come back within half a step of the row's codes, and the largest magnitude has the largest code where the scale is its own. Where that is
// the only one tried, what is stored stays the same when it is stored again.
func TestKVRows(t *testing.T) {
	for _, c := range []struct {
		name string
		off  func(x, amax float64) float64 // how far a number may be off
		most float64
	}{
		{"int8", func(_, amax float64) float64 { return amax / 254 }, 127},
		{"fp8", func(x, amax float64) float64 { return math.Max(x/16, amax/448/512) }, dtype.E4M3Max},
		{"int4", func(x, amax float64) float64 { return math.Max(amax/10, x-0.75*amax) }, 20}, // half of the widest step, or of what a scale cuts off
	} {
		f, err := FindKV(c.name)
		if err != nil || !f.Scaled() {
			t.Fatal(f, err)
		}
		t.Run(c.name, rapid.MakeCheck(func(t *rapid.T) {
			row := weights(t, rapid.IntRange(1, 130).Draw(t, "dim"))
			codes, again := make([]uint16, len(row)), make([]uint16, len(row))
			scale := f.Codes(codes, row)
			amax, top := 0.0, 0.0
			stored := make([]float32, len(row))
			for i, x := range row {
				amax = math.Max(amax, math.Abs(float64(x)))
				stored[i] = f.Level(codes[i]) * scale
				top = math.Max(top, math.Abs(float64(f.Level(codes[i]))))
			}
			if scale != dtype.F16ToF32(dtype.F32ToF16(scale)) {
				t.Fatalf("scale %v is not of f16", scale)
			}
			if amax/c.most < 0x1p-14 || amax/c.most > 65000 {
				return // beyond the normal numbers of f16
			}
			alone := len(f.Tries) == 1
			if alone && top != c.most || top < c.most/2 {
				t.Fatalf("largest level %v", top)
			}
			for i, x := range row {
				if d := math.Abs(float64(stored[i]) - float64(x)); d > 1.001*c.off(math.Abs(float64(x)), amax)+amax/2048 {
					t.Fatalf("%v became %v in a row of up to %v", x, stored[i], amax)
				}
			}
			if !alone {
				return
			}
			if s := f.Codes(again, stored); s != scale {
				t.Fatalf("scale %v became %v", scale, s)
			}
			for i := range codes {
				if f.Level(codes[i]) != f.Level(again[i]) {
					t.Fatalf("code %d became %d", codes[i], again[i])
				}
			}
		}))
	}
}

// No scale that is tried loses less than the one that is taken, and rows that are turned lose less than others where one number stands out.
func TestKVScales(t *testing.T) {
	loss := func(f *KVFormat, row []float32, scale float32) (sum float64) {
		for _, x := range row {
			d := float64(f.level(f.code(x/scale))*scale) - float64(x)
			sum += d * d
		}
		return sum
	}
	for _, name := range []string{"fp8", "int4"} {
		f, err := FindKV(name)
		if err != nil || len(f.Tries) < 2 {
			t.Fatal(f, err)
		}
		rapid.Check(t, func(t *rapid.T) {
			row := rapid.SliceOfN(rapid.Float32Range(-4, 4), 16, 64).Draw(t, "row")
			scale := f.Codes(make([]uint16, len(row)), row)
			if scale == 0 {
				return
			}
			least := loss(f, row, scale)
			for _, try := range f.Tries {
				if s := dtype.F16ToF32(dtype.F32ToF16(amaxOf(row) / f.Most * try)); s != 0 && loss(f, row, s) < 0.999*least {
					t.Fatalf("%s: scale %v loses %v, %v loses %v", name, scale, least, s, loss(f, row, s))
				}
			}
		})
	}
	f, _ := FindKV("int4")
	row := make([]float32, 64)
	for i := range row {
		row[i] = float32(math.Sin(float64(7 * i)))
	}
	row[5] = 30
	kept, plain := append([]float32(nil), row...), append([]float32(nil), row...)
	f.Keep(kept, 0)
	bare := *f
	bare.Turned = false
	bare.Keep(plain, 0)
	var turned, direct float64
	for i, x := range row {
		turned += math.Pow(float64(kept[i]-x), 2)
		direct += math.Pow(float64(plain[i]-x), 2)
	}
	if turned > direct/3 {
		t.Errorf("squares of %v are lost, without turning %v", turned, direct)
	}
	for _, c := range []struct{ dim, rank, want int }{{64, 0, 64}, {80, 0, 16}, {512, 0, 256}, {576, 512, 64}, {7, 0, 1}, {40, 32, 8}} {
		if got := f.Block(c.dim, c.rank); got != c.want {
			t.Errorf("heads of %d, rank %d: blocks of %d", c.dim, c.rank, got)
		}
	}
}

// What can not be stored is not stored as something else.
func TestKVRowsNotFinite(t *testing.T) {
	for _, name := range []string{"int8", "int16", "fp8", "int4"} {
		f, err := FindKV(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
			codes := make([]uint16, 3)
			scale := f.Codes(codes, []float32{1, bad, 2})
			if x := f.Level(codes[1]) * scale; x-x == 0 {
				t.Errorf("%s: %v became %v", name, bad, x)
			}
		}
		codes := make([]uint16, 2)
		if scale := f.Codes(codes, []float32{0, 0}); scale != 0 {
			t.Errorf("%s: zeros became %v times %v", name, codes, scale)
		}
	}
}

func TestKVFormats(t *testing.T) {
	for _, f := range KVFormats {
		found, err := KVOf(f.DType)
		if err != nil || found.Name != f.Name {
			t.Errorf("%v: %v, %v", f.DType, found, err)
		}
	}
	if _, err := KVOf(dtype.I32); err == nil {
		t.Error("a cache of i32 is known")
	}
	if _, err := FindKV("fp4"); err == nil {
		t.Error("fp4 is known")
	}
}
