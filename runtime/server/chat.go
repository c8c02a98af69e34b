package server

import (
	"strconv"

	"github.com/valyala/fasthttp"
)

// chatCompletions answers POST /v1/chat/completions.
func (s *Server) chatCompletions(c *fasthttp.RequestCtx) error {
	return s.generate(c, onChat, inOpenAI(chatWording{}))
}

// chatWording is the JSON of chat completions.
type chatWording struct{}

func (chatWording) names() (idPrefix, whole, chunk string) {
	return "chatcmpl-", "chat.completion", "chat.completion.chunk"
}

func (chatWording) opening(dst []byte, _ *request, c *choice) []byte {
	dst = appendIndex(dst, c)
	return append(dst, `,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}`...)
}

func (w chatWording) piece(dst []byte, r *request, c *choice, p piece) []byte {
	dst = append(appendIndex(dst, c), `,"delta":{`...)
	switch {
	case p.reasoning != "":
		dst = appendReasoning(dst, p.reasoning)
	case len(p.calls) > 0:
		dst = appendCallPieces(dst, p.calls)
	default:
		dst = appendQuoted(append(dst, `"content":`...), p.text)
	}
	dst = append(dst, '}')
	dst = w.logprobs(dst, r, p)
	dst = append(dst, `,"finish_reason":null`...)
	return append(appendIDs(dst, "token_ids", r, p.ids), '}')
}

func (chatWording) ending(dst []byte, _ *request, c *choice) []byte {
	dst = append(appendIndex(dst, c), `,"delta":{},"logprobs":null`...)
	return append(appendFinish(dst, c), '}')
}

func (w chatWording) whole(dst []byte, r *request, c *choice) []byte {
	dst = append(appendIndex(dst, c), `,"message":{"role":"assistant","content":`...)
	if c.all.text == "" && len(c.all.calls) > 0 {
		dst = append(dst, "null"...)
	} else {
		dst = appendQuoted(dst, c.all.text)
	}
	if c.all.reasoning != "" {
		dst = appendReasoning(append(dst, ','), c.all.reasoning)
	}
	if len(c.all.calls) > 0 {
		dst = appendCalls(append(dst, ','), c.all.calls)
	}
	dst = append(dst, `,"refusal":null}`...)
	dst = w.logprobs(dst, r, c.all)
	dst = appendFinish(dst, c)
	return append(appendIDs(dst, "token_ids", r, c.all.ids), '}')
}

func (chatWording) logprobs(dst []byte, r *request, p piece) []byte {
	dst = append(dst, `,"logprobs":`...)
	if r.logprobs == unset {
		return append(dst, "null"...)
	}
	return appendChatLogprobs(dst, r.model.Tokenizer, p.samples, r.logprobs)
}

// appendIndex opens a choice object.
func appendIndex(dst []byte, c *choice) []byte {
	return strconv.AppendInt(append(dst, `{"index":`...), int64(c.index), 10)
}
