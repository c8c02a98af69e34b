package limits

import (
	"fmt"

	"llmc/engine"
)

// maxAdapters bounds how many adapters may be loaded at once: each has an entry in every product of the model.
const maxAdapters = 4096

// fillAdapters gives the rank of adapters its default and checks how many there may be.
func (r *Request) fillAdapters(s *engine.Settings) error {
	setDefault(&s.AdapterRank, r.Info.LoraRank)
	setDefault(&s.AdapterRank, engine.DefaultRankLimit)
	switch {
	case s.MaxAdapters > 0 && !r.Adapters:
		return engine.ErrNoAdapters
	case s.MaxAdapters < 0 || s.MaxAdapters > maxAdapters:
		return fmt.Errorf("max-loras is %d: must be within 0..%d", s.MaxAdapters, maxAdapters)
	case s.AdapterRank < 1 || s.AdapterRank > engine.MaxAdapterRank:
		return fmt.Errorf("max-lora-rank is %d: must be within 1..%d", s.AdapterRank, engine.MaxAdapterRank)
	}
	return nil
}

// checkAdapters refuses places that there are not.
func (l *Limits) checkAdapters(s *engine.Step) error {
	if len(s.Adapters) != 0 && len(s.Adapters) != s.B() {
		return fmt.Errorf("step of %d sequences names %d adapters", s.B(), len(s.Adapters))
	}
	for b, place := range s.Adapters {
		if place < 0 || int(place) > l.MaxAdapters {
			return fmt.Errorf("sequence %d: adapter %d of %d", b, place, l.MaxAdapters)
		}
	}
	return nil
}

// AdapterPairs returns the matrices of an adapter that is to be loaded into a place of a model of plan base; loaded are the adapters by place, 0 being that of the
// model alone. Whether they fit its products is not looked at.
func (l *Limits) AdapterPairs(base, adapter *engine.Plan, place int, loaded []*engine.Plan) ([]engine.AdapterPair, error) {
	if place < 1 || place >= len(loaded) || loaded[place] != nil {
		return nil, fmt.Errorf("place %d of %d for adapters is taken, or there is none", place, l.MaxAdapters)
	}
	pairs, err := adapter.AdapterPairs()
	if err != nil {
		return nil, err
	}
	info := adapter.Info().Adapter
	switch {
	case info.Base != base.Digest():
		return nil, fmt.Errorf("%s: is an adapter of plan %s, not of %s (%s): make it anew with llmc build --adapter DIR --base %s", adapter.Path(), info.Base, base.Path(), base.Digest(), base.Path())
	case info.Rank > l.AdapterRank:
		return nil, fmt.Errorf("%s: its rank %d is greater than --max-lora-rank %d", adapter.Path(), info.Rank, l.AdapterRank)
	}
	return pairs, nil
}
