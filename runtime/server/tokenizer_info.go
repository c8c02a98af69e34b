package server

import (
	"strings"

	"github.com/valyala/fasthttp"
)

// tokenizerInfo is what evaluation harnesses ask for before they count tokens by /tokenize: names of special tokens, in vLLM's words. Of several tokens that end
// a text it has the first.
type tokenizerInfo struct {
	Model   string  `json:"model"`
	BOS     *string `json:"bos_token"`
	EOS     *string `json:"eos_token"`
	Context int     `json:"model_max_length"`
}

// tokenizerInfo answers GET /tokenizer_info of the first model: the path has no room for a name.
func (s *Server) tokenizerInfo(c *fasthttp.RequestCtx) error {
	m := s.models.first()
	if m == nil {
		return errNoModel
	}
	if m.Tokenizer == nil {
		return invalid("model", "unsupported_endpoint", "the model %.200q has no tokenizer", m.Name)
	}
	info := tokenizerInfo{Model: m.Name, Context: m.MaxContext}
	name := func(id int32) *string {
		text := strings.ToValidUTF8(string(m.Tokenizer.Token(id)), "\ufffd")
		return &text
	}
	if id := m.Info.BOS; id >= 0 && int(id) < m.Info.Vocab {
		info.BOS = name(id)
	}
	if len(m.Info.EOS) > 0 {
		info.EOS = name(m.Info.EOS[0])
	}
	writeJSON(c, info)
	return nil
}
