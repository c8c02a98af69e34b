package gpu

import (
	"cmp"
	"fmt"
	"slices"

	"llmc/engine"
)

// held is a weight that a card has, or the card's part of one.
type held struct {
	name    string
	program *engine.Program // that reads it, as its weight number index
	index   int
}

// key tells apart what a card has of weights.
func (h *held) key() string {
	if h.program.Blocks == nil || h.program.Blocks[h.index] == nil {
		return h.name
	}
	return fmt.Sprintf("%s %v", h.name, h.program.Blocks[h.index])
}

// heldBy lists what programs read of weights, each once.
func heldBy(programs []*engine.Program) (list []held) {
	seen := map[string]bool{}
	for _, p := range programs {
		for i, name := range p.Weights {
			h := held{name, p, i}
			if key := h.key(); !seen[key] {
				seen[key] = true
				list = append(list, h)
			}
		}
	}
	return list
}

// weightBytes is what the weights take that the programs read.
func weightBytes(plan *engine.Plan, programs []*engine.Program) (int64, error) {
	var ranges []Range
	for _, h := range heldBy(programs) {
		w, _, err := plan.Weight(h.name)
		if err != nil {
			return 0, err
		}
		part, err := h.program.PartOf(h.index, w)
		if err != nil {
			return 0, err
		}
		ranges = append(ranges, Range{h.name, part.Bytes})
	}
	return RangeBytes(ranges), nil
}

// constant is what a card has of a weight, as a driver takes it, and where that begins in the plan.
func (h *held) constant(plan *engine.Plan, card int) (c Constant, offset int64, err error) {
	w, data, err := plan.Weight(h.name)
	if err != nil {
		return c, 0, err
	}
	ranges := h.program.Ranges(h.index, w, card)
	p := parts{plan, w, ranges}
	c = Constant{Name: h.name, Bytes: p.bytes(), Read: p.read, ReadAhead: p.readAhead}
	if len(ranges) == 1 {
		c.Data = data[ranges[0].From:ranges[0].To]
	}
	return c, w.Offset + ranges[0].From, nil
}

// parts are ranges of a weight's bytes, one behind the other.
type parts struct {
	plan   *engine.Plan
	weight *engine.WeightEntry
	ranges []engine.ByteRange
}

func (p parts) bytes() (n int64) {
	for _, r := range p.ranges {
		n += r.To - r.From
	}
	return n
}

// each calls do for what lies from at on, bytes of it: where that begins in the weight, how much there is, and how much came before.
func (p parts) each(at, bytes int64, do func(from, n, before int64) error) error {
	before := int64(0)
	for _, r := range p.ranges {
		n := r.To - r.From
		if at >= n {
			at -= n
			continue
		}
		take := min(n-at, bytes-before)
		if take <= 0 {
			return nil
		}
		if err := do(r.From+at, take, before); err != nil {
			return err
		}
		before, at = before+take, 0
	}
	return nil
}

// read is Constant.Read.
func (p parts) read(to []byte, at int64) error {
	return p.each(at, int64(len(to)), func(from, n, before int64) error { return p.plan.ReadWeight(p.weight, to[before:before+n], from) })
}

// readAhead is Constant.ReadAhead.
func (p parts) readAhead(at, bytes int64) {
	_ = p.each(at, bytes, func(from, n, _ int64) error { p.plan.ReadAhead(p.weight, from, n); return nil })
}

// inFileOrder is an upload in the order of the plan's file, asked in the order of the programs.
type inFileOrder struct {
	Upload
	place []int
}

// Addr implements Upload.
func (u inFileOrder) Addr(i int) uint64 { return u.Upload.Addr(u.place[i]) }

// sendWeights puts what the card has of the functions' weights on its way, each once, in the order of the file, so that a disk is read from end to end.
func (m *Model) sendWeights(plan *engine.Plan, weights []held) (Upload, error) {
	list, order, offset := make([]Constant, len(weights)), make([]int, len(weights)), make([]int64, len(weights))
	for i := range weights {
		var err error
		if list[i], offset[i], err = weights[i].constant(plan, m.peers.card); err != nil {
			return nil, err
		}
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(offset[a], offset[b]) })
	place, sorted := make([]int, len(weights)), make([]Constant, len(weights))
	for at, i := range order {
		sorted[at], place[i] = list[i], at
	}
	upload, err := m.driver.Constants(sorted)
	return inFileOrder{upload, place}, err
}
