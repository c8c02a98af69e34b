package gpu

import (
	"slices"
	"testing"

	"llmc/engine"
	"llmc/internal/sym"
)

// recorder keeps what was launched.
type recorder struct {
	Driver
	launched []Launch
}

func (r *recorder) Launch(l *Launch) error {
	copied := *l
	copied.Args = slices.Clone(l.Args)
	r.launched = append(r.launched, copied)
	return nil
}

// TestQueueChooses wants the first entry whose limit admits the step, with the step's grid and sizes; none for a step without rows.
func TestQueueChooses(t *testing.T) {
	tokens := sym.Of(sym.T)
	one := engine.Extent{Of: sym.Const(1), Per: 1}
	codes := []engine.Code{
		{Entry: "to_8", Grid: [3]engine.Extent{{Of: tokens, Per: 8}, one, one}, Limit: engine.Limit{Of: tokens, Max: 8}},
		{Entry: "to_64", Grid: [3]engine.Extent{{Of: tokens, Per: 64}, one, one}, Limit: engine.Limit{Of: tokens, Max: 64}},
		{Entry: "all", Grid: [3]engine.Extent{{Of: tokens, Per: 128}, one, one}},
	}
	args := make([]uint64, 5)
	l := launch{label: "y", sizes: args}
	for i := range codes {
		l.variants = append(l.variants, variant{&codes[i], Launch{Kernel: codes[i].Entry, Args: args}})
	}
	for _, c := range []struct {
		tokens int64
		entry  string
		grid   uint32
	}{{1, "to_8", 1}, {8, "to_8", 1}, {9, "to_64", 1}, {64, "to_64", 1}, {65, "all", 1}, {1000, "all", 8}, {0, "", 0}} {
		r := &recorder{}
		if err := l.queue(r, sym.Bind(c.tokens, 3, 2, 0)); err != nil {
			t.Fatal(err)
		}
		if c.entry == "" {
			if len(r.launched) != 0 {
				t.Errorf("%d tokens: launched %v", c.tokens, r.launched)
			}
			continue
		}
		if len(r.launched) != 1 {
			t.Fatalf("%d tokens: %d launches", c.tokens, len(r.launched))
		}
		got := r.launched[0]
		if got.Kernel != c.entry || got.Grid != [3]uint32{c.grid, 1, 1} || !slices.Equal(got.Args[:3], []uint64{uint64(c.tokens), 3, 2}) {
			t.Errorf("%d tokens: %v of %v CTAs with %v; want %s of %d", c.tokens, got.Kernel, got.Grid, got.Args, c.entry, c.grid)
		}
	}
}
