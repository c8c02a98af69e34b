package dump

import "llmc/engine"

// Together is the program that each of several GPUs runs which share the model.
type Together struct {
	Cards       int   `json:"cards"`
	Launches    int   `json:"launches"`
	Exchanges   int   `json:"exchanges"`                 // of rows between the cards, in a step
	SentBytes   int64 `json:"sent_bytes_per_token"`      // by each card to each other one, of a step whose rows are all sampled
	WeightBytes int64 `json:"weight_bytes"`              // of each card
	PTXBytes    int64 `json:"ptx_bytes"`                 // of all functions
	KVHeads     []int `json:"kv_heads_of_caches_apiece"` // that a card has
}

// newTogether describes the programs of a function for a target that several cards run.
func newTogether(p *engine.Plan, function, target string) (list []Together, err error) {
	for _, cards := range p.Cards(target) {
		program, err := p.CardsProgram(function, target, cards)
		if err != nil {
			return nil, err
		}
		t := Together{Cards: cards, Launches: len(program.Launches)}
		for i := range program.Launches {
			if _, bytes := program.ExchangeRuns(&program.Launches[i]); bytes > 0 {
				t.Exchanges, t.SentBytes = t.Exchanges+1, t.SentBytes+bytes
			}
		}
		for i, name := range program.Weights {
			w, _, err := p.Weight(name)
			if err == nil {
				w, err = program.PartOf(i, w)
			}
			if err != nil {
				return nil, err
			}
			t.WeightBytes += w.Bytes
		}
		for i := range program.Caches {
			t.KVHeads = append(t.KVHeads, program.Caches[i].KVHeads)
		}
		text, err := p.CardsPTX(target, cards)
		if err != nil {
			return nil, err
		}
		t.PTXBytes = int64(len(text))
		list = append(list, t)
	}
	return list, nil
}
