package engine

import (
	"slices"
	"testing"

	"llmc/internal/sym"
)

func TestBuckets(t *testing.T) {
	t.Parallel()
	p := codeProgram()
	p.Launches[0].Code = []Code{{Limit: Limit{sym.Of(sym.T), 24}}, {Limit: Limit{sym.Of(sym.T), 64}}, {}}
	p.Launches[3].Code = []Code{{Limit: Limit{sym.Of(sym.R), 5}}, {}}
	for most, want := range map[int][]int{1: {1}, 8: {1, 2, 4, 8}, 20: {1, 2, 4, 8, 16, 20}, 100: {1, 2, 4, 8, 16, 24, 32, 64, 100}} {
		if got := p.Buckets(most); !slices.Equal(got, want) {
			t.Errorf("steps of up to %d tokens: buckets %v, want %v", most, got, want)
		}
	}
}
