package quant

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// rowFormats are those whose rows have one scale that FitGroup chooses.
func rowFormats() []*Format {
	var all []*Format
	for _, f := range coded() {
		if f.Choosable() && !f.FitsGroups() {
			all = append(all, f)
		}
	}
	return all
}

// TestFittedRowsLoseNoMore than by the scale of their largest magnitude, whatever their numbers are; rows of zeros stay zeros.
func TestFittedRowsLoseNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(rowFormats()).Draw(t, "format")
		x := weights(t, rapid.IntRange(1, 300).Draw(t, "cols"))
		if rapid.Bool().Draw(t, "zeros") {
			clear(x)
		}
		r, weight := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "inputs"), 1)), make([]float32, len(x))
		for i := range weight {
			weight[i] = r.Float32() + 1e-3
		}
		var b Block
		b.Resize(f, 1, len(x))
		if err := f.BeginRow(&b, 0, x); err != nil {
			t.Fatal(err)
		}
		plain := f.Levels(&b, 0, 0)
		fitted, err := f.FitGroup(&b, 0, 0, x, weight)
		if err != nil {
			t.Fatal(err)
		}
		if fitted != f.Levels(&b, 0, 0) {
			t.Fatalf("levels %+v are not those of the block, %+v", fitted, f.Levels(&b, 0, 0))
		}
		if got, most := f.weighted(fitted, x, weight), f.weighted(plain, x, weight); got > most {
			t.Fatalf("%s: loses %g, by the plain scale %g", f.Name, got, most)
		}
		if plain.Scale == 0 && fitted.Scale != 0 {
			t.Fatalf("a row of zeros has scale %g", fitted.Scale)
		}
	})
}

// TestWhatInputsHardlyReachIsClipped: a number that stands out makes the steps of its row coarse only where its input counts. Floating point has coarse steps for large numbers alone.
func TestWhatInputsHardlyReachIsClipped(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	const cols = 256
	x, weight := make([]float32, cols), make([]float32, cols)
	for i := range x {
		x[i], weight[i] = min(max(float32(r.NormFloat64()), -3), 3), 1
	}
	x[5] = 6
	for _, f := range rowFormats() {
		if f.levels != nil {
			continue
		}
		var b Block
		b.Resize(f, 1, cols)
		for _, c := range []struct {
			weight float32
			clips  bool
		}{{1e-9, true}, {1e3, false}} {
			weight[5] = c.weight
			if err := f.BeginRow(&b, 0, x); err != nil {
				t.Fatal(err)
			}
			l, err := f.FitGroup(&b, 0, 0, x, weight)
			if err != nil {
				t.Fatal(err)
			}
			inverse, start := l.Line()
			if most := l.Number(f.nearest(x[5], inverse, start)); (most < 5.5) != c.clips {
				t.Errorf("%s: where its input counts %g, 6 becomes %g", f.Name, c.weight, most)
			}
		}
	}
}
