package rotation

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// dense writes the matrix down element by element, from the package's definition.
func dense(t testing.TB, name string) [][]float64 {
	r, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	m := [][]float64{{1}}
	odd := r.Block / r.power
	var factors []int
	for p := 3; odd > 1; p += 2 {
		for ; odd%p == 0; odd /= p {
			factors = append([]int{p}, factors...)
		}
	}
	for _, p := range factors {
		f := make([][]float64, p)
		for i := range p {
			for j := range p {
				v := math.Sqrt(2/float64(p)) * math.Sin(2*math.Pi*float64(i*j)/float64(p)+math.Pi/4) // cos + sin
				if p == 3 {
					v = [...]float64{-2.0 / 3, 1.0 / 3}[b2i(i == j)]
				}
				f[i] = append(f[i], v)
			}
		}
		m = kronecker(m, f)
	}
	for n := 1; n < r.power; n *= 2 {
		m = kronecker(m, [][]float64{{math.Sqrt2 / 2, math.Sqrt2 / 2}, {math.Sqrt2 / 2, -math.Sqrt2 / 2}})
	}
	if name[0] == signed {
		for i := range m {
			for j := range m[i] {
				m[i][j] *= math.Copysign(1, float64(r.factors[j]))
			}
		}
	}
	return m
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func kronecker(a, b [][]float64) [][]float64 {
	var m [][]float64
	for _, ra := range a {
		for _, rb := range b {
			var row []float64
			for _, x := range ra {
				for _, y := range rb {
					row = append(row, x*y)
				}
			}
			m = append(m, row)
		}
	}
	return m
}

func normal(n int) []float32 {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(random.NormFloat64())
	}
	return x
}

// The fast transform is the product with the matrix of the definition, and that is orthogonal.
func TestRowsAreProductsWithTheMatrix(t *testing.T) {
	for _, name := range []string{"r1", "r2", "r3", "r8", "h64", "h128", "r12", "r45", "r35", "r64", "r72", "r576", "r896", "r13"} {
		m := dense(t, name)
		r, _ := Find(name)
		x := normal(3 * r.Block)
		y := slices.Clone(x)
		r.Rows(y)
		for at := 0; at < len(x); at += r.Block {
			for i, row := range m {
				sum, length := 0.0, 0.0
				for j, v := range row {
					sum += v * float64(x[at+j])
					length += v * v
				}
				if math.Abs(sum-float64(y[at+i])) > 3e-6 || math.Abs(length-1) > 1e-9 {
					t.Fatalf("%s: number %d is %g, the matrix gives %g; its row has length %g", name, i, y[at+i], sum, length)
				}
			}
		}
	}
}

// Lengths and angles stay: sums of products of two vectors that are turned are those of the vectors.
func TestProductsOfTurnedVectorsStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 400).Draw(t, "n")
		r, err := Find(Signed(n))
		if err != nil {
			t.Fatal(err)
		}
		x, y := normal(int(n)), normal(int(n) + 1)[:n]
		before, scale := 0.0, 1e-9
		for i := range x {
			before += float64(x[i]) * float64(y[i])
			scale += math.Abs(float64(x[i]) * float64(y[i]))
		}
		r.Rows(x)
		r.Rows(y)
		after := 0.0
		for i := range x {
			after += float64(x[i]) * float64(y[i])
		}
		if math.Abs(after-before) > 2e-6*scale {
			t.Fatalf("%s: %g became %g", r.Name, before, after)
		}
	})
}

// A column gets what it would get as a row, to the bit, whichever columns are turned together.
func TestColumnsAreTurnedLikeRows(t *testing.T) {
	for _, name := range []string{"r12", "h32", "r35", "r144"} {
		r, _ := Find(name)
		const cols = 150
		x := normal(2 * r.Block * cols)
		want := make([]float32, len(x))
		column := make([]float32, 2*r.Block)
		for c := range cols {
			for i := range column {
				column[i] = x[i*cols+c]
			}
			r.Rows(column)
			for i, v := range column {
				want[i*cols+c] = v
			}
		}
		for _, cut := range [][]int{{0, cols}, {0, 7, 71, cols}} {
			got := slices.Clone(x)
			for i := range len(cut) - 1 {
				r.Columns(got, cols, cut[i], cut[i+1])
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: columns cut at %v differ from rows", name, cut)
			}
		}
	}
}

// An outlier is spread over its whole block.
func TestOutliersAreSpread(t *testing.T) {
	for _, name := range []string{"r576", "r4096", "h512", "r896"} {
		r, _ := Find(name)
		for _, at := range []int{0, 1, r.Block / 2, r.Block - 1} {
			x := make([]float32, r.Block)
			x[at] = 1
			r.Rows(x)
			for i, v := range x {
				if math.Abs(float64(v)) > 4/math.Sqrt(float64(r.Block)) {
					t.Fatalf("%s: the unit vector %d keeps %g at %d", name, at, v, i)
				}
			}
		}
	}
}

func TestFindRefuses(t *testing.T) {
	for _, name := range []string{"", "r", "h", "x64", "r0", "r-4", "h12", "r064", "r1048577", "r1042", "r+8", "r 8", "r99999999999999999999"} {
		if r, err := Find(name); err == nil {
			t.Errorf("%q is %v", name, r)
		}
	}
}

func BenchmarkRows(b *testing.B) {
	for _, name := range []string{"r576", "r64", "h512", "r4096"} {
		r, _ := Find(name)
		x := normal(32 * r.Block)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(4 * len(x)))
			for range b.N {
				r.Rows(x)
			}
		})
	}
}

func BenchmarkColumns(b *testing.B) {
	r, _ := Find("r576")
	x := normal(576 * 1536)
	b.SetBytes(int64(4 * len(x)))
	for range b.N {
		for lo := 0; lo < 1536; lo += 64 {
			r.Columns(x, 1536, lo, lo+64)
		}
	}
}
