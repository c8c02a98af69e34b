package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"llmc/internal/dtype"

	"pgregory.net/rapid"
)

func coded() []*Format {
	var list []*Format
	for i := range Formats {
		if !Formats[i].Plain() {
			list = append(list, &Formats[i])
		}
	}
	return list
}

// weights draws rows as they occur and as they do not: normal, with outliers, on one side of zero, sparse, huge, tiny, constant.
func weights(t *rapid.T, n int) []float32 {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	scale := math.Pow(10, rapid.Float64Range(-9, 4.5).Draw(t, "exponent"))
	shape := rapid.SampledFrom([]string{"normal", "outliers", "positive", "negative", "sparse", "constant", "two"}).Draw(t, "shape")
	x := make([]float32, n)
	for i := range x {
		v := min(max(r.NormFloat64(), -4), 4)
		switch shape {
		case "outliers":
			if r.IntN(40) == 0 {
				v *= 30
			}
		case "positive":
			v = math.Abs(v)
		case "negative":
			v = -math.Abs(v)
		case "sparse":
			if r.IntN(10) > 0 {
				v = 0
			}
		case "constant":
			v = 1
		case "two":
			v = float64(r.IntN(2)*2 - 1)
		}
		x[i] = float32(v * scale / 120)
	}
	return x
}

// The documented bounds hold for every group of every format, codes and scales are within their ranges, and quantizing what
// was dequantized changes little: no more than the bound again.
func TestErrorBounds(t *testing.T) {
	for _, f := range coded() {
		t.Run(f.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				cols, rows := rapid.IntRange(1, 300).Draw(t, "cols"), rapid.IntRange(1, 3).Draw(t, "rows")
				x := weights(t, rows*cols)
				checkBounds(t, f, x, cols)
			})
		})
	}
}

func checkBounds(t *rapid.T, f *Format, x []float32, cols int) {
	var b Block
	if err := f.Quantize(&b, x, cols); err != nil {
		t.Fatal(err)
	}
	y := make([]float32, len(x))
	f.Dequantize(y, &b)
	size := f.BoundColumns(cols)
	limits := f.NewLimits(b.Rows, cols)
	if err := limits.Add(x, 0); err != nil {
		t.Fatal(err)
	}
	for r := range b.Rows {
		for lo := 0; lo < cols; lo += size {
			hi := min(cols, lo+size)
			var amax, most float32
			var sum float64
			for i := r*cols + lo; i < r*cols+hi; i++ {
				amax, most = max(amax, abs(x[i])), max(most, abs(x[i]-y[i]))
				sum += float64(x[i]-y[i]) * float64(x[i]-y[i])
			}
			if limits != nil {
				amax = limits.Of(r, lo/size)
			}
			rms, bound := f.ErrorBound(amax, hi-lo)
			if got := math.Sqrt(sum / float64(hi-lo)); got > float64(rms)*(1+1e-6) || most > bound*(1+1e-6) {
				t.Fatalf("row %d, columns %d to %d, amax %g: rms %g (bound %g), most %g (bound %g)", r, lo, hi, amax, got, rms, most, bound)
			}
		}
	}
	for i, s := range b.Scales {
		if f.ScaleBits == 16 && dtype.F16ToF32(dtype.F32ToF16(s)) != s {
			t.Fatalf("scale %d = %g is not a half-precision number", i, s)
		}
	}
	for i, c := range b.Codes {
		if f.DType == dtype.U4 && c > 15 || f.DType == dtype.U8 && c == 0 {
			t.Fatalf("code %d is %d", i, c)
		}
	}
	for i, step := range b.Steps {
		if int(step)*15+int(b.Zeros[i]) > 255 {
			t.Fatalf("step %d is %d from offset %d", i, step, b.Zeros[i])
		}
	}
	for i, z := range b.Zeros {
		if z > 15 && f.StepBits == 0 {
			t.Fatalf("zero point %d is %d", i, z)
		}
	}
}

