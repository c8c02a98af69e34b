package server

import (
	"fmt"
	"strconv"
)

// wording is how an endpoint puts choices into JSON. All methods append one choice object.
type wording interface {
	// names returns the prefix of ids and the values of "object".
	names() (idPrefix, whole, chunk string)
	// opening is the first chunk of a choice's stream; it may append nothing.
	opening(dst []byte, r *request, c *choice) []byte
	// piece is a chunk in the middle.
	piece(dst []byte, r *request, c *choice, p piece) []byte
	// ending is the last chunk: why the choice ended.
	ending(dst []byte, r *request, c *choice) []byte
	// whole is a choice that is not streamed.
	whole(dst []byte, r *request, c *choice) []byte
}

// envelope is what all chunks of an answer, or the one whole, begin with.
type envelope struct {
	id, object  string
	created     int64 // Unix seconds
	model       string
	fingerprint string
}

// append writes the envelope up to the first choice.
func (e envelope) append(dst []byte) []byte {
	dst = appendQuoted(append(dst, `{"id":`...), e.id)
	dst = appendQuoted(append(dst, `,"object":`...), e.object)
	dst = strconv.AppendInt(append(dst, `,"created":`...), e.created, 10)
	dst = appendQuoted(append(dst, `,"model":`...), e.model)
	if e.fingerprint != "" {
		dst = appendQuoted(append(dst, `,"system_fingerprint":`...), e.fingerprint)
	}
	return append(dst, `,"choices":[`...)
}

func (s *Server) envelope(r *request, idPrefix, object string) envelope {
	return envelope{
		id: idPrefix + s.newID(), object: object, created: s.now().Unix(),
		model: r.model.Name, fingerprint: r.model.Fingerprint,
	}
}

// appendUsage appends the object `usage`. Energy is in it where it is known, of choices that have ended, and tokens of reasoning where replies have some.
func appendUsage(dst []byte, b *batch) []byte {
	u := b.usage()
	dst = fmt.Appendf(dst, `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}`,
		u.PromptTokens, u.OutputTokens, u.PromptTokens+u.OutputTokens, u.CachedTokens)
	if tokens, known := b.reasoned(); known {
		dst = fmt.Appendf(dst, `,"completion_tokens_details":{"reasoning_tokens":%d}`, tokens)
	}
	if u.Joules > 0 {
		dst = appendNumber(append(dst, `,"energy_joules":`...), u.Joules, 32)
	}
	return append(dst, '}')
}

// appendFinish appends the keys that tell why a choice ended, null while it runs. stop_reason, vLLM's, is there only where the
// request's own stop string or token ended it.
func appendFinish(dst []byte, c *choice) []byte {
	dst = append(dst, `,"finish_reason":`...)
	if c.finish == "" {
		return append(dst, "null"...)
	}
	dst = appendQuoted(dst, c.finishReason())
	switch reason := c.reason.(type) {
	case string:
		dst = appendQuoted(append(dst, `,"stop_reason":`...), reason)
	case int32:
		dst = strconv.AppendInt(append(dst, `,"stop_reason":`...), int64(reason), 10)
	}
	return dst
}

// appendIDs appends the keys that return_token_ids asks for.
func appendIDs(dst []byte, key string, r *request, ids []int32) []byte {
	if !r.returnIDs {
		return dst
	}
	dst = append(appendQuoted(append(dst, ','), key), ':')
	return appendInts(dst, ids)
}
