package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine/layout"
	"llmc/internal/sym"
	"llmc/runtime/device/cpu/kernel"
)

// stackCase is a product with experts, with what it is compared with.
type stackCase struct {
	product *expertLinear
	places  int
}

// What a place gives is to the bit what the product of its row alone with its expert's matrix gives, in every form of weights, whoever does which part,
// and wherever the rows of the other experts end.
func TestExpertProducts(t *testing.T) {
	for target, set := range sets(t) {
		for _, format := range []string{"f32", "bf16", "bf16s", "u8", "u4n.g32", "u4.g32", "u4z.g64"} {
			for i, gated := range []bool{false, true} {
				random := rand.New(rand.NewPCG(uint64(i), uint64(len(format))))
				c := newStackCase(t, random, set, format, gated)
				name := fmt.Sprintf("%s/%s/gated=%v", target, format, gated)
				for _, spread := range []int{1, 2, 5} { // of rows over experts
					for _, workers := range []int{1, 3} {
						c.dispatch(random, spread)
						runAll(c.product, tokens, workers)
						c.compare(t, name)
					}
				}
			}
		}
	}
}

func newStackCase(t *testing.T, random *rand.Rand, set *kernel.Set, format string, gated bool) *stackCase {
	t.Helper()
	const experts, k, top = 5, 96, 4
	n, outputs := 70, 70
	if gated {
		n, outputs = 4*layout.Lanes, 2*layout.Lanes-9
	}
	c := &stackCase{places: top * tokens}
	c.product = &expertLinear{set: set, swiglu: gated, units: (outputs + layout.Lanes - 1) / layout.Lanes, block: 7, gather: &gathered{}, part: make([]kernel.Rows, 3)}
	l := c.product
	one, err := layout.New(format, n, k, 0)
	if err != nil {
		t.Fatal(err)
	}
	act, _ := kernel.FindActivation("")
	for range experts {
		w, err := kernel.NewMatrix(one, randomStack(t, random, one))
		if err != nil {
			t.Fatal(err)
		}
		w.Gate, w.Bias = act, randomNumbers(random, n)
		l.experts = append(l.experts, w)
	}
	form := one.Input()
	l.x = kernel.Rows{Activation: form, Stride: (form.RowBytes() + layout.Align - 1) / layout.Align * layout.Align}
	l.x.Data = make([]byte, tokens*l.x.Stride)
	for r := range tokens {
		set.Quantize(l.x.Data[r*l.x.Stride:], form, randomNumbers(random, k))
	}
	rows := plainView(c.places, 1)
	l.y, l.offsets, l.rows = plainView(c.places, outputs), plainView(experts+1, 1), &rows
	if err := l.gather.room(3, l.block*l.x.Stride); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.gather.release() })
	return c
}