// Against plain rounding (int4: the extreme at code 0, as Q4_0 does), the search never loses in sum over normally distributed
// weights, and its gain is what the comment at the candidates says.
func TestSearchBeatsRounding(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, 1<<16)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	for name, gain := range map[string]float64{"int4-g32": 0.02, "int4-g64": 0.03, "int4-g128": 0.04} {
		f, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		var b Block
		if err := f.Quantize(&b, x, len(x)); err != nil {
			t.Fatal(err)
		}
		y := make([]float32, len(x))
		f.Dequantize(y, &b)
		var searched, rounded float64
		for i := range x {
			searched += math.Pow(float64(x[i]-y[i]), 2)
		}
		for g := range slices.Chunk(x, f.Group) {
			e, _ := extreme(g)
			for _, v := range g {
				c := min(math.RoundToEven(float64(v/(e/-8))), 7)
				rounded += math.Pow(float64(v)-c*float64(e/-8), 2)
			}
		}
		if math.Sqrt(searched) > (1-gain)*math.Sqrt(rounded) {
			t.Errorf("%s: error %g of %g", name, math.Sqrt(searched), math.Sqrt(rounded))
		}
	}
}

// Numbers that a format can hold come back exactly: weights that were quantized before lose nothing. Levels are multiples of a
// quarter, and every group has both ends of its range.
func TestExactNumbersStay(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, f := range coded() {
		low, high := -7, 7
		switch {
		case f.DType == dtype.U8:
			low, high = -127, 127
		case f.ZeroBits > 0:
			low, high = -5, 10
		}
		if f.StepBits > 0 || f.DType == dtype.U4 && f.levels != nil {
			continue // see TestNestedNumbersStay, TestMXFP4, TestNVFP4
		}
		size := f.groupSize(64)
		x := make([]float32, 3*size)
		for i := range x {
			x[i] = 0.25 * float32(low+r.IntN(high-low+1))
		}
		for group := range slices.Chunk(x, size) {
			group[0], group[1] = 0.25*float32(low), 0.25*float32(high)
		}
		var b Block
		if err := f.Quantize(&b, x, len(x)); err != nil {
			t.Fatal(err)
		}
		y := make([]float32, len(x))
		f.Dequantize(y, &b)
		if !slices.Equal(x, y) {
			t.Errorf("%s: %v became %v", f.Name, x, y)
		}
	}
}

// Rows give the same codes alone and in any block, also when the block's memory is reused.
func TestBlocksDoNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const rows, cols = 9, 100
	x := make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	for _, f := range coded() {
		var whole, part Block
		if err := f.Quantize(&whole, x, cols); err != nil {
			t.Fatal(err)
		}
		groups, scales, limits := f.Groups(cols), f.scales(cols), f.NewLimits(rows, cols)
		if err := limits.Add(x, 0); err != nil {
			t.Fatal(err)
		}
		for lo := 0; lo < rows; lo += 2 {
			hi := min(rows, lo+2)
			if err := f.QuantizeRows(&part, x[lo*cols:hi*cols], cols, lo, limits); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(part.Codes, whole.Codes[lo*cols:hi*cols]) || !slices.Equal(part.Scales, whole.Scales[lo*scales:hi*scales]) {
				t.Errorf("%s: rows %d to %d depend on their block", f.Name, lo, hi)
			}
			if f.ZeroBits > 0 && !slices.Equal(part.Zeros, whole.Zeros[lo*groups:hi*groups]) {
				t.Errorf("%s: zero points of rows %d to %d depend on their block", f.Name, lo, hi)
			}
			if f.StepBits > 0 && !slices.Equal(part.Steps, whole.Steps[lo*groups:hi*groups]) {
				t.Errorf("%s: steps of rows %d to %d depend on their block", f.Name, lo, hi)
			}
		}
	}
}

func TestRefusedWeights(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, f := range coded() {
		for _, bad := range []float32{nan, inf} {
			x := make([]float32, 200)
			x[150] = bad
			var b Block
			err := f.Quantize(&b, x, 100)
			if err == nil || !strings.Contains(err.Error(), "row 1") || !strings.Contains(err.Error(), "not a number") {
				t.Errorf("%s with %g: %v", f.Name, bad, err)
			}
		}
		var b Block
		if err := f.Quantize(&b, make([]float32, 7), 2); err == nil {
			t.Errorf("%s: 7 elements were taken as rows of 2", f.Name)
		}
		if f.ScaleBits == 16 {
			if err := f.Quantize(&b, []float32{1e9}, 1); err == nil || !strings.Contains(err.Error(), "half precision") {
				t.Errorf("%s with 1e9: %v", f.Name, err)
			}
		}
	}
	f, _ := Find("bf16")
	if err := f.Quantize(new(Block), make([]float32, 4), 2); err == nil {
		t.Error("bf16 has codes")
	}
}

