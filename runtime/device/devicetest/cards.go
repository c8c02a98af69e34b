package devicetest

import (
	"testing"

	"llmc/engine"
)

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
