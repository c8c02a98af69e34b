package server

import (
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// infoAnswer is what clients of Text Generation Inference ask for a model.
type infoAnswer struct {
	Model       string  `json:"model_id"`
	Digest      *string `json:"model_sha"`
	Task        string  `json:"model_pipeline_tag"`
	Concurrent  int     `json:"max_concurrent_requests"`
	BestOf      int     `json:"max_best_of"`
	Stops       int     `json:"max_stop_sequences"`
	InputTokens int     `json:"max_input_tokens"`
	TotalTokens int     `json:"max_total_tokens"`
	Workers     int     `json:"validation_workers"`
	ClientBatch int     `json:"max_client_batch_size"`
	Router      string  `json:"router"`
	Version     string  `json:"version"`
	Commit      *string `json:"sha"`
	Label       *string `json:"docker_label"`
}

// tgiInfo answers GET /info of the first model: those clients know of one.
func (s *Server) tgiInfo(c *fasthttp.RequestCtx) error {
	m := s.models.first()
	if m == nil {
		return errNoModel
	}
	info := infoAnswer{
		Model: m.Name, Digest: &m.Fingerprint, Task: "text-generation", Concurrent: s.config.Limits.Connections, BestOf: maxBestOf, Stops: maxStops,
		InputTokens: m.MaxContext - 1, TotalTokens: m.MaxContext, Workers: 1, ClientBatch: maxPrompts, Router: "llmrun", Version: s.config.Version,
	}
	if m.Encoder != nil {
		info.Task = "feature-extraction"
	}
	writeJSON(c, info)
	return nil
}

// textToken is a token and the characters of the text that it stands for; of special ones none.
type textToken struct {
	ID    int32  `json:"id"`
	Text  string `json:"text"`
	Start int    `json:"start"`
	Stop  int    `json:"stop"`
}

func textTokens(tok Tokenizer, ids []int32) []textToken {
	tokens := make([]textToken, len(ids))
	at := 0
	for i, id := range ids {
		bytes := tok.Token(id)
		tokens[i] = textToken{ID: id, Text: strings.ToValidUTF8(string(bytes), "\ufffd")}
		if isSpecial(tok, id) {
			continue
		}
		tokens[i].Start = at
		for _, b := range bytes {
			if utf8.RuneStart(b) {
				at++
			}
		}
		tokens[i].Stop = at
	}
	return tokens
}

type chatTokenizeAnswer struct {
	Tokens []textToken `json:"tokenize_response"`
	Text   string      `json:"templated_text"`
}

// chatTokenize answers POST /chat_tokenize: a conversation as the chat template lays it out, and its tokens.
func (s *Server) chatTokenize(c *fasthttp.RequestCtx) error {
	r, release, err := holding(func() (*request, error) { return s.decode(onChat, c.PostBody()) })
	if err != nil {
		return err
	}
	defer release()
	if err := r.encode(); err != nil {
		return err
	}
	writeJSON(c, chatTokenizeAnswer{Tokens: textTokens(r.model.Tokenizer, r.prompts[0].ids), Text: r.prompts[0].text})
	return nil
}
