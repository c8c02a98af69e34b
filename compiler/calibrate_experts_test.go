package compiler

import (
	"testing"

	"llmc/compiler/calib"
)

// Rows reach the experts that they are sent to once a step, whichever of the values that say so appears last.
func TestRowsAreSortedToExperts(t *testing.T) {
	in := expertInput{x: "x", rows: "rows", offsets: "offsets", experts: 3}
	moments, err := calib.NewMoments(t.TempDir(), "", map[string]int{in.of(0): 2, in.of(1): 2, in.of(2): 2}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer moments.Close()
	s := sorter{of: []expertInput{in}, moments: moments}
	value := func() { s.value("x", [][]float32{{1, 0}, {0, 2}, {3, 3}}) }
	rows := func() { s.place("rows", []int32{2, 0, 1}) }
	offsets := func() { s.place("offsets", []int32{0, 1, 3, 3}) }
	for _, order := range [][]func(){{value, rows, offsets}, {offsets, value, rows, rows}} {
		s.begin()
		for _, appears := range order {
			appears()
		}
	}
	first, second := moments.Of(in.of(0)), moments.Of(in.of(1))
	if first == nil || first.Rows != 2 || first.Moments[0] != 18 || first.Moments[1] != 18 {
		t.Errorf("expert 0 has %+v", first)
	}
	if second == nil || second.Rows != 4 || second.Moments[0] != 2 || second.Moments[1] != 0 || second.Moments[3] != 8 {
		t.Errorf("expert 1 has %+v", second)
	}
	if moments.Of(in.of(2)) != nil {
		t.Error("expert 2 has rows")
	}
	few := map[string]int{in.of(0): 2, "y": 2}
	c := calibrated{sorted: []expertInput{in}}
	if c.fewerInputs(few); len(few) != 2 || c.sorted == nil {
		t.Errorf("%v are left of few", few)
	}
	many := map[string]int{in.of(0): 1 << 16, in.of(1): 1 << 16, in.of(2): 1 << 16, "y": 2, in.of(3): 1 << 17}
	if c.fewerInputs(many); len(many) != 2 || c.sorted != nil {
		t.Errorf("%d inputs are left of many", len(many))
	}
}
