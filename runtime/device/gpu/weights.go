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
	share := h.program.ShareOf(h.index)
	if share.Blocks == nil {
		return h.name
	}
	return fmt.Sprintf("%s %v", h.name, share)
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

// within finds, for each of a list, the weight of the list that it is a piece of: a table is there as a whole, and its part in one piece. -1: it is there by itself.
func within(plan *engine.Plan, list []held) ([]int, error) {
	whole, of := map[string]int{}, make([]int, len(list))
	for i := range list {
		if list[i].key() == list[i].name {
			whole[list[i].name] = i
		}
	}
	for i := range list {
		of[i] = -1
		at, ok := whole[list[i].name]
		if !ok || at == i {
			continue
		}
		w, _, err := plan.Weight(list[i].name)
		if err != nil {
			return nil, err
		}
		if len(list[i].program.Ranges(list[i].index, w, 0)) == 1 {
			of[i] = at
		}
	}
	return of, nil
}

// WeightBytes is what the weights take that the programs read.
func WeightBytes(plan *engine.Plan, programs []*engine.Program) (int64, error) {
	var ranges []Range
	list := heldBy(programs)
	of, err := within(plan, list)
	if err != nil {
		return 0, err
	}
	for i, h := range list {
		if of[i] >= 0 {
			continue
		}
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

// placed is an upload in the order of the plan's file, asked in the order of a list of weights.
type placed struct {
	Upload
	place  []int   // in the upload
	offset []int64 // of pieces of others
}

// Addr implements Upload.
func (u placed) Addr(i int) uint64 { return u.Upload.Addr(u.place[i]) + uint64(u.offset[i]) }

// sendWeights puts what the card has of the functions' weights on its way, each once, in the order of the file, so that a disk is read from end to end.
func (m *Model) sendWeights(plan *engine.Plan, list []held) (Upload, error) {
	of, err := within(plan, list)
	if err != nil {
		return nil, err
	}
	constants, at, order := make([]Constant, len(list)), make([]int64, len(list)), []int(nil)
	for i := range list {
		if constants[i], at[i], err = list[i].constant(plan, m.peers.rank); err != nil {
			return nil, err
		}
		if of[i] < 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(at[a], at[b]) })
	u, sorted := placed{place: make([]int, len(list)), offset: make([]int64, len(list))}, []Constant(nil)
	for place, i := range order {
		sorted = append(sorted, constants[i])
		u.place[i] = place
	}
	for i, whole := range of {
		if whole >= 0 {
			u.place[i], u.offset[i] = u.place[whole], at[i]-at[whole]
		}
	}
	u.Upload, err = m.driver.Constants(sorted)
	return u, err
}
