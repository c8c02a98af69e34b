package dense

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// TestKernelHasTheBitsOfItsReference also says that sums do not depend on how many rows are taken at a time.
func TestKernelHasTheBitsOfItsReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 40)
		rows, cols, k := rapid.IntRange(1, 80).Draw(t, "rows"), size.Draw(t, "cols"), rapid.IntRange(1, 600).Draw(t, "k")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		a, b := Matrix{random(r, k*(rows+3)), rows + 3}, Matrix{random(r, k*(cols+1)), cols + 1}
		c := random(r, rows*(cols+2))
		got, want := Matrix{slices.Clone(c), cols + 2}, Matrix{c, cols + 2}
		addPlain(want, a, b, rows, cols, k)
		part := rapid.IntRange(0, k).Draw(t, "part")
		AddTransposed(got, a, b, rows, cols, part)
		if part < k {
			AddTransposed(got, a.At(part, 0), b.At(part, 0), rows, cols, k-part)
		}
		if !slices.Equal(got.Data, want.Data) {
			t.Fatalf("%d rows, %d columns, k %d: results differ", rows, cols, k)
		}
	})
}

func TestFactorTimesItsTransposeIsTheMatrix(t *testing.T) {
	for _, n := range []int{1, 5, 32, 33, 100, 160} {
		r := rand.New(rand.NewPCG(1, uint64(n)))
		x := Matrix{random(r, 3*n*n), n}
		h := Matrix{make([]float32, n*n), n}
		AddTransposed(h, x, x, n, n, 3*n)
		v := slices.Clone(h.Data)
		for i := range n {
			for j := range i {
				v[i*n+j] = float32(math.NaN()) // never read
			}
		}
		if err := UpperFactor(v, n); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for j := range n {
				sum := 0.0
				for k := range n {
					sum += float64(v[i*n+k]) * float64(v[j*n+k])
				}
				if d := math.Abs(sum - float64(h.Data[i*n+j])); !(d < 2e-5*float64(h.Data[i*n+i]+h.Data[j*n+j])) || j < i && v[i*n+j] != 0 {
					t.Fatalf("n %d: element %d, %d is %g instead of %g", n, i, j, sum, h.Data[i*n+j])
				}
			}
		}
	}
}

func TestFactorRefusesMatricesThatHaveNone(t *testing.T) {
	for name, h := range map[string][]float32{
		"negative": {1, 2, 2, 1}, "zero": {0, 0, 0, 0}, "not a number": {1, float32(math.NaN()), 0, 1}, "infinite": {float32(math.Inf(1)), 0, 0, 1},
	} {
		if err := UpperFactor(h, 2); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
