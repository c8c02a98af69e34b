package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine/layout"
	"llmc/runtime/device/cpu/team"
)

// An order is a way to compute a launch, with its sums in one order or another. Functions are for all workers; the last barrier is that of race.
type order struct {
	name string
	run  func(worker int)
}

// orderLaunch is a launch of a step: the first of its orders is the one that plans have, the others are what sums that may be cut as it
// suits the rows and threads of a step would allow, or take less than any of these could.
type orderLaunch struct {
	name   string
	count  int // in a step
	orders []order
}

// orderModels are shapes of public models.
var orderModels = []struct {
	name                               string
	hidden, inner, heads, kvHeads, dim int
	layers, vocabulary                 int
}{
	{"135M", 576, 1536, 9, 3, 64, 30, 49152},
	{"1B", 2048, 8192, 32, 8, 64, 16, 32000},
}

// orderSteps are steps: the rows, and the positions that the last of them sees.
var orderSteps = []struct{ rows, positions int }{{1, 128}, {1, 704}, {1, 4096}, {8, 704}, {32, 704}, {512, 704}}

// BenchmarkOrder measures what it costs that sums have one order, whatever the rows and threads of a step. It takes launches of a step in turns in the order that
// plans have and in others, and reports for each how much longer the first takes than the fastest (0: there is no faster one), and for the step as a whole.
func BenchmarkOrder(b *testing.B) {
	t := team.New(2, nil)
	defer t.Close()
	for _, m := range orderModels {
		for _, format := range []string{"bf16", "u8", "u4.g32", "u4n.g32"} {
			for _, step := range orderSteps {
				for i, set := range Detect()[1:] {
					o := &orderBench{t: t, set: set, lesser: Detect()[i], format: format, rows: step.rows}
					b.Run(fmt.Sprintf("%s/%s/T=%d/context=%d/%s", m.name, format, step.rows, step.positions, set.Name), func(b *testing.B) {
						o.b = b
						last := step.rows // of a prompt only the last row goes on
						if o.prompt() {
							last = 1
						}
						o.report([]orderLaunch{
							o.linear("qkv", m.layers, step.rows, m.dim*(m.heads+2*m.kvHeads), m.hidden),
							o.attention(m.layers, step.positions, m.kvHeads, m.heads/m.kvHeads, m.dim),
							o.linear("o", m.layers, step.rows, m.hidden, m.heads*m.dim),
							o.linear("up", m.layers, step.rows, 2*m.inner, m.hidden),
							o.linear("down", m.layers, step.rows, m.hidden, m.inner),
							o.linear("head", 1, last, m.vocabulary, m.hidden),
						})
					})
				}
			}
		}
	}
}

// orderBench makes the launches of a step of rows rows.
type orderBench struct {
	b      *testing.B
	t      *team.Team
	set    *Set
	lesser *Set // the set before
	format string
	rows   int
}

// prompt tells whether the rows are those of one sequence.
func (o *orderBench) prompt() bool { return o.rows > 32 }

func (o *orderBench) scratch() []*Scratch {
	var list []*Scratch
	for range o.t.Workers() {
		list = append(list, NewScratch(128))
	}
	return list
}

// orderBytes is what a launch goes through before it comes back to the same weight: more than the second-level caches.
const orderBytes = 64 << 20

// rounds returns how many of a launch follow each other before the next: of few rows one alone is too short to be timed.
func (o *orderBench) rounds(l orderLaunch) int {
	if o.prompt() {
		return 1
	}
	return min(l.count, 16)
}

// report runs the launches in their orders. A launch is weighed by what it takes in a step.
func (o *orderBench) report(launches []orderLaunch) {
	var functions []func(int)
	for _, l := range launches {
		for _, way := range l.orders {
			functions = append(functions, func(worker int) {
				for range o.rounds(l) {
					way.run(worker)
					o.t.Barrier(worker)
				}
			})
		}
	}
	took := raceShuffled(o.b, o.t, functions)
	var fixed, free float64
	for _, l := range launches {
		best, name := took[0], "none"
		for i, way := range l.orders {
			if took[i] < best {
				best, name = took[i], way.name
			}
		}
		us := 1e6 / float64(o.rounds(l))
		o.b.Logf("%-10s %8.1f us, fastest %8.1f: %s", l.name, us*took[0], us*best, name)
		o.b.ReportMetric(100*(took[0]/best-1), "%"+l.name)
		weight := float64(l.count) / float64(o.rounds(l))
		fixed += weight * took[0]
		free += weight * best
		took = took[len(l.orders):]
	}
	o.b.ReportMetric(100*(fixed/free-1), "%step")
}

