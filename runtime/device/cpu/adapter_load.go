package cpu

import (
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/runtime/device/cpu/kernel"
)

// LoadAdapter implements engine.AdapterModel. The numbers stay in the plan's file.
func (m *model) LoadAdapter(place int, plan *engine.Plan) error {
	a := &m.adapters
	if place < 1 || place >= len(a.loaded) || a.loaded[place] != nil {
		return fmt.Errorf("place %d of %d for adapters is taken, or there is none", place, m.settings.MaxAdapters)
	}
	pairs, err := plan.AdapterPairs()
	if err != nil {
		return err
	}
	info := plan.Info().Adapter
	switch {
	case info.Base != m.plan.Digest():
		return fmt.Errorf("%s: is an adapter of plan %s, not of %s (%s): make it anew with llmc build --adapter DIR --base %s", plan.Path(), info.Base, m.plan.Path(), m.plan.Digest(), m.plan.Path())
	case info.Rank > m.settings.AdapterRank:
		return fmt.Errorf("%s: its rank %d is greater than --max-lora-rank %d", plan.Path(), info.Rank, m.settings.AdapterRank)
	}
	var found []func()
	for i := range pairs {
		p := &pairs[i]
		products := a.products[p.Weight]
		if len(products) == 0 && slices.Contains(m.main.program.Weights, p.Weight) { // others are of other targets
			return fmt.Errorf("%s: adapts weight %s, which is of no product that takes adapters", plan.Path(), p.Weight)
		}
		for _, l := range products {
			w := &l.linear.w
			if p.K != int64(w.K) || p.N != int64(w.Panels())*engine.AdapterLanes {
				return fmt.Errorf("%s: adapts %d inputs and %d outputs of weight %s, which has %d and %d", plan.Path(), p.K, p.N, p.Weight, w.K, w.N)
			}
			low, err := kernel.NewLowRank(w.K, w.N, int(p.Rank), p.Down, p.Up)
			if err != nil {
				return fmt.Errorf("%s: weight %s: %w", plan.Path(), p.Weight, err)
			}
			found = append(found, func() { l.places[place] = low })
		}
	}
	for _, put := range found {
		put()
	}
	a.loaded[place] = plan
	return nil
}

// UnloadAdapter implements engine.AdapterModel.
func (m *model) UnloadAdapter(place int) {
	a := &m.adapters
	if place < 1 || place >= len(a.loaded) {
		return
	}
	for _, list := range a.products {
		for _, l := range list {
			l.places[place] = nil
		}
	}
	a.loaded[place] = nil
}

var _ engine.AdapterModel = (*model)(nil)
