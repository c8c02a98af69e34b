package compiler

import (
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/compiler/calib"
	"llmc/internal/quant"
	"llmc/ir"
)

// TestCodesAreFoundByTheirSource keeps rows under one recipe, and loads them under another one that joins the same rows otherwise.
func TestCodesAreFoundByTheirSource(t *testing.T) {
	for i := range quant.Formats {
		if f := &quant.Formats[i]; f.Choosable() {
			t.Run(f.Name, func(t *testing.T) { testCodesBySource(t, f) })
		}
	}
}

func testCodesBySource(t *testing.T, f *quant.Format) {
	const cols = 96
	parse := func(text string) *ir.Recipe {
		r, err := ir.ParseRecipe(text, cols)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := rand.New(rand.NewPCG(1, 7))
	file, err := newCodeFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 8*cols)
	for k := range x {
		x[k] = float32(r.NormFloat64())
	}
	var b, first, second quant.Block
	if err := f.Quantize(&b, x, cols); err != nil {
		t.Fatal(err)
	}
	losses := make([]calib.Loss, 8)
	for k := range losses {
		losses[k] = calib.Loss{Err: float64(k), Ref: 100}
	}
	kept := sourceRows{f, parse(`concat(tensor("a", 0:4), tensor("b", 4:8))`), cols, 0, 8}
	if err := file.keep(kept, &b, losses); err != nil {
		t.Fatal(err)
	}
	want := make([]float32, len(x))
	f.Dequantize(want, &b)
	for _, c := range []struct {
		rows sourceRows
		want []float32
		err  float64
		b    *quant.Block
	}{
		{sourceRows{f, parse(`tensor("b", 4:8)`), cols, 1, 3}, want[5*cols : 7*cols], 11, &first},
		{sourceRows{f, parse(`concat(tensor("b", 6:8), zeros(2), tensor("a", 0:1))`), cols, 0, 5}, slices.Concat(want[6*cols:], make([]float32, 2*cols), want[:cols]), 13, &second},
	} {
		loss, there, err := file.load(c.rows, c.b)
		if err != nil || !there || loss.Err != c.err {
			t.Fatalf("%s: %v, %v, %v", f.Name, loss, there, err)
		}
		got := make([]float32, len(c.want))
		f.Dequantize(got, c.b)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: other numbers", f.Name)
		}
	}
	if _, there, err := file.load(sourceRows{f, parse(`tensor("a", 0:6)`), cols, 2, 6}, &first); there || err != nil {
		t.Errorf("%s: rows that were not kept are there (%v)", f.Name, err)
	}
	if err := file.close(); err != nil {
		t.Fatal(err)
	}
}
