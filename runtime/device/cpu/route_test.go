package cpu

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"llmc/engine"
	"llmc/internal/sym"
	"llmc/runtime/device/cpu/kernel"
)

// tokens is how many rows the launches of these tests have.
const tokens = 21

// plainView is memory for rows of numbers or indices.
func plainView(rows, cols int) view {
	words := make([]uint64, (rows*cols+1)/2+8)
	return view{data: unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words)), rows: rows, cols: cols, stride: 4 * cols}
}

func (v view) fill(values []float32) view {
	copy(v.f32(), values)
	return v
}

// runAll lets workers share a launch for rows tokens.
func runAll(r runner, rows, workers int) {
	s := &state{workers: workers, env: sym.Bind(int64(rows), 1, 1, 1)}
	for range workers {
		s.scratch = append(s.scratch, kernel.NewScratch(1))
	}
	for w := range workers {
		r.run(s, w)
	}
}

// sets are the kernels of every target that this machine runs.
func sets(t *testing.T) map[string]*kernel.Set {
	t.Helper()
	found := map[string]*kernel.Set{}
	for _, target := range engine.Targets {
		if target.Device != "cpu" || len(target.Missing()) > 0 {
			continue
		}
		set, err := kernel.Find(target.Name)
		if err != nil {
			t.Fatal(err)
		}
		found[target.Name] = set
	}
	return found
}

func randomNumbers(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 3 * float32(r.NormFloat64())
	}
	return x
}

// routingCase is a way to choose experts.
type routingCase struct {
	experts, top      int
	bias              bool
	score, groupScore string
	normalize         int64
	groups, topGroups int
	scale             float64
}

func (c *routingCase) launch() *engine.Launch {
	return &engine.Launch{Attrs: []engine.Attr{
		{Name: "score", Text: c.score}, {Name: "normalize", Int: c.normalize}, {Name: "groups", Int: int64(c.groups)},
		{Name: "top_groups", Int: int64(c.topGroups)}, {Name: "group_score", Text: c.groupScore}, {Name: "scale", Float: c.scale},
	}}
}

// largest are the indices of the k largest numbers among those allowed, the first of equals first.
func largest(x []float64, k int, allowed func(i int) bool) []int {
	var order []int
	for i := range x {
		if allowed(i) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(x[b], x[a]) })
	return order[:k]
}

// reference is what op moe.route means, in f64.
func (c *routingCase) reference(logits, bias []float32) (experts []int32, weights []float64) {
	scores, choice := make([]float64, c.experts), make([]float64, c.experts)
	sum := 0.0
	for i, l := range logits {
		scores[i] = math.Exp(float64(l))
		sum += scores[i]
	}
	for i, l := range logits {
		if scores[i] /= sum; c.score == "sigmoid" {
			scores[i] = 1 / (1 + math.Exp(-float64(l)))
		}
		if choice[i] = scores[i]; bias != nil {
			choice[i] += float64(bias[i])
		}
	}
	size := c.experts / c.groups
	rank := make([]float64, c.groups)
	for g := range rank {
		for _, i := range largest(choice[g*size:][:size], map[string]int{"max": 1, "top2": 2}[c.groupScore], func(int) bool { return true }) {
			rank[g] += choice[g*size+i]
		}
	}
	groups := largest(rank, c.topGroups, func(int) bool { return true })
	total := 0.0
	for _, e := range largest(choice, c.top, func(i int) bool { return slices.Contains(groups, i/size) }) {
		experts, weights = append(experts, int32(e)), append(weights, scores[e])
		total += scores[e]
	}
	for j := range weights {
		if c.normalize == 1 {
			weights[j] /= total
		}
		weights[j] *= c.scale
	}
	return experts, weights
}

