package server

import (
	"github.com/valyala/fasthttp"
)

// completions answers POST /v1/completions.
func (s *Server) completions(c *fasthttp.RequestCtx) error {
	return s.generate(c, onCompletions, inOpenAI(completionWording{}))
}

// completionWording is the JSON of completions.
type completionWording struct{}

func (completionWording) names() (idPrefix, whole, chunk string) {
	return "cmpl-", "text_completion", "text_completion"
}

func (completionWording) opening(dst []byte, _ *request, _ *choice) []byte { return dst }

func (w completionWording) piece(dst []byte, r *request, c *choice, p piece) []byte {
	dst = appendQuoted(append(appendIndex(dst, c), `,"text":`...), p.text)
	dst = w.logprobs(dst, r, c, p)
	dst = append(dst, `,"finish_reason":null`...)
	return append(appendIDs(dst, "token_ids", r, p.ids), '}')
}

func (completionWording) ending(dst []byte, _ *request, c *choice) []byte {
	dst = append(appendIndex(dst, c), `,"text":"","logprobs":null`...)
	return append(appendFinish(dst, c), '}')
}

func (w completionWording) whole(dst []byte, r *request, c *choice) []byte {
	dst = appendQuoted(append(appendIndex(dst, c), `,"text":`...), c.all.text)
	dst = w.logprobs(dst, r, c, c.all)
	dst = appendFinish(dst, c)
	dst = appendIDs(dst, "token_ids", r, c.all.ids)
	return append(appendIDs(dst, "prompt_token_ids", r, c.prompt.ids), '}')
}

func (completionWording) logprobs(dst []byte, r *request, c *choice, p piece) []byte {
	dst = append(dst, `,"logprobs":`...)
	if r.logprobs == unset {
		return append(dst, "null"...)
	}
	dst, c.offset = appendLegacyLogprobs(dst, r.model.Tokenizer, p.samples, r.logprobs, c.offset)
	return dst
}
