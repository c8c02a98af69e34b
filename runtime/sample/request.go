package sample

import (
	"math"

	"llmc/engine"
)

// Request fills in what a device that samples by itself has to know of a row, but for the places of its edits, its mask and its counts. ok tells that
// such a device can answer it: what it can not, Sample does, with the same bits.
func Request(row *engine.Row) (r engine.SampleRow, ok bool) {
	p := row.Sampling
	if p.Greedy() {
		return r, true
	}
	r.Position, r.Seed = row.Position, p.Seed
	if p.Temperature >= leastTemperature {
		r.Flags |= engine.SampleDraws
		r.Scale, r.Cut = scale(p.Temperature), minPCut(p.MinP)
		if rankedDraw(p) {
			r.Flags |= engine.SampleRanked
		}
		if r.TopK = uint32(max(0, p.TopK)); topPOn(p.TopP) {
			r.TopP = max(1, fraction(float64(p.TopP)))
		}
	}
	if len(p.Bias) > 0 || len(p.Banned) > 0 {
		r.Flags |= engine.SampleEdited
	}
	if row.History != nil && p.Penalized() {
		r.Flags |= engine.SampleSeen
	}
	if r.Repetition = p.RepetitionPenalty; r.Repetition == 0 {
		r.Repetition = 1
	}
	r.Frequency, r.Presence = p.FrequencyPenalty, p.PresencePenalty
	if p.Allowed != nil {
		r.Flags |= engine.SampleMasked
	}
	if p.Logprobs >= 0 {
		r.Flags |= engine.SampleLogprobs
	}
	if p.Logprobs > 0 {
		r.Flags |= engine.SampleAlternatives
		r.Alternatives = uint32(p.Logprobs)
	}
	return r, p.Logprobs <= engine.MaxAlternatives
}

// Answer turns what a device found for a request into the row's answer, and tells whether it could; if not, Sample can. alternatives are
// the most likely tokens as the device lists them. A device's code comes with the plan, so a token may be none.
func Answer(r *engine.SampleRow, found, alternatives []uint64, vocab int, out *engine.Sampled) bool {
	*out = engine.Sampled{Token: -1, Top: out.Top[:0]}
	most, ok := best(found[engine.FoundBest])
	if !ok {
		return true
	}
	cell := found[engine.FoundBest]
	if r.Flags&engine.SampleChanged != 0 {
		if cell = found[engine.FoundEdited]; !choice(cell) {
			return true
		}
	}
	token := ^uint32(cell)
	if r.Flags&engine.SampleDraws != 0 {
		token = uint32(found[engine.FoundToken])
	}
	if token >= uint32(vocab) {
		return false
	}
	if r.Flags&engine.SampleLogprobs != 0 {
		norm := logNorm(most, found[engine.FoundRawMass], vocab)
		out.Logprob = logprob(math.Float32frombits(uint32(found[engine.FoundLogit])), norm)
		for _, a := range alternatives[:min(found[engine.FoundCount], uint64(len(alternatives)))] {
			if uint32(a) >= uint32(vocab) {
				return false
			}
			out.Top = append(out.Top, engine.TokenLogprob{Token: ranked(a).id(), Logprob: logprob(ranked(a).logit(), norm)})
		}
	}
	out.Token = int32(token)
	return true
}

// choice tells whether a cell has a greatest logit that may be chosen.
func choice(cell uint64) bool {
	return cell != engine.NoChoice && uint32(cell>>32) != engine.LogitKey(negInf)
}

// best is the greatest logit of a cell.
func best(cell uint64) (float32, bool) { return engine.KeyLogit(uint32(cell >> 32)), choice(cell) }
