package tokenizer

import "encoding/json"

// spec is tokenizer.json without the vocabulary and the merges: what the binary form keeps as JSON.
type spec struct {
	Model         modelSpec       `json:"model"`
	AddedTokens   []addedSpec     `json:"added_tokens,omitempty"`
	Normalizer    json.RawMessage `json:"normalizer,omitempty"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer,omitempty"`
	PostProcessor json.RawMessage `json:"post_processor,omitempty"`
	Decoder       json.RawMessage `json:"decoder,omitempty"`
}
