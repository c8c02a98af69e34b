package server

import (
	"slices"

	"github.com/valyala/fasthttp"
)

// generate answers a request for generations, whole or as a stream.
func (s *Server) generate(c *fasthttp.RequestCtx, on endpoints, words wording) error {
	if !s.inflight.enter() {
		return errStopping
	}
	end := s.inflight.leave
	streaming := false // then the stream ends it all
	defer func() {
		if !streaming {
			end()
		}
	}()
	r, err := s.decode(on, c.PostBody())
	if err != nil {
		return err
	}
	if r.stream && !c.Request.Header.IsHTTP11() {
		return invalid("stream", "unsupported_value", "stream: needs HTTP/1.1")
	}
	if err := r.encode(); err != nil {
		return err
	}
	if err := r.compile(); err != nil {
		return err
	}
	b, err := s.start(r)
	if err != nil {
		return err
	}
	unwatch := watchPeer(c.Conn(), func() { b.cancel(errClientGone) })
	end = func() {
		unwatch()
		b.close()
		s.inflight.leave()
	}
	if r.stream {
		s.stream(c, b, words, end)
		streaming = true
		return nil
	}
	if err := b.gather(); err != nil {
		return err
	}
	c.SetContentType("application/json")
	c.SetBody(s.whole(b, words))
	return nil
}

// gather waits for all choices to end.
func (b *batch) gather() error {
	for !b.done() {
		arrivals, err := b.wait()
		if err != nil {
			return err
		}
		for _, a := range arrivals {
			p, err := b.take(a)
			if err != nil {
				return err
			}
			a.choice.add(p)
		}
	}
	return nil
}

func (c *choice) add(p piece) {
	c.text = append(c.text, p.text...)
	c.all.samples = append(c.all.samples, p.samples...)
	c.all.ids = append(c.all.ids, p.ids...)
}

// whole words a batch that has ended.
func (s *Server) whole(b *batch, words wording) []byte {
	r := b.req
	idPrefix, object, _ := words.names()
	body := s.envelope(r, idPrefix, object).append(nil)
	for i, c := range b.best() {
		if i > 0 {
			body = append(body, ',')
		}
		c.index = i
		c.all.text = string(c.text)
		if r.echo {
			c.all = r.echoed(c).before(c.all)
		}
		body = words.whole(body, r, c)
	}
	body = appendUsage(append(body, `],"usage":`...), b.usage())
	if r.on == onChat {
		body = appendIDs(body, "prompt_token_ids", r, r.prompts[0].ids)
	}
	return append(body, '}')
}

// echoed is the prompt as a piece of the answer.
func (r *request) echoed(c *choice) piece {
	p := piece{text: r.echoText(c.prompt)}
	if r.logprobs != unset {
		p.samples = promptSamples(c)
	}
	return p
}

func (p piece) before(q piece) piece {
	return piece{text: p.text + q.text, samples: append(p.samples, q.samples...), ids: q.ids}
}

// best returns the n most probable of the best_of generations of each prompt, by the mean of their tokens' log-probabilities.
func (b *batch) best() []*choice {
	made, wanted := b.req.generations(), b.req.choices
	if made == wanted {
		return b.choices
	}
	var kept []*choice
	for group := range slices.Chunk(b.choices, made) {
		ranked := slices.Clone(group)
		slices.SortStableFunc(ranked, func(x, y *choice) int {
			if mx, my := x.meanLogprob(), y.meanLogprob(); mx > my {
				return -1
			} else if mx < my {
				return 1
			}
			return 0
		})
		kept = append(kept, ranked[:wanted]...)
	}
	return kept
}

func (c *choice) meanLogprob() float64 { return c.rank / float64(max(1, c.tokens)) }
