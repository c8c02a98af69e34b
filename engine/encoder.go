package engine

import (
	"fmt"
	"math"
	"slices"
)

// Functions of models that read images, and texts that are compared with them.
const (
	ImageFunc = "image"
	TextFunc  = "text"
)

// EncoderInfo says how texts become the sequences of an encoder.
type EncoderInfo struct {
	MaxTokens int      `msgpack:"max_tokens" json:"max_tokens"` // of a text, special tokens included; what is longer is cut
	Prompts   []Prompt `msgpack:"prompts,omitempty" json:"prompts,omitempty"`
	Default   string   `msgpack:"default,omitempty" json:"default_prompt,omitempty"` // name of the prompt that is taken where none is named

	PadTo int    `msgpack:"pad_to,omitempty" json:"pad_to,omitempty"` // tokens that a text is made long, with the token Pad; 0: it is not
	Pad   int32  `msgpack:"pad,omitempty" json:"pad,omitempty"`
	End   string `msgpack:"end,omitempty" json:"end,omitempty"` // the token that a text is cut behind: see Ends; "": it is not
	EndID int32  `msgpack:"end_id,omitempty" json:"end_id,omitempty"`

	// Models of images and texts compare them by the cosine of what their functions give, times LogitScale, plus LogitBias.
	LogitScale float64 `msgpack:"logit_scale,omitempty" json:"logit_scale,omitempty"`
	LogitBias  float64 `msgpack:"logit_bias,omitempty" json:"logit_bias,omitempty"`
}

// Prompt is a text that precedes others, by its name.
type Prompt struct {
	Name string `msgpack:"name" json:"name"`
	Text string `msgpack:"text" json:"text"`
}

// The values of EncoderInfo.End: the first token whose id is the largest of the text, or that is EndID. In a causal encoder its row is the last one that
// counts.
const (
	EndLargest = "largest"
	EndToken   = "token"
)

// Sequence returns what the function reads of a text's tokens: up to the one that ends it, or padded.
func (e *EncoderInfo) Sequence(ids []int32) ([]int32, error) {
	switch at := -1; e.End {
	case EndLargest:
		if len(ids) > 0 {
			ids = ids[:slices.Index(ids, slices.Max(ids))+1]
		}
	case EndToken:
		if at = slices.Index(ids, e.EndID); at < 0 {
			return nil, fmt.Errorf("no token is %d, which ends a text; tokenize with special tokens", e.EndID)
		}
		ids = ids[:at+1]
	}
	if len(ids) > e.MaxTokens {
		return nil, fmt.Errorf("%d tokens, at most %d", len(ids), e.MaxTokens)
	}
	if len(ids) < e.PadTo {
		ids = append(slices.Clone(ids), slices.Repeat([]int32{e.Pad}, e.PadTo-len(ids))...)
	}
	return ids, nil
}

// Compare tells how well an image and a text go together, by what the functions gave for them: the logit of the model's training.
func (e *EncoderInfo) Compare(image, text []float32) float64 {
	var both, images, texts float64
	for i, x := range image {
		y := float64(text[i])
		both, images, texts = both+float64(x)*y, images+float64(x)*float64(x), texts+y*y
	}
	return both/math.Sqrt(max(images*texts, math.SmallestNonzeroFloat64))*e.LogitScale + e.LogitBias
}

// check refuses what no text could be prepared by.
func (e *EncoderInfo) check(m *ModelInfo) error {
	switch {
	case e.MaxTokens < 1 || e.MaxTokens > m.MaxContext:
		return fmt.Errorf("encoder takes texts of %d tokens in a context of %d", e.MaxTokens, m.MaxContext)
	case e.PadTo < 0 || e.PadTo > e.MaxTokens:
		return fmt.Errorf("encoder pads texts to %d tokens of %d", e.PadTo, e.MaxTokens)
	case e.Pad < 0 || int(e.Pad) >= m.Vocab || e.EndID < 0 || int(e.EndID) >= m.Vocab:
		return fmt.Errorf("encoder pads texts with token %d and ends them with %d; the vocabulary has %d", e.Pad, e.EndID, m.Vocab)
	case e.End != "" && e.End != EndLargest && e.End != EndToken:
		return fmt.Errorf("encoder ends texts by %q", e.End)
	case !finite(e.LogitScale) || !finite(e.LogitBias):
		return fmt.Errorf("encoder compares by %v times the cosine plus %v", e.LogitScale, e.LogitBias)
	}
	return nil
}
