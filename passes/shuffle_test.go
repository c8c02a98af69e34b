package passes

import (
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/ir"
)

// shuffled puts the ops of f in a random order in which each still comes after what it reads, and writers of a cache
// after the readers of its older state.
func shuffled(f *ir.Func, random *rand.Rand) {
	waits := map[*ir.Op][]*ir.Op{}
	for _, op := range f.Ops {
		for _, a := range op.Args {
			if a == nil {
				continue
			}
			if a.Def != nil {
				waits[op] = append(waits[op], a.Def)
			}
			if !a.Type.IsToken() || !op.Kind.Has(ir.WritesCache) {
				continue
			}
			for _, reader := range f.Ops {
				if reader != op && slices.Contains(reader.Args, a) {
					waits[op] = append(waits[op], reader)
				}
			}
		}
	}
	done := map[*ir.Op]bool{}
	var order []*ir.Op
	for len(order) < len(f.Ops) {
		op := f.Ops[random.IntN(len(f.Ops))]
		ready := !done[op] && !slices.ContainsFunc(waits[op], func(w *ir.Op) bool { return !done[w] })
		if ready {
			done[op] = true
			order = append(order, op)
		}
	}
	f.Ops = order
}

// A family may state its equations in any order: the same ops fuse, and the results stay.
func TestOrderOfOpsDoesNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, s := range shapes {
		m := s.model(t)
		e := newEvaluation(t, m)
		before := e.run(t, m)
		opts := Options{Target: Plain{}, Policy: Policy{Linear: "f32"}, Check: true}
		plain := m.Clone()
		if _, err := Run(plain, opts); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			mixed := m.Clone()
			shuffled(mixed.Func("step"), random)
			if err := ir.Verify(mixed); err != nil {
				t.Fatal(err)
			}
			if _, err := Run(mixed, opts); err != nil {
				t.Fatal(err)
			}
			if a, b := len(plain.Func("step").Ops), len(mixed.Func("step").Ops); a != b {
				t.Fatalf("%s: %d ops instead of %d\n%s", s.name, b, a, ir.Print(mixed))
			}
			if d := distance(t, e.run(t, mixed), before); d > 1e-5 {
				t.Errorf("%s: results moved by %.2g", s.name, d)
			}
		}
	}
}
