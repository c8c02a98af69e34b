package tokenizer

import (
	"fmt"
)

// A model turns a word, the output of the pre-tokenizers, into ids.
type model interface {
	// appendWord appends the ids of a non-empty word. s is scratch memory of this encoding.
	appendWord(dst []int32, word []byte, s *scratch) ([]int32, error)
}

// modelSpec is the model section of tokenizer.json without its vocabulary.
type modelSpec struct {
	Type                    string  `json:"type"`
	UnkToken                *string `json:"unk_token,omitempty"`
	UnkID                   *int32  `json:"unk_id,omitempty"`
	ContinuingSubwordPrefix *string `json:"continuing_subword_prefix,omitempty"`
	EndOfWordSuffix         *string `json:"end_of_word_suffix,omitempty"`
	FuseUnk                 bool    `json:"fuse_unk,omitempty"`
	ByteFallback            bool    `json:"byte_fallback,omitempty"`
	IgnoreMerges            bool    `json:"ignore_merges,omitempty"`
	MaxInputCharsPerWord    *int    `json:"max_input_chars_per_word,omitempty"`
}

// modelRows lists the models by the name in the file.
var modelRows = []struct {
	name  string
	build func(d *definition) (model, error)
}{
	{"BPE", newBPE},
	{"Unigram", newUnigram},
	{"WordPiece", newWordPiece},
	{"WordLevel", newWordLevel},
}

func newModel(d *definition) (model, error) {
	for _, row := range modelRows {
		if row.name == d.spec.Model.Type {
			m, err := row.build(d)
			if err != nil {
				return nil, fmt.Errorf("model %s: %w", row.name, err)
			}
			return m, nil
		}
	}
	return nil, fmt.Errorf("model: unknown type %.40q", d.spec.Model.Type)
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// byteToken is how vocabularies with byte fallback write a byte.
func byteToken(b byte) string { return fmt.Sprintf("<0x%02X>", b) }

// byteTokens gives the ids of the 256 byte tokens, noValue for the missing.
func byteTokens(v *vocabulary) *[256]int32 {
	var ids [256]int32
	for b := range ids {
		ids[b] = noValue
		if id, ok := v.id(byteToken(byte(b))); ok {
			ids[b] = id
		}
	}
	return &ids
}