// Rows choose the experts that the reference chooses, in its order and with its weights: by logits that are all different, and by few different ones,
// so that many are equal.
func TestRoute(t *testing.T) {
	for _, c := range []routingCase{
		{1, 1, false, "softmax", "max", 0, 1, 1, 1},
		{8, 2, false, "softmax", "max", 1, 1, 1, 1},
		{60, 4, false, "softmax", "max", 0, 1, 1, 1},
		{128, 8, false, "softmax", "max", 1, 1, 1, 1},
		{256, 8, true, "sigmoid", "top2", 1, 8, 4, 2.5},
		{160, 6, false, "softmax", "max", 0, 8, 3, 16},
		{40, 20, true, "sigmoid", "max", 0, 4, 2, 1},
		{48, 3, true, "softmax", "top2", 0, 16, 5, 1},
		{1000, 32, false, "sigmoid", "max", 0, 1, 1, 1},
	} {
		random := rand.New(rand.NewPCG(5, uint64(c.experts)))
		logits, bias := randomNumbers(random, tokens*c.experts), randomNumbers(random, c.experts)
		for i, v := range logits {
			if i/c.experts%3 == 1 && !c.bias {
				logits[i] = float32(math.Round(float64(v)))
			}
		}
		if !c.bias {
			bias = nil
		}
		for name, set := range sets(t) {
			r := &route{set: set, logits: plainView(tokens, c.experts).fill(logits), experts: plainView(tokens, c.top), weights: plainView(tokens, c.top), rows: rowsOf{dim: sym.Of(sym.T)}, bias: bias}
			if err := r.prepare(c.launch(), 3); err != nil {
				t.Fatal(err)
			}
			runAll(r, tokens, 3)
			for row := range tokens {
				experts, weights := c.reference(logits[row*c.experts:][:c.experts], bias)
				if got := r.experts.i32()[row*c.top:][:c.top]; !slices.Equal(got, experts) {
					t.Fatalf("%s, %+v: row %d goes to %v, want %v", name, c, row, got, experts)
				}
				for j, want := range weights {
					if got := float64(r.weights.row(row)[j]); !(math.Abs(got-want) <= 1e-5*want) {
						t.Fatalf("%s, %+v: weight %d of row %d is %v, want %v", name, c, j, row, got, want)
					}
				}
			}
		}
	}
}

// What is no number loses against any number, and every row still has experts that there are.
func TestRouteOfNoNumbers(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct{ values, want []float32 }{
		{[]float32{nan, 1, nan, 2}, []float32{3, 1}},
		{[]float32{nan, nan, nan, nan}, []float32{0, 1}},
		{[]float32{nan, float32(math.Inf(-1)), 0, nan}, []float32{2, 1}},
	} {
		got := make([]int32, 2)
		best(got, c.values, nil, 0)
		if float32(got[0]) != c.want[0] || float32(got[1]) != c.want[1] {
			t.Errorf("the best of %v are %v, want %v", c.values, got, c.want)
		}
	}
}

// Rows are sorted by expert and then by row, each place is where its row has its expert, and what comes back is added up in the order of a row's experts.
func TestDispatchAndCombine(t *testing.T) {
	for _, c := range []struct{ rows, top, count, used, cols int }{
		{1, 1, 1, 1, 5}, {1, 2, 8, 8, 700}, {5, 8, 256, 256, 3}, {300, 2, 8, 3, 17}, {77, 6, 64, 64, 1030}, {129, 1, 5, 1, 1},
	} {
		random := rand.New(rand.NewPCG(6, uint64(c.rows)))
		total := c.rows * c.top
		d := &dispatch{plainView(c.rows, c.top), plainView(total, 1), plainView(c.rows, c.top), plainView(c.count+1, 1), rowsOf{dim: sym.Of(sym.T)}}
		experts, rows, places, offsets := d.experts.i32(), d.rows.i32(), d.places.i32(), d.offsets.i32()
		for row := range c.rows {
			for j, e := range random.Perm(c.used)[:min(c.top, c.used)] {
				experts[row*c.top+j] = int32(e)
			}
		}
		runAll(d, c.rows, 3)
		if offsets[0] != 0 || int(offsets[c.count]) != total || !slices.IsSorted(offsets) {
			t.Fatalf("%+v: offsets %v", c, offsets)
		}
		seen := map[int32]bool{}
		for i, p := range places {
			e := experts[i]
			if p < offsets[e] || p >= offsets[e+1] || int(rows[p]) != i/c.top || seen[p] {
				t.Fatalf("%+v: row %d is at place %d of expert %d, whose places are %d to %d", c, i/c.top, p, e, offsets[e], offsets[e+1])
			}
			seen[p] = true
		}
		for e := range c.count {
			if !slices.IsSorted(rows[offsets[e]:offsets[e+1]]) {
				t.Fatalf("%+v: rows of expert %d are not in order", c, e)
			}
		}
		for name, set := range sets(t) {
			z := &combine{
				set: set, y: plainView(total, c.cols).fill(randomNumbers(random, total*c.cols)), places: d.places,
				weights: plainView(c.rows, c.top).fill(randomNumbers(random, total)), z: plainView(c.rows, c.cols), rows: rowsOf{dim: sym.Of(sym.T)},
			}
			for range 3 {
				z.part = append(z.part, make([]float32, combinedAtOnce))
			}
			runAll(z, c.rows, 3)
			for row := range c.rows {
				for i, got := range z.z.row(row) {
					want, size := 0.0, 0.0
					for j, w := range z.weights.row(row) {
						term := float64(w) * float64(z.y.row(int(places[row*c.top+j]))[i])
						want, size = want+term, size+math.Abs(term)
					}
					if !(math.Abs(float64(got)-want) <= 1e-6*size) {
						t.Fatalf("%s, %+v: column %d of row %d is %v, want %v", name, c, i, row, got, want)
					}
				}
			}
		}
	}
}
