package kernel

import (
	"math/rand/v2"
	"testing"

	"llmc/engine/layout"
)

// Rows that are multiplied together, part by part, have the bits of rows that are multiplied alone: in one segment of several pieces, in several segments a part, in several
// blocks of rows.
func TestRowsTogetherAreRowsAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	for _, shape := range []struct{ k, segment, rows int }{
		{576, 0, 13}, {1536, 192, 7}, {700, 0, wordRows + 9}, {289, 0, 6}, {640, 320, 9}, {576, 128, 32},
	} {
		for _, format := range []string{"u8", "u4n.g32", "bf16"} {
			w := randomMatrix(t, r, format, 40, shape.k, shape.segment)
			p := product{w: w, x: activate(genericSet(), w.Input(), randomRow(r, shape.rows*shape.k)), rows: shape.rows}
			for _, s := range Detect()[1:] {
				together, alone, x := p.run(s, w.N), make([]float32, w.N), p.x
				for i := range p.rows {
					x.Data = p.x.Data[i*x.Stride:]
					s.Linear(NewScratch(1), &w, &x, alone, w.N, 1, 0, w.Panels())
					for n, want := range alone {
						if got := together[i*w.N+n]; !sameBits(got, want) {
							t.Fatalf("%s: %v: y[%d,%d] = %g beside others, %g alone", s.Name, &p, i, n, got, want)
						}
					}
				}
			}
		}
	}
}

// Parts follow each other to the end of K, begin with groups, and are whole segments or pieces of one.
func TestRunsCoverK(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for range 300 {
		format := []string{"u8", "u4n.g32"}[r.IntN(2)]
		f, err := layout.FindFormat(format)
		if err != nil {
			t.Fatal(err)
		}
		k, segment := 1+r.IntN(5000), 0
		if r.IntN(2) == 0 {
			segment = eighth(f, k)
		}
		w, err := layout.New(format, 32, k, segment)
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for run := nextRun(&w, wordRun{}); run.n > 0; run = nextRun(&w, run) {
			first, _ := w.SegmentRange(run.segment)
			_, end := w.SegmentRange(run.segment + run.segments - 1)
			whole, piece := run.lo == first && run.lo+run.n == end && run.begun+run.more == 0, run.segments == 1 && run.begun+run.more > 0
			if run.lo != at || run.n > wordPart || run.lo%layout.NestedGroup > 0 || run.lo < first || run.lo+run.n > end || whole == piece ||
				(run.begun > 0) != (run.lo > first) || (run.more > 0) != (run.lo+run.n < end) {
				t.Fatalf("%s of %d in segments of %d: run %+v behind %d", format, k, w.Segment, run, at)
			}
			at = run.lo + run.n
		}
		if at != k {
			t.Fatalf("%s of %d in segments of %d: runs end at %d", format, k, w.Segment, at)
		}
	}
}
