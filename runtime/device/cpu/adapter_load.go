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
	pairs, err := m.settings.AdapterPairs(m.plan, plan, place, a.loaded)
	if err != nil {
		return err
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
