package sched

import (
	"fmt"

	"llmc/engine"
)

// A sequence of an encoder-decoder has a text besides its tokens. It is encoded in the step that takes in the sequence's first tokens, and what is kept of it
// has pages of its own, from when the sequence is admitted until it ends or is preempted.

// checkSource makes room for the longest text beside the longest sequence: one that is alone must always fit.
func (c *Config) checkSource() error {
	if c.MaxSource == 0 {
		return nil
	}
	c.MaxSource = min(c.MaxSource, c.MaxStepTokens, c.Pages/2*c.PageSize)
	if c.MaxSource < 1 {
		return fmt.Errorf("scheduler: pages is %d, must be two at least: one for what is encoded", c.Pages)
	}
	c.NoPrefixCache = true // what a token's keys and values are depends on the text
	c.MaxContext = min(c.MaxContext, (c.Pages-(c.MaxSource+c.PageSize-1)/c.PageSize)*c.PageSize)
	return nil
}

// MaxSource returns how many tokens the text of a sequence may have; 0: there is none.
func (s *Scheduler) MaxSource() int { return s.config.MaxSource }

// sourcePages returns how many pages a sequence needs for its text beyond those it has.
func (s *Scheduler) sourcePages(q *Sequence) int {
	return s.pool.PagesFor(len(q.request.Source)) - len(q.source.Pages())
}

// releaseSource gives the pages of the text back: it has to be encoded again.
func (s *Scheduler) releaseSource(q *Sequence) {
	s.pool.Release(&q.source)
	q.encoded = false
}

// shareEncoder keeps sequences out of the step whose texts are more than it encodes: as many tokens as it may have, and where others are being answered
// no more than may keep them waiting, but for one text.
func (s *Scheduler) shareEncoder() {
	if s.config.MaxSource == 0 {
		return
	}
	decoding, coming := 0, 0
	for _, q := range s.running {
		switch {
		case q.planned == 0:
		case q.encoded:
			decoding++
		default:
			coming++
		}
	}
	room, some := s.config.MaxStepTokens, false
	if limit := s.config.PromptTokens; limit != nil && decoding > 0 {
		room = min(room, limit(decoding, coming))
	}
	for _, q := range s.running {
		if q.encoded || q.planned == 0 {
			continue
		}
		n := len(q.request.Source)
		if some && n > room {
			q.planned = 0
			continue
		}
		some, room = true, room-n
	}
}

// appendSource names the pages of the sequence's text, which is encoded before the step where it has not been.
func (s *Scheduler) appendSource(st *engine.Step, q *Sequence) {
	if s.config.MaxSource == 0 {
		return
	}
	text, pages := q.request.Source, q.source.Pages()
	st.Source.Add(pages, len(text))
	if q.encoded {
		return
	}
	if st.Encode == nil {
		st.Encode = &engine.Step{}
		st.Encode.Reset()
	}
	st.Encode.IDs, st.Encode.Pages = append(st.Encode.IDs, text...), append(st.Encode.Pages, pages...)
	st.Encode.EndSequence(0, len(text), s.pool.PageSize())
	q.encoded = true
}

// forced are outputs that are known before they are sampled.
type forced struct{ first, last []engine.Sampling }

func newForced(r *Request) (f forced) {
	for _, list := range []struct {
		ids []int32
		to  *[]engine.Sampling
	}{{r.First, &f.first}, {r.Last, &f.last}} {
		for _, id := range list.ids {
			*list.to = append(*list.to, engine.Sampling{Bias: []engine.TokenBias{{Token: id, Bias: forcingBias}}, Logprobs: r.Sampling.Logprobs})
		}
	}
	return f
}

// sampling returns how output i of at most limit is chosen, nil where it is not forced.
func (f *forced) sampling(i, limit int) *engine.Sampling {
	if i < len(f.first) {
		return &f.first[i]
	}
	if at := i - (limit - len(f.last)); at >= 0 && at < len(f.last) {
		return &f.last[at]
	}
	return nil
}
