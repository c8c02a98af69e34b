package cpu

import (
	"errors"
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/engine/partition"
	"llmc/runtime/comm"
	"llmc/runtime/device/wire"
)

// Split makes a device one of several ranks, each of which computes a part of every step: see engine/partition. The first is the device that others use; the others Follow it.
type Split struct {
	Ranks partition.Ranks
	Group *comm.Group // of as many ranks, used by nothing else; it ends with the model
}

var wholePart partition.Part

// rank is the number of this rank, 0 of the only one.
func (m *model) rank() int {
	if m.split == nil {
		return 0
	}
	return m.split.Group.Rank()
}

// part is what a rank computes of a launch.
func (f *function) part(rank, launch int) *partition.Part {
	if f.partition == nil {
		return &wholePart
	}
	return &f.partition.Launches[launch].Parts[rank]
}

// Divides tells whether so many ranks can share a plan, before there are any.
func Divides(plan *engine.Plan, ranks partition.Ranks) error {
	m, err := Device{Split: &Split{Ranks: ranks}}.begin(plan, "")
	if err != nil {
		return err
	}
	return m.divide()
}

// divide decides what each rank does.
func (m *model) divide() error {
	ranks := m.split.Ranks
	if g := m.split.Group; g != nil && ranks.Size() != g.Size() {
		return fmt.Errorf("tp %d and pp %d want %d ranks, there are %d", ranks.TP, ranks.PP, ranks.Size(), g.Size())
	}
	if len(m.functions) > 1 {
		if err := partition.OnlySteps(ranks.PP, m.main.program.Func, m.Functions()); err != nil {
			return err
		}
	}
	weight := func(name string) *engine.WeightEntry {
		entry, _, err := m.plan.Weight(name)
		if err != nil {
			return nil
		}
		return entry
	}
	for _, f := range m.functions {
		var err error
		if f.partition, err = partition.Plan(f.program, weight, ranks); err != nil {
			return fmt.Errorf("function %s: %w", f.program.Func, err)
		}
	}
	return nil
}

// caches are those of the program with what a rank has of them.
func (m *model) caches(rank int) []engine.Cache {
	caches := slices.Clone(m.main.program.Caches)
	if m.split == nil {
		return caches
	}
	for c := range caches {
		if p := m.main.partition; p.Heads[rank][c].KV.Len() > 0 {
			caches[c].KVHeads = p.Heads[rank][c].KV.Len()
		}
		caches[c].Layers = m.layerOf(rank, c, caches[c].Layers)
	}
	return caches
}

// layer is where a rank has a layer of a cache among its own.
func (m *model) layer(cache, layer int) int {
	if m.split == nil || layer < 0 || layer >= m.main.program.Caches[cache].Layers {
		return layer
	}
	return m.layerOf(m.rank(), cache, layer)
}

// layerOf counts the layers of a cache before one that a rank has. Where there is no pipeline all have all, of every function.
func (m *model) layerOf(rank, cache, layer int) int {
	if m.split.Ranks.PP == 1 {
		return layer
	}
	n := 0
	for _, has := range m.main.partition.Layers[rank][cache][:layer] {
		if has {
			n++
		}
	}
	return n
}

// tokenBytes is what the cache takes of one position on the rank that takes the most: all have as many pages.
func (m *model) tokenBytes(pageSize int) (int64, error) {
	ranks := 1
	if m.split != nil {
		ranks = m.split.Ranks.Size()
	}
	most := int64(0)
	for r := range ranks {
		n, err := tokenBytes(m.caches(r), pageSize)
		if err != nil {
			return 0, err
		}
		most = max(most, n)
	}
	return most, nil
}

// Kinds of commands between the first rank and the others.
const (
	tellLoad = iota + 1 // settings; the answer is tellReady with an error's text, or nothing
	tellReady
	tellRun  // number of a function, and a step
	tellCopy // pages dst and src
	tellRead // a page; the answer is tellPage, with its bytes
	tellPage
	tellWrite // a page, and its bytes
)

// loadRanks loads the model on all ranks: the first fills in the settings, and the others take those.
func (m *model) loadRanks(settings engine.Settings) error {
	if settings.MaxAdapters > 0 {
		return errors.New("adapters beside the model are not there yet for several ranks: merge one with llmc build --lora, or serve without --tp and --pp")
	}
	if err := m.divide(); err != nil {
		return err
	}
	err := m.load(settings)
	g := m.split.Group
	if err != nil {
		return g.Fail(err)
	}
	told := encodeSettings(&m.settings)
	for r := 1; r < g.Size(); r++ {
		if err := g.Send(r, tellLoad, told); err != nil {
			return err
		}
	}
	for r := 1; r < g.Size(); r++ {
		kind, text, err := g.Receive(r, true, nil)
		switch {
		case err != nil:
			return err
		case kind != tellReady:
			return g.Fail(fmt.Errorf("rank %d said %d where it should be ready", r, kind))
		case len(text) > 0:
			return g.Fail(fmt.Errorf("rank %d: %s", r, text))
		}
	}
	return nil
}

// tellOthers tells all other ranks the same.
func (m *model) tellOthers(kind uint32, data []byte) error {
	g := m.split.Group
	for r := 1; r < g.Size(); r++ {
		if err := g.Send(r, kind, data); err != nil {
			return fmt.Errorf("%w: %w", engine.ErrDeviceLost, err)
		}
	}
	return nil
}

// announce has the other ranks run a function of a step.
func (m *model) announce(f *function, step *engine.Step) error {
	if m.split == nil {
		return nil
	}
	m.steps++
	if m.rank() != 0 {
		return nil
	}
	m.told = wire.AppendStep(append(m.told[:0], byte(slices.Index(m.functions, f))), step)
	return m.tellOthers(tellRun, m.told)
}

func (m *model) announceCopy(dst, src int32) error {
	if m.split == nil || m.rank() != 0 {
		return nil
	}
	return m.tellOthers(tellCopy, wire.AppendInts(nil, []int32{dst, src}))
}

// failed is what a failure of a step means: with other ranks, which wait for what this one should have computed, the end of all.
func (m *model) failed(failure error) error {
	if m.split == nil {
		return failure
	}
	return fmt.Errorf("%w: %w", engine.ErrDeviceLost, m.split.Group.Fail(failure))
}

// dismiss lets the other ranks end.
func (m *model) dismiss() {
	if m.split != nil {
		m.split.Group.Close()
	}
}
