package devicetest

import (
	"testing"

	"llmc/engine"
)

// Stages is Cards with so many stages of as many cards each.
func Stages(t *testing.T, device engine.Device, plan *engine.Plan, vocab, context, rounds, cards, stages int) {
	t.Helper()
	Cards(t, staged{device, stages}, plan, vocab, context, rounds, cards)
}

// staged loads on stages of cards what others load on cards; what is loaded on one card stays there.
type staged struct {
	engine.Device
	stages int
}

// Load implements engine.Device.
func (d staged) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	if settings.Cards > 0 {
		settings.Stages = d.stages
	}
	return d.Device.Load(plan, settings)
}

// Cards serves a few requests on one card, then under rounds random schedules on several that share the model, and wants the same bits of every logit.
func Cards(t *testing.T, device engine.Device, plan *engine.Plan, vocab, context, rounds, cards int) {
	t.Helper()
	requests := metamorphicRequests(vocab, context)[:3]
	plain := run(t, device, plan, vocab, requests, plainSchedule(context))
	for i := range rounds {
		sc := randomSchedule(uint64(i), context)
		sc.settings.Cards = cards
		if !takesGuesses(t, plan) {
			sc.settings.Drafts = 0
		} else if sc.settings.Drafts > 0 {
			sc.drafts = plain.outputs
		}
		sameBits(t, plain.trace, run(t, device, plan, vocab, requests, sc).trace, i, sc)
	}
}
