package calib

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/internal/dense"
	"llmc/internal/quant"
)

// drifted makes inputs [n, cols] that hang together, and what became of them: another mix of their columns, and noise.
func drifted(r *rand.Rand, n, cols int, mix []float32) (original, now [][]float32) {
	for range n {
		y, x := normal(r, cols), make([]float32, cols)
		for c := 1; c < cols; c++ {
			y[c] += 0.8 * y[c-1]
		}
		for c := range x {
			x[c] = y[c] + 0.1*float32(r.NormFloat64())
			for i, v := range y {
				x[c] += mix[i*cols+c] * v
			}
		}
		original, now = append(original, y), append(now, x)
	}
	return original, now
}

// driftOf adds up what a rounder of such inputs aims by.
func driftOf(t *testing.T, f *quant.Format, original, now [][]float32, cols int) (*Rounder, *Drift, []float32) {
	t.Helper()
	d, err := NewDrift(t.TempDir(), cols, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	d.Add(now, original)
	x := dense.Matrix{Data: slices.Concat(now...), Stride: cols}
	h := dense.Matrix{Data: make([]float32, cols*cols), Stride: cols}
	dense.AddTransposed(h, x, x, cols, cols, len(now))
	rounder, err := NewRounder(f, &Methods[0], h.Data, cols, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rounder, d, h.Data
}

// TestAimIsTheRegression holds what rows are moved by to its definition: times H, damped, it is what the drift takes from their products.
func TestAimIsTheRegression(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	const cols, rows = 80, 5 // a short last group
	f, err := quant.Find("int4-g32")
	if err != nil {
		t.Fatal(err)
	}
	mix := normal(r, cols*cols)
	for i := range mix {
		mix[i] *= 0.02
	}
	original, now := drifted(r, 300, cols, mix)
	rounder, d, h := driftOf(t, f, original, now, cols)
	rounder.Aim(d)
	x := normal(r, rows*cols)
	aimed := rounder.aim(&Scratch{}, x)
	mean := 0.0
	for c := range cols {
		mean += float64(h[c*cols+c]) / cols
	}
	for row := range rows {
		for c := range cols {
			want, got := 0.0, damping*mean*float64(aimed[row*cols+c]-x[row*cols+c])/float64(d.follow())
			for n := range now {
				lacks := 0.0
				for i := range cols {
					lacks += float64(x[row*cols+i]) * (float64(original[n][i]) - float64(now[n][i]))
				}
				want += lacks * float64(now[n][c])
			}
			for i := range cols {
				got += float64(h[c*cols+i]) * float64(aimed[row*cols+i]-x[row*cols+i]) / float64(d.follow())
			}
			if math.Abs(got-want) > 1e-2*math.Sqrt(float64(h[c*cols+c])*float64(len(now))) {
				t.Fatalf("row %d, column %d: %g, want %g", row, c, got, want)
			}
		}
	}
}

// TestDriftIsMadeUpFor: on inputs that nothing was chosen by, products are nearer to those of the unquantized model.
func TestDriftIsMadeUpFor(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	const cols, rows = 64, 4
	mix := normal(r, cols*cols)
	for i := range mix {
		mix[i] *= 0.03
	}
	for _, f := range roundedFormats() {
		original, now := drifted(r, 800, cols, mix)
		rounder, d, _ := driftOf(t, f, original, now, cols)
		x := normal(r, rows*cols)
		original, now = drifted(r, 200, cols, mix)
		off := map[bool]float64{}
		for _, aims := range []bool{false, true} {
			if aims {
				rounder.Aim(d)
			}
			var b quant.Block
			if _, err := rounder.Round(&b, x, &Scratch{}); err != nil {
				t.Fatal(err)
			}
			q := make([]float32, len(x))
			f.Dequantize(q, &b)
			for n := range now {
				for row := range rows {
					e := 0.0
					for c := range cols {
						e += float64(q[row*cols+c])*float64(now[n][c]) - float64(x[row*cols+c])*float64(original[n][c])
					}
					off[aims] += e * e
				}
			}
		}
		if !(off[true] < 0.8*off[false]) {
			t.Errorf("%s: products are off by %g, by %g where the drift is left alone", f.Name, off[true], off[false])
		}
	}
}
