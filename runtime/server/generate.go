package server

import (
	"cmp"
	"slices"

	"github.com/valyala/fasthttp"
)

// generate answers a request for generations that the table of fields describes.
func (s *Server) generate(c *fasthttp.RequestCtx, on endpoints, speak speaking) error {
	return s.answer(c, func() (*request, error) { return s.decode(on, c.PostBody()) }, speak)
}

// answer answers a request for generations, whole or as a stream.
func (s *Server) answer(c *fasthttp.RequestCtx, decode func() (*request, error), speak speaking) error {
	b, end, err := s.begin(overHTTP(c), func() (*request, error) {
		r, err := decode()
		if err == nil && r.stream && !c.Request.Header.IsHTTP11() {
			return nil, invalid("stream", "unsupported_value", "stream: needs HTTP/1.1")
		}
		return r, err
	})
	if err != nil {
		return err
	}
	streaming := false // then the stream ends it
	defer func() {
		if !streaming {
			end()
		}
	}()
	words := speak(s, b.req)
	if b.req.stream {
		s.stream(c, b, words, end)
		streaming = true
		return nil
	}
	if err := b.gather(); err != nil {
		return err
	}
	c.SetContentType("application/json")
	c.SetBody(words.whole(nil, b))
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
	for _, c := range b.choices {
		c.all.text = string(c.text)
		c.interpret(b.req)
	}
	return nil
}

func (c *choice) add(p piece) {
	c.text = append(c.text, p.text...)
	c.all.samples = append(c.all.samples, p.samples...)
	c.all.ids = append(c.all.ids, p.ids...)
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
	for at := 0; at < len(b.choices); at += made {
		kept = append(kept, b.ranked(at, made)[:wanted]...)
	}
	return kept
}

// ranked returns the generations of a prompt, the most probable first.
func (b *batch) ranked(at, made int) []*choice {
	group := slices.Clone(b.choices[at : at+made])
	slices.SortStableFunc(group, func(x, y *choice) int { return cmp.Compare(y.meanLogprob(), x.meanLogprob()) })
	return group
}

func (c *choice) meanLogprob() float64 { return c.rank / float64(max(1, c.tokens)) }
