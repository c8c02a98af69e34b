package sample

import "llmc/engine"

// edit remembers a logit that was changed.
type edit struct {
	id  int32
	old float32
}

// edits changes logits in place and can undo it: bias, bans and penalties touch few tokens of a long vocabulary.
type edits struct {
	done []edit
}

func (e *edits) set(logits []float32, id int32, v float32) {
	e.done = append(e.done, edit{id, logits[id]})
	logits[id] = v
}

// apply adds the bias, rules out the banned tokens and applies the penalties.
func (e *edits) apply(logits []float32, s *engine.Sampling, h *engine.TokenHistory) {
	for _, b := range s.Bias {
		e.set(logits, b.Token, logits[b.Token]+b.Bias)
	}
	for _, id := range s.Banned {
		e.set(logits, id, negInf)
	}
	if h == nil || !s.Penalized() {
		return
	}
	repetition := s.RepetitionPenalty
	if repetition == 0 {
		repetition = 1
	}
	h.Each(func(id, outputs int32, _ bool) {
		v := logits[id]
		// Keskar et al., "CTRL" (2019), section 4.1, as everybody applies it: towards less likely on both sides of zero.
		if v > 0 {
			v /= repetition
		} else {
			v *= repetition
		}
		if outputs > 0 {
			v -= float32(s.FrequencyPenalty * float32(outputs))
			v -= s.PresencePenalty
		}
		e.set(logits, id, v)
	})
}

// undo restores the logits as they were, a token edited twice included.
func (e *edits) undo(logits []float32) {
	for i := len(e.done) - 1; i >= 0; i-- {
		logits[e.done[i].id] = e.done[i].old
	}
	e.done = e.done[:0]
}