// raceShuffled is race with another order in each turn: what a function finds in the caches depends on the ones before.
func raceShuffled(b *testing.B, t *team.Team, functions []func(worker int)) (medians []float64) {
	times, r := make([][]float64, len(functions)), rand.New(rand.NewPCG(4, 4))
	for b.Loop() {
		for _, i := range r.Perm(len(functions)) {
			start := clock(t)
			t.Run(functions[i])
			times[i] = append(times[i], clock(t)-start)
		}
	}
	for _, t := range times {
		slices.Sort(t)
		medians = append(medians, t[len(t)/2])
	}
	return medians
}

// linear is a product: all of K in one segment, as plans have it.
func (o *orderBench) linear(name string, count, rows, n, k int) orderLaunch {
	p := o.newProduct(rows, n, k)
	orders := []order{{"fixed", p.in(o.set)}, {"K shared by threads", p.sharedK()}}
	if o.set.rounding.tiles != o.lesser.rounding.tiles && o.format == "bf16" {
		orders = append(orders, order{o.lesser.Name, p.in(o.lesser)})
	}
	return orderLaunch{name, count, orders}
}

// orderProduct is a product whose orders all read the same memory, which they take for weights in turns.
type orderProduct struct {
	*orderBench
	rows, n, k int
	data       []byte
	turns      []int // of each worker
}

func (o *orderBench) newProduct(rows, n, k int) *orderProduct {
	p := &orderProduct{orderBench: o, rows: rows, n: n, k: k, turns: make([]int, o.t.Workers())}
	bytes := p.weight(k).Bytes() + o.t.Workers()*p.weight(k/o.t.Workers()).Bytes() // enough for either
	if !o.prompt() {
		bytes = max(bytes, orderBytes)
	}
	p.data = aligned[byte](bytes)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range p.data[:4096] { // numbers of moderate size, whatever they are taken for
		p.data[i] = byte(0x38 + r.IntN(16))
	}
	for done := 4096; done < bytes; done *= 2 {
		copy(p.data[done:], p.data[:done])
	}
	return p
}

func (p *orderProduct) weight(k int) layout.Linear {
	l, err := layout.New(p.format, p.n, k, 0)
	if err != nil {
		p.b.Fatal(err)
	}
	return l
}

// weights returns as many as the memory has.
func (p *orderProduct) weights(k int) []Matrix {
	l := p.weight(k)
	size := (l.Bytes() + layout.Align - 1) / layout.Align * layout.Align
	var list []Matrix
	for at := 0; at+size <= len(p.data); at += size {
		w, err := NewMatrix(l, p.data[at:at+l.Bytes()])
		if err != nil {
			p.b.Fatal(err)
		}
		list = append(list, w)
	}
	return list
}

// input is rows for a weight, with the digits that they have by default.
func (p *orderProduct) input(w *Matrix) Rows {
	digits := maxDigits
	if p.format == "bf16" {
		digits = 1
	}
	return benchInput(p.set, w, digits, p.rows)
}

// in shares the panels among workers.
func (p *orderProduct) in(set *Set) func(worker int) {
	weights, scratch := p.weights(p.k), p.scratch()
	x := p.input(&weights[0])
	y := make([]float32, p.rows*p.n)
	return func(worker int) {
		w := &weights[p.turns[worker]%len(weights)]
		p.turns[worker]++
		lo, hi := share(w.Panels(), worker, p.t.Workers())
		set.Linear(scratch[worker], w, &x, y, p.n, p.rows, lo, hi)
	}
}

// sharedK gives each worker a part of K for all outputs, as a weight of its own, and adds the parts up.
func (p *orderProduct) sharedK() func(worker int) {
	workers := p.t.Workers()
	weights, scratch := p.weights(p.k/workers), p.scratch()
	x := p.input(&weights[0])
	y := make([][]float32, workers)
	for i := range y {
		y[i] = make([]float32, p.rows*p.n)
	}
	return func(worker int) {
		w := &weights[(workers*p.turns[worker]+worker)%len(weights)]
		p.turns[worker]++
		p.set.Linear(scratch[worker], w, &x, y[worker], p.n, p.rows, 0, w.Panels())
		p.t.Barrier(worker)
		lo, hi := share(p.rows*p.n, worker, workers)
		for _, part := range y[1:] {
			p.set.Add(y[0][lo:hi], y[0][lo:hi], part[lo:hi])
		}
	}
}
