package ir

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// rowSource is where one row of a weight comes from; its zero value is a row of zeros.
type rowSource struct {
	tensor string
	row    int64
}

// rowsOf lists the sources of all rows of a recipe the slow way, without Runs.
func rowsOf(r *Recipe) []rowSource {
	switch r.Kind {
	case FromTensor:
		var rows []rowSource
		for i := range r.Count {
			rows = append(rows, rowSource{r.Tensor, r.Start + i})
		}
		return rows
	case FromZeros:
		return make([]rowSource, r.Count)
	}
	parts, longest := [][]rowSource{}, 0
	for _, p := range r.Parts {
		parts = append(parts, rowsOf(p))
		longest = max(longest, len(parts[len(parts)-1]))
	}
	if r.Kind == Concat {
		return slices.Concat(parts...)
	}
	var rows []rowSource
	for at := 0; at < longest; at += int(r.Block) {
		for _, p := range parts {
			for i := at; i < at+int(r.Block); i++ {
				if i < len(p) {
					rows = append(rows, p[i])
				} else {
					rows = append(rows, rowSource{})
				}
			}
		}
	}
	return rows
}

func genRecipe(depth int) *rapid.Generator[*Recipe] {
	return rapid.Custom(func(t *rapid.T) *Recipe {
		kind := rapid.IntRange(0, 3).Draw(t, "kind")
		if depth == 0 {
			kind = min(kind, 1)
		}
		if kind == 0 {
			return Zeros(rapid.Int64Range(1, 9).Draw(t, "zeros"))
		}
		if kind == 1 {
			name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "tensor")
			return TensorRows(name, rapid.Int64Range(0, 5).Draw(t, "start"), rapid.Int64Range(1, 9).Draw(t, "count"))
		}
		parts := rapid.SliceOfN(genRecipe(depth-1), 2, 3).Draw(t, "parts")
		if kind == 2 {
			return ConcatRows(parts...)
		}
		return InterleaveRows(rapid.Int64Range(1, 4).Draw(t, "block"), parts...)
	})
}

func TestRunsGiveEveryRowInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRecipe(3).Draw(t, "recipe")
		want := rowsOf(r)
		if int64(len(want)) != r.Rows(1) {
			t.Fatalf("%v: Rows is %d, there are %d", r, r.Rows(1), len(want))
		}
		from := rapid.IntRange(0, len(want)).Draw(t, "from")
		to := rapid.IntRange(from, len(want)).Draw(t, "to")
		var got []rowSource
		for run := range r.Runs(1, int64(from), int64(to)) {
			for i := range run.Rows {
				if run.Source.Kind == FromZeros {
					got = append(got, rowSource{})
				} else {
					got = append(got, rowSource{run.Source.Tensor, run.First + i})
				}
			}
		}
		if !slices.Equal(got, want[from:to]) {
			t.Fatalf("%v rows %d:%d\n got %v\nwant %v", r, from, to, got, want[from:to])
		}
	})
}

func TestRunsStopWhenAsked(t *testing.T) {
	r := InterleaveRows(2, ConcatRows(TensorRows("a", 0, 3), TensorRows("b", 0, 3)), TensorRows("c", 0, 1))
	for stop := range 5 {
		n := 0
		for range r.Runs(1, 0, r.Rows(1)) {
			if n++; n > stop {
				break
			}
		}
		if n != stop+1 {
			t.Errorf("stopped after %d runs, want %d", n, stop+1)
		}
	}
}

func TestConcatMergesNeighbours(t *testing.T) {
	got := ConcatRows(TensorRows("qkv", 0, 64), ConcatRows(TensorRows("qkv", 64, 32), TensorRows("qkv", 96, 32)))
	if got.String() != `tensor("qkv", 0:128)` {
		t.Errorf("got %v", got)
	}
	got = ConcatRows(TensorRows("q", 0, 64), TensorRows("k", 64, 32), TensorRows("k", 64, 32))
	if got.String() != `concat(tensor("q", 0:64), tensor("k", 64:96), tensor("k", 64:96))` {
		t.Errorf("got %v", got)
	}
}
