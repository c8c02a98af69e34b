package gguf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"llmc/compiler/hf"
)

// preRow is how texts are cut into words: one or more values of tokenizer.ggml.pre. GGUF has the name alone; the sections are those of the tokenizer.json
// of the models that it stands for.
type preRow struct {
	names        []string
	normalizer   string
	steps        []string // of the pre-tokenizer
	ignoreMerges bool     // a word that is a token is that token
	addBOS       bool     // unless a key tells
}

const (
	nfc          = `{"type":"NFC"}`
	bytesOnly    = `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}`
	bytesOfWords = `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}`
	singleDigits = `{"type":"Digits","individual_digits":true}`
)

// Patterns that several rows share; those of GPT-4 and its relatives differ in how many digits go together.
const (
	gpt4Digits3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	gpt4Digits1 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	gpt4o       = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	tekken      = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	deepseek3   = `[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` + "`" + `{|}~][A-Za-z]+|[^` + "\r\n" + `\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[` + "\r\n" + `]*|\s*[` + "\r\n" + `]+|\s+(?!\S)|\s+`
	bloomWords  = ` ?[^(\s|[.,!?…。，、।۔،])]+`
)

var preRows = []preRow{
	{names: []string{"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "mellum", "modern-bert", "exaone4"}, steps: []string{bytesOfWords}},
	{names: []string{"olmo", "jais", "mpt"}, normalizer: nfc, steps: []string{bytesOfWords}},
	{names: []string{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"}, steps: []string{singleDigits, bytesOfWords}},
	{names: []string{"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "lfm2"}, steps: []string{regex(gpt4Digits3), bytesOnly}, ignoreMerges: true, addBOS: true},
	{names: []string{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, steps: []string{regex(gpt4Digits3), bytesOnly}},
	{names: []string{"qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan", "kormo"}, normalizer: nfc, steps: []string{regex(gpt4Digits1), bytesOnly}},
	{names: []string{"gpt-4o", "llama4", "kanana2"}, steps: []string{regex(gpt4o), bytesOnly}, ignoreMerges: true},
	{names: []string{"tekken"}, steps: []string{regex(tekken), bytesOnly}, ignoreMerges: true, addBOS: true},
	{names: []string{"deepseek-v3"}, steps: []string{regex(`\p{N}{1,3}`), regex(`[一-龥぀-ゟ゠-ヿ]+`), regex(deepseek3), bytesOnly}},
	{names: []string{"bloom", "poro-chat", "gpt3-finnish"}, steps: []string{regex(bloomWords), bytesOnly}},
	{names: []string{"falcon"}, steps: []string{`{"type":"Punctuation","behavior":"Contiguous"}`, bytesOfWords, `{"type":"Digits","individual_digits":false}`, regex(`[0-9][0-9][0-9]`)}},
}

// regex is the step that cuts out what a pattern matches.
func regex(pattern string) string {
	quoted, _ := json.Marshal(pattern)
	return fmt.Sprintf(`{"type":"Split","pattern":{"Regex":%s},"behavior":"Isolated","invert":false}`, quoted)
}

func (v *vocabulary) findPre() (*preRow, error) {
	name, err := v.text(preKey)
	if err != nil {
		return nil, err
	}
	var known []string
	for i := range preRows {
		if slices.Contains(preRows[i].names, name) {
			return &preRows[i], nil
		}
		known = append(known, preRows[i].names...)
	}
	if name == "" {
		return nil, v.errorf(preKey, "is missing, so how texts are cut into words is not known: convert the model again with a newer converter")
	}
	return nil, v.errorf(preKey, "%q is not supported; supported are %s", name, strings.Join(known, ", "))
}

// byteLevel makes tokenizer.json of tokens with merges.
func (v *vocabulary) byteLevel() (hf.Part, *hf.Document, error) {
	row, err := v.findPre()
	if err != nil {
		return 0, nil, err
	}
	if v.addBOS, err = v.truth(addBOSKey, row.addBOS); err != nil {
		return 0, nil, err
	}
	merges, err := v.texts(mergesKey)
	if err != nil {
		return 0, nil, err
	}
	if merges == nil {
		return 0, nil, v.errorf(mergesKey, "is missing")
	}
	null := json.RawMessage("null")
	normalizer := null
	if row.normalizer != "" {
		normalizer = json.RawMessage(row.normalizer)
	}
	model := map[string]any{
		"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
		"fuse_unk": false, "byte_fallback": false, "ignore_merges": row.ignoreMerges, "vocab": v.ids(), "merges": merges,
	}
	data, err := json.Marshal(map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": v.added(), "normalizer": normalizer,
		"pre_tokenizer":  json.RawMessage(`{"type":"Sequence","pretokenizers":[` + strings.Join(row.steps, ",") + `]}`),
		"post_processor": v.template(), "decoder": json.RawMessage(bytesOfWords), "model": model,
	})
	return hf.Tokenizer, &hf.Document{Name: "tokenizer.json", Data: data}, err
}

// ids writes the vocabulary as an object in order of ids. Tokens that fill it up to the size of the embedding are left out.
func (v *vocabulary) ids() json.RawMessage {
	var b bytes.Buffer
	for i, t := range v.tokens {
		if v.kinds[i] == unusedToken {
			continue
		}
		quoted, _ := json.Marshal(t)
		b.WriteByte("{,"[min(b.Len(), 1)])
		b.Write(quoted)
		fmt.Fprintf(&b, ":%d", i)
	}
	if b.Len() == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes()
}

// template makes the post-processor that puts special tokens around texts, null where there are none.
func (v *vocabulary) template() any {
	type object = map[string]any
	specials := object{}
	token := func(name string, wanted bool, kind int) []any {
		id, ok := v.special[name]
		if !ok || !wanted {
			return nil
		}
		text := v.tokens[id]
		specials[text] = object{"id": text, "ids": []int32{id}, "tokens": []string{text}}
		return []any{object{"SpecialToken": object{"id": text, "type_id": kind}}}
	}
	around := func(sequence string, kind int) []any {
		middle := []any{object{"Sequence": object{"id": sequence, "type_id": kind}}}
		return slices.Concat(token("bos_token", v.addBOS, kind), middle, token("eos_token", v.addEOS, kind))
	}
	single, second := around("A", 0), around("B", 1)
	if len(specials) == 0 {
		return nil
	}
	return object{"type": "TemplateProcessing", "single": single, "pair": slices.Concat(single, second), "special_tokens": specials}
}