// randomStack is a packed matrix.
func randomStack(t *testing.T, random *rand.Rand, l layout.Linear) []byte {
	t.Helper()
	data := make([]byte, l.Bytes())
	for p := range l.Panels() {
		from, to := l.Rows(p)
		rows, groups := to-from, max(1, l.Groups())
		var err error
		if l.ScaleBytes == 0 {
			err = l.PackFloats(l.Panel(data, p), randomNumbers(random, rows*l.K))
		} else {
			codes := layout.Codes{Codes: make([]uint8, rows*l.K), Scales: make([]float32, rows*groups), Zeros: make([]uint8, rows*groups)}
			if l.Super() {
				codes.Scales = make([]float32, 2*len(codes.Scales))
				if !l.Offsets {
					codes.Scales = codes.Scales[:len(codes.Scales)/2]
				}
				subs := rows * ((l.K + l.Sub - 1) / l.Sub)
				codes.Zeros, codes.Steps = make([]uint8, subs), slices.Repeat([]uint8{9}, subs)
			}
			if l.Nested {
				nested := (l.K + layout.NestedGroup - 1) / layout.NestedGroup
				codes.Zeros, codes.Steps = make([]uint8, rows*nested), slices.Repeat([]uint8{9}, rows*nested)
			}
			for i := range codes.Codes {
				codes.Codes[i] = uint8(random.IntN(16))
				if l.Super() {
					codes.Codes[i] %= l.Most + 1
				}
			}
			for i := range codes.Scales {
				codes.Scales[i] = 0.25
			}
			err = l.PackCodes(l.Panel(data, p), codes)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// dispatch sends rows to every spread-th expert.
func (c *stackCase) dispatch(random *rand.Rand, spread int) {
	l := c.product
	offsets, rows := l.offsets.i32(), l.rows.i32()
	cuts := []int{0}
	for range len(l.experts) - 1 {
		cuts = append(cuts, random.IntN(c.places+1))
	}
	slices.Sort(cuts)
	for e := range l.experts {
		offsets[e] = int32(cuts[e/spread*spread])
	}
	offsets[len(l.experts)] = int32(c.places)
	for p := range rows {
		rows[p] = int32(random.IntN(tokens))
	}
	clear(l.y.data)
}

func (c *stackCase) compare(t *testing.T, name string) {
	t.Helper()
	l, sc := c.product, kernel.NewScratch(1)
	offsets, rows := l.offsets.i32(), l.rows.i32()
	for e := range l.experts {
		for p := offsets[e]; p < offsets[e+1]; p++ {
			x, want := l.x, make([]float32, l.y.cols)
			x.Data = x.Data[int(rows[p])*x.Stride:]
			if l.swiglu {
				l.set.LinearSwiGLU(sc, &l.experts[e], &x, want, l.y.cols, l.y.cols, 1, 0, l.units)
			} else {
				l.set.Linear(sc, &l.experts[e], &x, want, l.y.cols, 1, 0, l.units)
			}
			if got := l.y.row(int(p)); !slices.Equal(got, want) {
				t.Fatalf("%s: place %d of expert %d: %v, want %v", name, p, e, got[:4], want[:4])
			}
		}
	}
}

// Workers share all units of all experts that have rows, each unit once, and nearly evenly.
func TestExpertsAreShared(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	for range 200 {
		l := &expertLinear{experts: make([]kernel.Matrix, 1+random.IntN(40)), units: 1 + random.IntN(50), y: view{rows: 1 << 20}}
		l.offsets = plainView(len(l.experts)+1, 1)
		offsets := l.offsets.i32()
		for e := range l.experts {
			offsets[e+1] = offsets[e] + int32(random.IntN(3)*random.IntN(60))
		}
		workers := 1 + random.IntN(9)
		total, most := 0, 0
		for e := range l.experts {
			total += l.cost(offsets, e)
			most = max(most, l.cost(offsets, e)/l.units)
		}
		done := make([]int, len(l.experts))
		for w := range workers {
			from, to := share(total, w, workers)
			load := 0
			for e := range l.experts {
				cost := l.cost(offsets, e)
				lo, hi := l.unit(from, cost), l.unit(to, cost)
				if lo < hi {
					if lo != done[e] {
						t.Fatalf("expert %d: units from %d on after %d", e, lo, done[e])
					}
					done[e] = hi
					load += (hi - lo) * cost / l.units
				}
				from, to = from-cost, to-cost
			}
			if load > total/workers+most+1 {
				t.Errorf("worker %d of %d has %d of %d, a unit takes up to %d", w, workers, load, total, most)
			}
		}
		for e := range done {
			if l.cost(offsets, e) > 0 && done[e] != l.units {
				t.Fatalf("expert %d: %d of %d units done", e, done[e], l.units)
			}
		}
	}
}

// Offsets and rows that no dispatch gives fail the launch and touch nothing else.
func TestExpertsRefuseWildIndices(t *testing.T) {
	for name, set := range sets(t) {
		for what, spoil := range map[string]func(offsets, rows []int32){
			"places beyond the last": func(offsets, _ []int32) { offsets[len(offsets)-1] = 1 << 30 },
			"before the first":       func(offsets, _ []int32) { offsets[0] = -5 },
			"rows beyond the last":   func(_, rows []int32) { rows[3] = 1 << 20 },
			"a negative row":         func(_, rows []int32) { rows[0] = -1 },
		} {
			random := rand.New(rand.NewPCG(1, 1))
			c := newStackCase(t, random, set, "u8", false)
			c.dispatch(random, 5)
			spoil(c.product.offsets.i32(), c.product.rows.i32())
			m := &model{state: state{workers: 1, env: sym.Bind(tokens, 1, 1, 1), scratch: []*kernel.Scratch{kernel.NewScratch(1)}}}
			m.guard(c.product, 0)
			if m.state.failure.Load() == nil {
				t.Errorf("%s: %s: no failure", name, what)
			}
		}
	}
}