func TestTable(t *testing.T) {
	for name, bits := range map[string]float64{
		"f32": 32, "bf16": 16, "int8": 8 + 32.0/512, "int8-w8a8": 8 + 32.0/512, "fp8": 8 + 32.0/512, "fp8-tensor": 8 + 32.0/512, "fp8-block": 8 + 8.0/128, "int4": 4.5, "mxfp4": 4.25, "nvfp4": 4.5 + 32.0/512, "int4-nested": 4.4375, "int4-g64": 4.25, "int4-g128": 4.125, "int4-zp": 4.75, "int4-g128-zp": 4.1875, "nf4": 4.5, "fp4": 4.5, "q5_1": 6,
	} {
		f, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.BitsPerWeight(512); got != bits {
			t.Errorf("%s takes %g bits, want %g", name, got, bits)
		}
		if !f.Plain() {
			if same, err := FindType(f.Type); err != nil || same != f {
				t.Errorf("type %q: %v", f.Type, err)
			}
		}
	}
	for _, name := range []string{"", "int3", "int4.g32"} {
		if _, err := Find(name); err == nil {
			t.Errorf("format %q was found", name)
		}
	}
	if _, err := FindType(""); err == nil {
		t.Error("the empty type was found")
	}
}

// Q8 keeps each input within half a step and sums its codes; Q16 keeps it within half a step of the second digit, or a whole one where the
// first leaves half a step over.
func TestQ8(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := weights(t, rapid.IntRange(1, 200).Draw(t, "n"))
		codes := make([]int8, len(x))
		scale, want := Q8(codes, x)
		var sum int32
		for i, code := range codes {
			sum += int32(code)
			if code == -128 || abs(float32(code)*scale-x[i]) > scale*0.5001 {
				t.Fatalf("element %d: %g became %d * %g", i, x[i], code, scale)
			}
		}
		if sum != want {
			t.Fatalf("sum is %d, not %d", want, sum)
		}
		y := slices.Clone(x)
		Q16(y)
		for i := range y {
			bound := float32(0.51)
			if abs(float32(codes[i])*scale-x[i]) > scale*127/RestSteps {
				bound = 1.01
			}
			if scale > 0 && abs(y[i]-x[i]) > scale/RestSteps*bound+1e-6*abs(x[i]) {
				t.Fatalf("element %d: %g became %g with steps of %g", i, x[i], y[i], scale/RestSteps)
			}
		}
	})
	codes := make([]int8, 2)
	if scale, sum := Q8(codes, []float32{1e-31, -1e-31}); scale != 0 || sum != 0 || codes[0] != 0 {
		t.Errorf("numbers below the least magnitude gave %v, scale %g, sum %d", codes, scale, sum)
	}
	if scale, _ := Q8(codes, []float32{1, float32(math.NaN())}); scale == scale || codes[1] != -127 {
		t.Errorf("NaN gave codes %v and scale %g", codes, scale)
	}
}

func BenchmarkQuantize(b *testing.B) {
	const rows, cols = 32, 4096
	r := rand.New(rand.NewPCG(7, 8))
	x := make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	for _, f := range coded() {
		b.Run(f.Name, func(b *testing.B) {
			var block Block
			for b.Loop() {
				if err := f.Quantize(&block, x, cols); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows*cols), "ns/weight")
		})
	}
}

func Example() {
	f, _ := Find("int4-g32-zp")
	var b Block
	x := []float32{-1, -0.5, 0, 0.5, 2}
	if err := f.Quantize(&b, x, len(x)); err != nil {
		panic(err)
	}
	f.Dequantize(x, &b)
	fmt.Println(b.Codes, b.Zeros, b.Scales)
	// Output: [0 2 5 8 15] [5] [0.19580078]
}
