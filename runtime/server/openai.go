package server

import (
	"fmt"
)

// openAI is the dialect of completions and of chat completions.
type openAI struct {
	words      wording
	head       []byte // of the answer, or of every chunk, up to its choices
	promptTail []byte // what the chunk being made has behind its choices
}

// inOpenAI is the dialect of an endpoint of the OpenAI API that has choices.
func inOpenAI(words wording) speaking {
	return func(s *Server, r *request) dialect {
		idPrefix, whole, chunk := words.names()
		d := &openAI{words: words}
		if r.stream {
			d.head = s.envelope(r, idPrefix, chunk).append([]byte("data: "))
		} else {
			d.head = s.envelope(r, idPrefix, whole).append(nil)
		}
		return d
	}
}

func (d *openAI) begin(dst []byte, b *batch) []byte {
	r := b.req
	for i, c := range b.choices {
		if i == 0 && r.on == onChat {
			d.promptTail = appendIDs(nil, "prompt_token_ids", r, c.prompt.ids)
		}
		dst = d.chunk(dst, b, func(dst []byte) []byte { return d.words.opening(dst, r, c) })
		d.promptTail = nil
	}
	return dst
}

func (d *openAI) arrival(dst []byte, b *batch, c *choice, p piece) []byte {
	r := b.req
	if r.echo && !c.echoed {
		c.echoed = true
		dst = d.piece(dst, b, c, r.echoed(c))
	}
	for _, p := range c.interpreted(r, p) {
		// A token that only begins a character has no text yet, but a probability and an id.
		if !p.silent() || len(p.samples) > 0 || len(p.ids) > 0 {
			dst = d.piece(dst, b, c, p)
		}
	}
	if c.finish != "" {
		dst = d.chunk(dst, b, func(dst []byte) []byte { return d.words.ending(dst, r, c) })
	}
	return dst
}

func (d *openAI) piece(dst []byte, b *batch, c *choice, p piece) []byte {
	return d.chunk(dst, b, func(dst []byte) []byte { return d.words.piece(dst, b.req, c, p) })
}

// chunk appends one event with one choice, or nothing if there is no choice to show.
func (d *openAI) chunk(dst []byte, b *batch, choice func(dst []byte) []byte) []byte {
	before := len(dst)
	dst = append(dst, d.head...)
	shown := len(dst)
	if dst = choice(dst); len(dst) == shown {
		return dst[:before]
	}
	dst = append(dst, ']')
	dst = append(dst, d.promptTail...)
	switch r := b.req; {
	case r.chunkUsage:
		dst = appendUsage(append(dst, `,"usage":`...), b)
	case r.streamUsage:
		dst = append(dst, `,"usage":null`...)
	}
	return append(dst, "}\n\n"...)
}

func (d *openAI) end(dst []byte, b *batch) []byte {
	if b.req.streamUsage {
		dst = append(append(dst, d.head...), `],"usage":`...)
		dst = append(appendUsage(dst, b), "}\n\n"...)
	}
	return append(dst, "data: [DONE]\n\n"...)
}

func (d *openAI) failure(dst []byte, e *apiError) []byte {
	body, err := e.MarshalJSON()
	if err != nil {
		panic(err) // strings can be encoded
	}
	return fmt.Appendf(dst, "data: {\"error\":%s}\n\n", body)
}

func (d *openAI) whole(dst []byte, b *batch) []byte {
	r := b.req
	dst = append(dst, d.head...)
	for i, c := range b.best() {
		if i > 0 {
			dst = append(dst, ',')
		}
		c.index = i
		if r.echo {
			c.all = r.echoed(c).before(c.all)
		}
		dst = d.words.whole(dst, r, c)
	}
	dst = appendUsage(append(dst, `],"usage":`...), b)
	if r.on == onChat {
		dst = appendIDs(dst, "prompt_token_ids", r, r.prompts[0].ids)
	}
	return append(dst, '}')
}
