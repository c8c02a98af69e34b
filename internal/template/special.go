package template

import (
	"fmt"
	"slices"
	"strings"
)

// classTokens are the special tokens of transformers' classes for tokenizers whose configuration does not mention them.
var classTokens = []struct {
	classes []string
	tokens  map[string]string
}{
	{[]string{"LlamaTokenizer", "LlamaTokenizerFast"}, map[string]string{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}},
	{
		[]string{"Qwen2Tokenizer", "Qwen2TokenizerFast"},
		map[string]string{"eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
	},
	{
		[]string{"GPT2Tokenizer", "GPT2TokenizerFast"},
		map[string]string{"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"},
	},
}

// SpecialTokens collects the tokens that become variables of a template: every bos_token, eos_token, image_token and so on of
// tokenizer_config.json that is text, those that a model names itself, and what the tokenizer's class adds. As in transformers,
// special_tokens_map.json overrides them where tokenizer_config.json is of the time before added_tokens_decoder. Either file may be nil.
func SpecialTokens(tokenizerConfig, specialTokensMap []byte) (map[string]string, error) {
	config, err := decodeObject("tokenizer_config.json", tokenizerConfig)
	if err != nil {
		return nil, err
	}
	special := map[string]string{}
	class, _ := textOf(config, "tokenizer_class")
	for _, row := range classTokens {
		for name, token := range row.tokens {
			if _, given := Lookup(config, name); !given && slices.Contains(row.classes, class) {
				special[name] = token
			}
		}
	}
	addSpecialTokens(special, config)
	if _, ok := Lookup(config, "added_tokens_decoder"); !ok {
		named, err := decodeObject("special_tokens_map.json", specialTokensMap)
		if err != nil {
			return nil, err
		}
		addSpecialTokens(special, named)
	}
	return special, nil
}

func addSpecialTokens(special map[string]string, config *dictValue) {
	for _, e := range config.entries {
		name, _ := asText(e.key)
		if token, ok := tokenText(e.value); ok && strings.HasSuffix(name, "_token") {
			special[name] = token
		}
	}
	for _, group := range []string{"extra_special_tokens", "model_specific_special_tokens"} {
		named, _ := Lookup(config, group)
		d, ok := named.(*dictValue)
		if !ok {
			continue // a list of further tokens has no names
		}
		for _, e := range d.entries {
			name, _ := asText(e.key)
			if token, ok := tokenText(e.value); ok {
				special[name] = token
			}
		}
	}
}

// tokenText reads a token, which is a string or an AddedToken object.
func tokenText(v Value) (string, bool) {
	if content, ok := Lookup(v, "content"); ok {
		v = content
	}
	return Text(v)
}

// decodeObject reads a file that holds an object; an absent file counts as an empty one.
func decodeObject(name string, data []byte) (*dictValue, error) {
	if len(data) == 0 {
		return Object().(*dictValue), nil
	}
	v, err := DecodeJSON(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d, ok := v.(*dictValue)
	if !ok {
		return nil, fmt.Errorf("%s: want an object, got %s", name, v.typeName())
	}
	return d, nil
}
