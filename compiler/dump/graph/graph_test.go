package graph_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"llmc/compiler/dump/graph"
	"llmc/internal/golden"
	"llmc/ir"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// summary prints a view: rank by rank the ops from left to right, how many lines leave each, then frames.
func summary(g *graph.Graph, v *graph.View) string {
	var b strings.Builder
	nodes := slices.Clone(v.Nodes)
	slices.SortStableFunc(nodes, func(a, b graph.Node) int { return (a.Y-b.Y)*1e6 + a.X - b.X })
	leaving := map[int]int{}
	for _, e := range v.Edges {
		leaving[e.From]++
	}
	for i, n := range nodes {
		switch {
		case i == 0:
		case nodes[i-1].Y != n.Y:
			b.WriteByte('\n')
		default:
			b.WriteString("   ")
		}
		fmt.Fprintf(&b, "%d:%s>%d", n.Op, g.Ops[n.Op].Kind, leaving[n.Op])
	}
	fmt.Fprintf(&b, "\n%d operands from far away\n", v.Far)
	for _, f := range v.Frames {
		s := g.Segments[f.Segment]
		fmt.Fprintf(&b, "frame: ops from %d on, %d each, %d of %d\n", s.First, s.Period, f.Repeat+1, s.Count)
	}
	return b.String()
}

// stack is a function of so many equal layers, each with a diamond in it and an edge around it, between an embedding and an output matrix.
func stack(t *testing.T, layers int) *ir.Func {
	t.Helper()
	var weights, ops strings.Builder
	for i := range layers {
		fmt.Fprintf(&weights, "weight %%layers.%d.norm : f32[32]\nweight %%layers.%d.q : f32[32,32]\nweight %%layers.%d.k : f32[32,32]\n", i, i, i)
		fmt.Fprintf(&ops, "  %%n%d = rmsnorm %%x%d, %%layers.%d.norm {eps=1e-05} : f32[T,32]\n", i, i, i)
		fmt.Fprintf(&ops, "  %%q%d = linear %%n%d, %%layers.%d.q : f32[T,32]\n  %%k%d = linear %%n%d, %%layers.%d.k : f32[T,32]\n", i, i, i, i, i, i)
		fmt.Fprintf(&ops, "  %%m%d = mul %%q%d, %%k%d : f32[T,32]\n  %%x%d = add %%x%d, %%m%d : f32[T,32]\n", i, i, i, i+1, i, i)
	}
	text := "module \"stack\"\nweight %embed : f32[48,32]\nweight %head : f32[48,32]\n" + weights.String() +
		"func @step(%ids: i32[T]) -> (f32[T,48]) {\n  %x0 = gather %embed, %ids : f32[T,32]\n" + ops.String() +
		fmt.Sprintf("  %%logits = linear %%x%d, %%head : f32[T,48]\n  return %%logits\n}\n", layers)
	m, err := ir.Parse(text)
	check(t, err)
	return m.Funcs[0]
}

func TestGraphAgainstGolden(t *testing.T) {
	golden.Each(t, "testdata/stack.txtar", func(t *testing.T, a *golden.Archive) {
		g := graph.New("final", stack(t, 40))
		a.Check(t, "folded", summary(g, g.Folded))
		g = graph.New("final", stack(t, 2))
		a.Check(t, "unfolded", summary(g, g.Unfolded))
	})
}

// TestViews holds both views of a function to what every layout has to be.
func TestViews(t *testing.T) {
	g := graph.New("final", stack(t, 40))
	end := 0
	for _, s := range g.Segments {
		if s.First != end || s.Period < 1 || s.Count < 1 {
			t.Errorf("segment %+v begins where none ended: %d", s, end)
		}
		end = s.First + s.Period*s.Count
	}
	if end != len(g.Ops) || len(g.Folded.Nodes) != 7 || len(g.Unfolded.Nodes) != len(g.Ops) {
		t.Errorf("segments end at %d of %d ops; %d nodes folded, %d unfolded", end, len(g.Ops), len(g.Folded.Nodes), len(g.Unfolded.Nodes))
	}
	for name, v := range map[string]*graph.View{"folded": g.Folded, "unfolded": g.Unfolded} {
		at := map[int]graph.Node{}
		for _, n := range v.Nodes {
			if _, twice := at[n.Op]; twice || n.X-n.W/2 < 0 || n.X+n.W/2 > v.Width || n.Y < 0 || n.Y > v.Height {
				t.Errorf("%s: node %+v is there twice or outside of %d x %d", name, n, v.Width, v.Height)
			}
			for _, other := range at {
				if other.Y == n.Y && max(other.X, n.X)-min(other.X, n.X) < (other.W+n.W)/2 {
					t.Errorf("%s: nodes %+v and %+v overlap", name, other, n)
				}
			}
			at[n.Op] = n
		}
		for _, e := range v.Edges {
			from, to := at[e.From], at[e.To]
			if from.Y >= to.Y || e.Points[0] != from.X || e.Points[len(e.Points)-2] != to.X {
				t.Errorf("%s: edge %+v goes from %+v to %+v", name, e, from, to)
			}
		}
	}
}

// TestBlocksAreFound in lists that hold repetitions of blocks of several lengths.
func TestBlocksAreFound(t *testing.T) {
	for _, c := range []struct {
		list string
		want []graph.Segment
	}{
		{"abc", []graph.Segment{{0, 3, 1}}},
		{"xabcabcabcy", []graph.Segment{{0, 1, 1}, {1, 3, 3}, {10, 1, 1}}},
		{"xabcabcabcaby", []graph.Segment{{0, 1, 1}, {1, 3, 3}, {10, 3, 1}}},
		{"abcdabceabcdabcey", []graph.Segment{{0, 8, 2}, {16, 1, 1}}},
		{"abcabcabcdefghdefgh", []graph.Segment{{0, 3, 3}, {9, 5, 2}}},
	} {
		var sigs []int
		for _, r := range c.list {
			sigs = append(sigs, int(r))
		}
		if got := graph.Segments(sigs); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.list, got, c.want)
		}
	}
}
