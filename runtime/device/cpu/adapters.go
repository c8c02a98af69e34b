package cpu

import (
	"fmt"

	"llmc/engine"
	"llmc/internal/sym"
	"llmc/runtime/device/cpu/kernel"
)

// adapters is what a model keeps for those that are served beside it. A product y = W x of a row with an adapter becomes y = W x + B (A x). Workers share
// A x and meet before the product begins; B is multiplied panel by panel, behind the panels of W. A step without adapters knows nothing of all this.
type adapters struct {
	products map[string][]*lowRank // by name of the weight
	loaded   []*engine.Plan        // by place, nil: none; place 0 is that of the model alone
	runs     [2][]adapterRun       // of the step's tokens, and of its sampled rows
	ld       int                   // numbers of a row of A x, of as many ranks as a product may have
	few      [2][]float32          // [parts][fewRows][ld], A x in parts; products take turns
	many     [2][]float32          // [rows][ld]
	workers  []adapterWorker
}

// adapterRun is rows [first, end) whose sequences have the adapter in a place.
type adapterRun struct{ place, first, end int }

// adapterWorker is a worker's own.
type adapterWorker struct {
	turn  int       // of the product at hand
	sums  []float32 // [fewRows][ld]
	added kernel.Added
}

// lowRank is what adapters add to one product.
type lowRank struct {
	m      *model
	linear *linear
	ofRows int               // which of the step's runs are its rows
	places []*kernel.LowRank // by place; nil: that adapter leaves the product as it is
}

// Up to fewRows rows, workers share A x by parts of k, else by chunkRows rows.
const (
	fewRows   = 32
	chunkRows = 48
)

// takesAdapters tells whether the plan is one that adapters are served beside: it generates, without encoding texts.
func (m *model) takesAdapters() bool {
	return m.main != nil && m.main.program.Func == engine.StepFunc && len(m.functions) == 1 && !m.main.program.Encodes()
}

// bind makes a product one that adapters may add to.
func (a *adapters) bind(b *binding, l *linear) {
	if b.m.settings.MaxAdapters == 0 {
		return
	}
	ofRows := map[string]int{sym.Of(sym.T).String(): 0, sym.Of(sym.R).String(): 1}
	kind, ok := ofRows[l.rows.dim.String()]
	if !ok {
		return
	}
	if a.products == nil {
		a.products = map[string][]*lowRank{}
	}
	l.low = &lowRank{m: b.m, linear: l, ofRows: kind, places: make([]*kernel.LowRank, b.m.settings.MaxAdapters+1)}
	name := b.f.program.Weights[b.operand("w").Index]
	a.products[name] = append(a.products[name], l.low)
}

// prepareAdapters takes the memory that steps with adapters need.
func (m *model) prepareAdapters() {
	a, s := &m.adapters, &m.settings
	if s.MaxAdapters == 0 {
		return
	}
	parts := 0
	for _, list := range a.products {
		for _, l := range list {
			parts = max(parts, kernel.LowRankSegments(l.linear.w.K))
		}
	}
	a.ld = int(engine.AdapterPanels(int64(s.AdapterRank*engine.AdapterModules))) * engine.AdapterLanes
	a.loaded = make([]*engine.Plan, s.MaxAdapters+1)
	for turn := range a.few {
		a.few[turn] = make([]float32, parts*fewRows*a.ld)
		a.many[turn] = make([]float32, max(s.MaxStepTokens, s.MaxRows)*a.ld)
		a.runs[turn] = make([]adapterRun, 0, s.MaxSequences)
	}
	a.workers = make([]adapterWorker, m.state.workers)
	for w := range a.workers {
		a.workers[w].sums = make([]float32, fewRows*a.ld)
		a.workers[w].added.Runs = make([]kernel.AddedRun, 0, s.MaxSequences)
	}
}

// check refuses places in which no adapter is.
func (a *adapters) check(step *engine.Step) error {
	for b, place := range step.Adapters {
		if place > 0 && a.loaded[place] == nil {
			return fmt.Errorf("sequence %d: no adapter is loaded in place %d", b, place)
		}
	}
	return nil
}

