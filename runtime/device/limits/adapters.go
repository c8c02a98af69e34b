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
