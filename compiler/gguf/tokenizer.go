package gguf

import (
	"encoding/json"
	"math"
	"slices"
	"unicode/utf8"

	"llmc/compiler/hf"
)

// Keys of the tokenizer.
const (
	modelKey    = "tokenizer.ggml.model"
	preKey      = "tokenizer.ggml.pre"
	scoresKey   = "tokenizer.ggml.scores"
	typesKey    = "tokenizer.ggml.token_type"
	mergesKey   = "tokenizer.ggml.merges"
	bosKey      = "tokenizer.ggml.bos_token_id"
	eosKey      = "tokenizer.ggml.eos_token_id"
	addBOSKey   = "tokenizer.ggml.add_bos_token"
	addEOSKey   = "tokenizer.ggml.add_eos_token"
	prefixKey   = "tokenizer.ggml.add_space_prefix"
	templateKey = "tokenizer.chat_template"
	// templatesKey names further templates; each is at templateKey, a dot and its name.
	templatesKey = "tokenizer.chat_templates"
	maxTemplates = 256
)

// tokenKind is the type of a token; the numbers are those of sentencepiece.
type tokenKind int32

const (
	normalToken      tokenKind = 1
	controlToken     tokenKind = 3
	userDefinedToken tokenKind = 4
	unusedToken      tokenKind = 5
)

// vocabulary is what all kinds of tokenizers have.
type vocabulary struct {
	*metadata
	tokens         []string
	kinds          []tokenKind // one for each token
	special        map[string]int32
	addBOS, addEOS bool
}

// tokenizerModels are the values of tokenizer.ggml.model; each makes the file of a tokenizer. specials are the ids that tokens have without a key.
var tokenizerModels = []struct {
	name     string
	specials map[string]int32
	addBOS   bool
	make     func(v *vocabulary) (hf.Part, *hf.Document, error)
}{
	{"gpt2", nil, false, (*vocabulary).byteLevel},
	{"llama", map[string]int32{"unk_token": 0, "bos_token": 1, "eos_token": 2}, true, (*vocabulary).sentencePieces},
}

// specialTokens gives the key of each token that tokenizer_config.json names.
var specialTokens = []struct{ name, key string }{
	{"bos_token", bosKey},
	{"eos_token", eosKey},
	{"unk_token", "tokenizer.ggml.unknown_token_id"},
	{"pad_token", "tokenizer.ggml.padding_token_id"},
	{"sep_token", "tokenizer.ggml.seperator_token_id"}, // as the format spells it
	{"cls_token", "tokenizer.ggml.cls_token_id"},
	{"mask_token", "tokenizer.ggml.mask_token_id"},
}

// documents makes the files of a tokenizer, none where the file has no tokens.
func (m *model) documents() (map[hf.Part]*hf.Document, error) {
	name, err := m.text(modelKey)
	if err != nil || name == "" || name == "none" {
		return nil, err
	}
	i := -1
	var known []string
	for k, row := range tokenizerModels {
		known = append(known, row.name)
		if row.name == name {
			i = k
		}
	}
	if i < 0 {
		return nil, m.errorf(modelKey, "%q is not supported; supported are %q", name, known)
	}
	row := tokenizerModels[i]
	v, err := m.readVocabulary(row.specials, row.addBOS)
	if err != nil {
		return nil, err
	}
	part, file, err := row.make(v)
	if err != nil {
		return nil, err
	}
	config, err := v.config()
	if err != nil {
		return nil, err
	}
	return map[hf.Part]*hf.Document{part: file, hf.TokenizerConfig: {Name: "tokenizer_config.json", Data: config}}, nil
}

func (m *model) readVocabulary(specials map[string]int32, addBOS bool) (*vocabulary, error) {
	v := &vocabulary{metadata: m.metadata, special: map[string]int32{}}
	var err error
	if v.tokens, err = m.texts(tokensKey); err != nil {
		return nil, err
	}
	if len(v.tokens) == 0 {
		return nil, m.errorf(tokensKey, "is missing or empty")
	}
	for i, t := range v.tokens {
		if !utf8.ValidString(t) {
			return nil, m.errorf(tokensKey, "token %d is not UTF-8", i)
		}
	}
	kinds, err := m.numbers(typesKey)
	if err != nil {
		return nil, err
	}
	if kinds != nil && len(kinds) != len(v.tokens) {
		return nil, m.errorf(typesKey, "has %d entries, there are %d tokens", len(kinds), len(v.tokens))
	}
	v.kinds = slices.Repeat([]tokenKind{normalToken}, len(v.tokens))
	for i, k := range kinds {
		v.kinds[i] = tokenKind(k)
	}
	if v.addBOS, err = m.truth(addBOSKey, addBOS); err != nil {
		return nil, err
	}
	if v.addEOS, err = m.truth(addEOSKey, false); err != nil {
		return nil, err
	}
	return v, v.readSpecial(specials)
}

