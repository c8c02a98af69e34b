package gpu

import (
	"fmt"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/sym"
	"llmc/runtime/device/limits"
)

// adapters is what a model keeps for those that are served beside it; see engine.Adapted. Each place has memory of its own, as much as an adapter of the largest
// rank takes that changes every product. A step without adapters knows nothing of all this; one with some is launched as it is, from no recording and by no
// persistent entry.
type adapters struct {
	products []*adapted              // of the program, in the order of its launches; none: the settings leave no place for adapters
	of       []*adapted              // by launch; nil: nothing adds to it
	weights  map[string][]*adapted   // by name
	loaded   []*engine.Plan          // by place, nil: none; place 0 is that of the model alone
	places   []Memory                // by place, from 1 on
	records  Memory                  // [products][places+1]
	ranks    Memory                  // [rows of the largest step][rankBytes]
	lists    [adapterLists]rowPlaces // of tokens, and of sampled rows
	bytes    int64                   // of a place
	stride   int64                   // of ranks
	ranges   int                     // how many ranges of memory all this is
	now      bool                    // the step at hand has adapters
}

// rowPlaces says which rows of a step have which adapter.
type rowPlaces struct {
	places []int32 // by row
	items  []int32 // four words for each; see engine.AdapterItemBytes
	used   []int32 // the places that occur, but for 0
	room   int     // for words of items
}

// Lists of rows.
const (
	ofTokens = iota
	ofRows
	adapterLists
)

// The names of their arrays.
var (
	placesNames = [adapterLists]string{"places of tokens", "places of rows"}
	itemsNames  = [adapterLists]string{"items of tokens", "items of rows"}
)

// itemInts is the size of an item in int32.
const itemInts = engine.AdapterItemBytes / 4

// adapted is a product that adapters add to.
type adapted struct {
	*engine.Adapted
	list           int // of its rows
	weight         string
	a, b           layout.Fragments // of an adapter's parts of 16 rows: of a, and of b for as many ranks as it may have
	panels         int              // of the product's outputs
	most           int              // parts of 16 ranks
	atA, atB, span int64            // of a place
	record         int64            // offset of the record of place 0
	parts          []int            // by place: those of the adapter's ranks, 0 where it adds nothing
	down           Launch
	launch         launch
}

// find lists the products of a program, and what they take of a place.
func (a *adapters) find(plan *engine.Plan, p *engine.Program, l *limits.Limits) error {
	if l.MaxAdapters == 0 {
		return nil
	}
	a.of, a.weights, a.loaded = make([]*adapted, len(p.Launches)), map[string][]*adapted{}, make([]*engine.Plan, l.MaxAdapters+1)
	a.bytes, a.stride = 0, 0
	for i := range p.Adapted {
		n := &adapted{Adapted: &p.Adapted[i], record: int64(len(a.products)*(l.MaxAdapters+1)) * engine.AdapterRecordBytes, parts: make([]int, l.MaxAdapters+1)}
		launch := &p.Launches[n.Launch]
		n.weight = p.Weights[engine.FindKernel(launch.Kernel).Operand(launch, "w").Index]
		w, _, err := plan.Weight(n.weight)
		if err != nil {
			return err
		}
		if n.Rows(p) == sym.Of(sym.R) {
			n.list = ofRows
		}
		if err := n.size(w, l.AdapterRank); err != nil {
			return fmt.Errorf("weight %s: %w", n.weight, err)
		}
		n.atA, n.atB = a.bytes, a.bytes+int64(n.most*n.a.PanelBytes())
		n.span = n.atB + int64(n.panels)*n.panelBytes(n.most)
		a.bytes = n.span + RangeBytes([]Range{{"", int64(n.panels) * engine.AdapterSpanBytes}})
		a.stride = max(a.stride, int64(n.most)*2*engine.AdapterPart)
		a.products, a.of[n.Launch], a.weights[n.weight] = append(a.products, n), n, append(a.weights[n.weight], n)
	}
	return nil
}

