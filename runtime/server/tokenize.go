package server

import (
	"strings"

	"github.com/valyala/fasthttp"
)

type tokenizeAnswer struct {
	Count   int      `json:"count"`
	Context int      `json:"max_model_len"`
	Tokens  []int32  `json:"tokens"`
	Strings []string `json:"token_strs"`
}

// tokenize answers POST /tokenize: the ids of a text, or of a conversation as the chat template lays it out; in the words of vLLM, or, for "inputs", of
// Text Generation Inference.
func (s *Server) tokenize(c *fasthttp.RequestCtx) error {
	r, release, err := holding(func() (*request, error) { return s.decode(onTokenize, c.PostBody()) })
	if err != nil {
		return err
	}
	defer release()
	if err := r.encode(); err != nil {
		return err
	}
	ids := append([]int32{}, r.prompts[0].ids...)
	if r.inputs {
		writeJSON(c, textTokens(r.model.Tokenizer, ids))
		return nil
	}
	answer := tokenizeAnswer{Count: len(ids), Context: r.model.MaxContext, Tokens: ids}
	if r.tokenStrings {
		answer.Strings = make([]string, len(ids))
		for i, id := range ids {
			answer.Strings[i] = strings.ToValidUTF8(string(r.model.Tokenizer.Token(id)), "\ufffd")
		}
	}
	writeJSON(c, answer)
	return nil
}

type detokenizeAnswer struct {
	Prompt string `json:"prompt"`
}

// detokenize answers POST /detokenize. Special tokens are kept, so that it undoes tokenize.
func (s *Server) detokenize(c *fasthttp.RequestCtx) error {
	r, release, err := holding(func() (*request, error) { return s.decode(onDetokenize, c.PostBody()) })
	if err != nil {
		return err
	}
	defer release()
	writeJSON(c, detokenizeAnswer{Prompt: r.model.Tokenizer.Decode(r.tokens, false)})
	return nil
}