// readSpecial finds the tokens that have a key. As in llama.cpp, an id beyond the vocabulary counts as none.
func (v *vocabulary) readSpecial(specials map[string]int32) error {
	for _, row := range specialTokens {
		def := int64(-1)
		if id, ok := specials[row.name]; ok {
			def = int64(id)
		}
		id, err := v.integer(row.key, def)
		if err != nil {
			return err
		}
		if id >= 0 && id < int64(len(v.tokens)) {
			v.special[row.name] = int32(id)
		}
	}
	return nil
}

// name gives a special token's text, "" where there is none.
func (v *vocabulary) name(special string) string {
	if id, ok := v.special[special]; ok {
		return v.tokens[id]
	}
	return ""
}

// added is a token of the vocabulary that is found in texts as it is.
type added struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

func (v *vocabulary) added() []added {
	var list []added
	for i, k := range v.kinds {
		if (k == controlToken || k == userDefinedToken) && v.tokens[i] != "" {
			list = append(list, added{ID: i, Content: v.tokens[i], Special: k == controlToken})
		}
	}
	return list
}

// config makes tokenizer_config.json: names of tokens, whether texts begin or end with some, the chat templates.
func (v *vocabulary) config() ([]byte, error) {
	c := map[string]any{"add_bos_token": v.addBOS, "add_eos_token": v.addEOS, "clean_up_tokenization_spaces": false}
	for _, row := range specialTokens {
		if name := v.name(row.name); name != "" {
			c[row.name] = name
		}
	}
	prefix, err := v.truth(prefixKey, true)
	if err != nil {
		return nil, err
	}
	c["add_prefix_space"] = prefix
	if c["chat_template"], err = v.templates(); err != nil {
		return nil, err
	}
	if c["chat_template"] == nil {
		delete(c, "chat_template")
	}
	return json.Marshal(c)
}

// templates returns the one chat template, or a list of named ones, nil where there is none.
func (v *vocabulary) templates() (any, error) {
	main, err := v.text(templateKey)
	if err != nil {
		return nil, err
	}
	names, err := v.texts(templatesKey)
	if err != nil {
		return nil, err
	}
	if len(names) > maxTemplates {
		return nil, v.errorf(templatesKey, "names %d templates, at most %d are read", len(names), maxTemplates)
	}
	type named struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	var list []named
	if main != "" {
		list = append(list, named{"default", main})
	}
	for _, name := range names {
		text, err := v.text(templateKey + "." + name)
		if err != nil {
			return nil, err
		}
		if text != "" && name != "default" {
			list = append(list, named{name, text})
		}
	}
	switch {
	case len(list) == 0:
		return nil, nil
	case len(list) == 1 && main != "":
		return main, nil
	}
	return list, nil
}

// endKeys name tokens that end an answer.
var endKeys = []string{eosKey, "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}

// endNames are the tokens that end an answer wherever they are special: GGUF has no generation_config.json to list them.
var endNames = []string{
	"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "<|end_of_text|>", "<end_of_utterance>",
}

// copyTokens takes over which tokens begin and end texts.
func (m *model) copyTokens(s *settings) error {
	bos, err := m.integer(bosKey, -1)
	if err != nil {
		return err
	}
	if bos >= 0 && bos <= math.MaxInt32 {
		s.set("bos_token_id", bosKey, bos)
	}
	var ends []int64
	for _, key := range endKeys {
		id, err := m.integer(key, -1)
		if err != nil {
			return err
		}
		if id >= 0 && id <= math.MaxInt32 && !slices.Contains(ends, id) {
			ends = append(ends, id)
		}
	}
	tokens, err := m.texts(tokensKey)
	if err != nil {
		return err
	}
	kinds, err := m.numbers(typesKey)
	if err != nil {
		return err
	}
	for i := range min(len(kinds), len(tokens)) {
		if k := tokenKind(kinds[i]); (k == controlToken || k == userDefinedToken) && slices.Contains(endNames, tokens[i]) && !slices.Contains(ends, int64(i)) {
			ends = append(ends, int64(i))
		}
	}
	if len(ends) > 0 {
		s.set("eos_token_id", eosKey, ends)
	}
	return nil
}