// size finds the sizes of the matrices for adapters of a rank.
func (n *adapted) size(w *engine.WeightEntry, rank int) (err error) {
	const part = engine.AdapterPart
	n.most = (n.Modules*rank + part - 1) / part
	n.panels = (int(w.N()) + part - 1) / part
	if n.a, err = layout.NewFragments("frag.bf16", part, int(w.K())); err == nil {
		n.b, err = layout.NewFragments("frag.bf16", part, n.most*part)
	}
	return err
}

// panelBytes is the size of 16 outputs of b for so many parts of ranks.
func (*adapted) panelBytes(parts int) int64 {
	return int64(parts) * 2 * engine.AdapterPart * engine.AdapterPart
}

// take allocates the places and what steps with adapters need beside arrays.
func (a *adapters) take(d allocator, l *limits.Limits) (err error) {
	a.ranges = 0
	if len(a.products) == 0 {
		return nil
	}
	take := func(name string, bytes int64) Memory {
		var m Memory
		if err == nil {
			m, err = d.Alloc(name, bytes)
			a.ranges++
		}
		return m
	}
	a.places = make([]Memory, l.MaxAdapters+1)
	for place := 1; place <= l.MaxAdapters; place++ {
		a.places[place] = take(fmt.Sprintf("adapter %d", place), a.bytes)
	}
	records := int64(len(a.products)*(l.MaxAdapters+1)) * engine.AdapterRecordBytes
	a.ranks = take("ranks of adapters", int64(max(l.MaxStepTokens, l.MaxRows))*a.stride)
	if a.records = take("records of adapters", records); err != nil {
		return err
	}
	return a.records.Write(0, make([]byte, records))
}

// plan adds the arrays that tell a step which row has which adapter.
func (a *adapters) plan(to *arrays, l *limits.Limits) {
	if a == nil || len(a.products) == 0 {
		return
	}
	for i, rows := range [adapterLists]int{ofTokens: l.MaxStepTokens, ofRows: l.MaxRows} {
		list := &a.lists[i]
		most := (rows+engine.AdapterItemRows-1)/engine.AdapterItemRows + min(rows, l.MaxSequences)
		list.room = itemInts * most
		list.places, list.items = make([]int32, 0, rows), make([]int32, 0, list.room)
		list.used = make([]int32, 0, min(l.MaxSequences, l.MaxAdapters))
		to.add(placesNames[i], 4*rows, func(_ *engine.Step, to []byte) int { return putInts(to, list.places) })
		to.add(itemsNames[i], engine.AdapterItemBytes*most, func(_ *engine.Step, to []byte) int { return putInts(to, list.items) })
	}
}

// bind makes the launches of steps with adapters.
func (m *Model) bindAdapters(code Code, kernels map[string]Kernel, weight func(i int) uint64) error {
	a := &m.adapters
	for _, n := range a.products {
		codes := append([]engine.Code{n.Down}, n.Code...)
		for i := range codes {
			entry := codes[i].Entry
			if kernels[entry] != nil {
				continue
			}
			var err error
			if kernels[entry], err = code.Entry(entry); err != nil {
				return fmt.Errorf("adapted launch %d: %w", n.Launch, err)
			}
		}
		records := a.records.Addr() + uint64(n.record)
		n.launch = m.newLaunch(m.function, n.Launch, n.Code, kernels, weight)
		n.launch.extend(m.arrays.memory[placesNames[n.list]].Addr(), records, a.ranks.Addr(), uint64(a.stride))
		l := &m.program.Launches[n.Launch]
		x, k := engine.Operand{}, engine.FindKernel(l.Kernel)
		if x = k.Operand(l, "raw"); x.Kind == engine.OperandNone {
			x = k.Operand(l, "x")
		}
		n.down = Launch{Kernel: kernels[n.Down.Entry], Label: l.Label, Threads: uint32(n.Down.Threads), Shared: uint32(n.Down.Shared), Early: n.Down.Early,
			Args: []uint64{m.address(m.function, n.Launch, x, weight), m.arrays.memory[itemsNames[n.list]].Addr(), records, a.ranks.Addr(), uint64(a.stride)}}
	}
	return nil
}