// begin finds the rows of the step that have adapters.
func (a *adapters) begin(m *model, f *function) {
	s := &m.state
	s.adapted = false
	if f != m.main || len(a.loaded) == 0 {
		return
	}
	step := s.step
	tokens, rows := a.runs[0][:0], a.runs[1][:0]
	for b, place := range step.Adapters {
		tokens = appendRun(tokens, int(place), int(step.SeqStart[b]), int(step.SeqStart[b+1]))
	}
	if len(tokens) > 0 {
		b := 0
		for i := range step.Rows {
			for step.Rows[i].Token >= step.SeqStart[b+1] {
				b++
			}
			rows = appendRun(rows, int(step.Adapters[b]), i, i+1)
		}
	}
	a.runs[0], a.runs[1] = tokens, rows
	s.adapted = len(tokens) > 0
	for w := range a.workers {
		a.workers[w].turn = 0
	}
}

// appendRun adds rows to the last run if they continue it.
func appendRun(runs []adapterRun, place, first, end int) []adapterRun {
	if place == 0 {
		return runs
	}
	if n := len(runs); n > 0 && runs[n-1].place == place && runs[n-1].end == first {
		runs[n-1].end = end
		return runs
	}
	return append(runs, adapterRun{place, first, end})
}

// runDown computes what adapters need to know of a product's input, if r is a product that some add to.
func (m *model) runDown(r runner, worker int) {
	l, ok := r.(*linear)
	if !ok || l.low == nil || !l.low.wanted() {
		return
	}
	if m.state.failure.Load() == nil {
		m.guard(l.low, worker)
	}
	m.team.Barrier(worker)
}

// wanted tells whether some row of the step has an adapter that adds to the product. All workers see the same.
func (l *lowRank) wanted() bool {
	for _, r := range l.m.adapters.runs[l.ofRows] {
		if l.places[r.place] != nil {
			return true
		}
	}
	return false
}

// run computes the worker's share of A x.
func (l *lowRank) run(s *state, worker int) {
	a, x, sc := &l.m.adapters, &l.linear.x, s.scratch[worker]
	w := &a.workers[worker]
	w.turn ^= 1
	few, unit := l.linear.rows.count(s) <= fewRows, 0
	for _, r := range a.runs[l.ofRows] {
		low := l.places[r.place]
		if low == nil {
			continue
		}
		for part := 0; few && part < low.Segments(); part++ {
			if unit%s.workers == worker {
				l.m.set.Down(sc, low, x, r.first, r.end-r.first, part, part+1, a.few[w.turn][(part*fewRows+r.first)*a.ld:], a.ld)
			}
			unit++
		}
		for first := r.first; !few && first < r.end; first += chunkRows {
			if unit%s.workers == worker {
				l.m.set.Down(sc, low, x, first, min(chunkRows, r.end-first), 0, low.Segments(), a.many[w.turn][first*a.ld:], a.ld)
			}
			unit++
		}
	}
}

// added returns what is added to rows [from, to) of the product, counted from there; nil: nothing.
func (l *lowRank) added(s *state, worker, from, to int) *kernel.Added {
	a := &l.m.adapters
	w := &a.workers[worker]
	few := l.linear.rows.count(s) <= fewRows
	w.added.Runs = w.added.Runs[:0]
	for _, r := range a.runs[l.ofRows] {
		low, first, end := l.places[r.place], max(r.first, from), min(r.end, to)
		if low == nil || first >= end {
			continue
		}
		down := a.many[w.turn][first*a.ld:]
		if few {
			down = w.sums[first*a.ld:]
			for row := first; row < end; row++ {
				a.sum(w.sums[row*a.ld:][:low.PaddedRank()], w.turn, row, low.Segments())
			}
		}
		w.added.Runs = append(w.added.Runs, kernel.AddedRun{First: first - from, End: end - from, LowRank: low, Down: down, LD: a.ld})
	}
	if len(w.added.Runs) == 0 {
		return nil
	}
	return &w.added
}

// sum adds up the parts of a row in order.
func (a *adapters) sum(dst []float32, turn, row, parts int) {
	copy(dst, a.few[turn][row*a.ld:])
	for part := 1; part < parts; part++ {
		for i, v := range a.few[turn][(part*fewRows+row)*a.ld:][:len(dst)] {
			dst[i] += v
		}
	}
}
