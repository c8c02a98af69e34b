package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"llmc/internal/tokenizer/ucd"
)

// Checkpoints from before tokenizer.json have a vocabulary, merges, and a class in tokenizer_config.json that stands
// for the rest. The rows below say what transformers makes of each class.

const (
	byteLevelDecoding = `{"type":"ByteLevel"}`
	bertNormalizing   = `{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"lowercase":%t}`
	clipSplit         = `'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+`
	qwen2Split        = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`
)

// legacyRow is the pipeline of some classes; %t in a section takes the option beside it.
type legacyRow struct {
	classes       []string
	model         modelSpec
	normalizer    string
	preTokenizer  string
	decoder       string
	postProcessor func(c *configJSON, v *vocabulary) string
}

var (
	noString  = ""
	clipEnd   = "</w>"
	hashes    = "##"
	bertUnk   = "[UNK]"
	bertChars = 100
)

var legacyRows = []legacyRow{
	{
		classes:       []string{"", "GPT2Tokenizer", "GPT2TokenizerFast", "GPTNeoXTokenizer", "GPTNeoXTokenizerFast", "PreTrainedTokenizerFast"},
		model:         modelSpec{Type: "BPE", ContinuingSubwordPrefix: &noString, EndOfWordSuffix: &noString},
		preTokenizer:  `{"type":"ByteLevel","add_prefix_space":%t}`,
		decoder:       byteLevelDecoding,
		postProcessor: bosTemplate,
	},
	{
		classes:       []string{"RobertaTokenizer", "RobertaTokenizerFast", "BartTokenizer", "BartTokenizerFast", "LongformerTokenizer", "LongformerTokenizerFast"},
		model:         modelSpec{Type: "BPE", ContinuingSubwordPrefix: &noString, EndOfWordSuffix: &noString},
		preTokenizer:  `{"type":"ByteLevel","add_prefix_space":%t}`,
		decoder:       byteLevelDecoding,
		postProcessor: robertaWrap(func(c *configJSON) (namedToken, namedToken) { return c.Cls, c.Sep }),
	},
	{
		classes:      []string{"Qwen2Tokenizer", "Qwen2TokenizerFast"},
		model:        modelSpec{Type: "BPE", ContinuingSubwordPrefix: &noString, EndOfWordSuffix: &noString},
		normalizer:   `{"type":"NFC"}`,
		preTokenizer: `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"` + qwen2Split + `"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":%t,"use_regex":false}]}`,
		decoder:      byteLevelDecoding,
	},
	{
		classes:       []string{"CLIPTokenizer", "CLIPTokenizerFast"},
		model:         modelSpec{Type: "BPE", ContinuingSubwordPrefix: &noString, EndOfWordSuffix: &clipEnd},
		normalizer:    `{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Replace","pattern":{"Regex":"\\s+"},"content":" "},{"type":"Lowercase"}]}`,
		preTokenizer:  `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"` + clipSplit + `"},"behavior":"Removed","invert":true},{"type":"ByteLevel"}]}`,
		decoder:       byteLevelDecoding,
		postProcessor: robertaWrap(func(c *configJSON) (namedToken, namedToken) { return c.BOS, c.EOS }),
	},
	{
		classes:       []string{"BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "DistilBertTokenizerFast", "MobileBertTokenizer", "MobileBertTokenizerFast"},
		model:         modelSpec{Type: "WordPiece", UnkToken: &bertUnk, ContinuingSubwordPrefix: &hashes, MaxInputCharsPerWord: &bertChars},
		normalizer:    bertNormalizing,
		preTokenizer:  `{"type":"BertPreTokenizer"}`,
		decoder:       `{"type":"WordPiece","prefix":"##","cleanup":true}`,
		postProcessor: bertTemplate,
	},
}

// parseVocabularyFiles builds a definition from vocab.json and merges.txt, or from vocab.txt.
func parseVocabularyFiles(files Files) (*definition, error) {
	config, err := readConfigs(files)
	if err != nil {
		return nil, err
	}
	if config.Class == "" && files.Merges == nil {
		config.Class = "BertTokenizer"
	}
	i := slices.IndexFunc(legacyRows, func(r legacyRow) bool { return slices.Contains(r.classes, config.Class) })
	if i < 0 {
		return nil, fmt.Errorf("tokenizer class %.40q needs a tokenizer.json: save the checkpoint with a fast tokenizer", config.Class)
	}
	row := legacyRows[i]
	d := &definition{}
	d.spec.Model = row.model
	if row.model.Type == "BPE" && config.UNK.set && row.model.EndOfWordSuffix == &clipEnd {
		d.spec.Model.UnkToken = &config.UNK.spec.Content
	}
	if d.vocab, err = parseVocabFile(files.Vocab); err != nil {
		return nil, err
	}
	if row.model.Type == "BPE" {
		if d.merges, err = parseMergesText(files.Merges, d.vocab); err != nil {
			return nil, err
		}
	}
	lower := config.DoLowerCase == nil || *config.DoLowerCase
	d.spec.Normalizer = optioned(row.normalizer, lower)
	d.spec.PreTokenizer = optioned(row.preTokenizer, config.AddPrefixSpace)
	d.spec.Decoder = optioned(row.decoder, false)
	d.addSpecials(config)
	if row.postProcessor != nil {
		d.spec.PostProcessor = optioned(row.postProcessor(config, d.vocab), false)
	}
	return d, d.addFromConfig(files.Config)
}

func optioned(section string, option bool) json.RawMessage {
	if section == "" {
		return nil
	}
	return json.RawMessage(strings.ReplaceAll(section, "%t", fmt.Sprint(option)))
}

// readConfigs merges special_tokens_map.json and tokenizer_config.json; the latter wins.
func readConfigs(files Files) (*configJSON, error) {
	var config configJSON
	for _, f := range []struct {
		name string
		data []byte
	}{{"special_tokens_map.json", files.SpecialTokensMap}, {"tokenizer_config.json", files.Config}} {
		if f.data == nil {
			continue
		}
		if err := json.Unmarshal(f.data, &config); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, shortError(err))
		}
	}
	return &config, nil
}

// addSpecials adds the tokens that the configuration names, unless added_tokens_decoder describes them.
func (d *definition) addSpecials(c *configJSON) {
	described := map[string]bool{}
	for _, a := range c.AddedTokens {
		described[orEmpty(a.Content)] = true
	}
	for _, t := range append([]namedToken{c.BOS, c.EOS, c.UNK, c.Sep, c.Pad, c.Cls, c.Mask}, c.AdditionalSpecial...) {
		if t.set && !described[t.spec.Content] {
			described[t.spec.Content] = true
			d.spec.AddedTokens = append(d.spec.AddedTokens, t.spec)
		}
	}
}

// parseVocabFile reads vocab.json, or vocab.txt with one token a line.
func parseVocabFile(data []byte) (*vocabulary, error) {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(data) {
		return parseVocabulary(data)
	}
	var entries []entry
	at := map[string]int{}
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		token := strings.TrimRightFunc(line, ucd.IsSpace)
		if k, ok := at[token]; ok { // of equal lines the last counts
			entries[k].id = int32(i)
			continue
		}
		at[token] = len(entries)
		entries = append(entries, entry{token, int32(i)})
	}
	return newVocabulary(entries)
}

// parseMergesText reads merges.txt: one "left right" a line.
func parseMergesText(data []byte, v *vocabulary) ([]merge, error) {
	if data == nil {
		return nil, fmt.Errorf("merges.txt is missing")
	}
	var list mergeList
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || strings.HasPrefix(line, "#version") {
			continue
		}
		if err := list.addLine(line, v, 0); err != nil {
			return nil, fmt.Errorf("merges.txt line %d: %w", i+1, err)
		}
	}
	return list, nil
}

// tokenJSON gives a token and its id as JSON; an unknown one gives false.
func tokenJSON(t namedToken, v *vocabulary) (name string, id int32, ok bool) {
	id, ok = v.id(t.spec.Content)
	quoted, _ := json.Marshal(t.spec.Content)
	return string(quoted), id, ok && t.set
}

// bosTemplate starts texts with the beginning-of-sequence token where the configuration asks for it.
func bosTemplate(c *configJSON, v *vocabulary) string {
	bos, id, ok := tokenJSON(c.BOS, v)
	if !ok || !c.AddBOS {
		return ""
	}
	start := fmt.Sprintf(`{"SpecialToken":{"id":%s,"type_id":0}},{"Sequence":{"id":"A","type_id":0}}`, bos)
	return fmt.Sprintf(`{"type":"TemplateProcessing","single":[%s],"pair":[%s,{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{%s:{"ids":[%d]}}}`, start, start, bos, id)
}

func robertaWrap(ends func(*configJSON) (namedToken, namedToken)) func(*configJSON, *vocabulary) string {
	return func(c *configJSON, v *vocabulary) string {
		first, last := ends(c)
		cls, clsID, ok := tokenJSON(first, v)
		sep, sepID, ok2 := tokenJSON(last, v)
		if !ok || !ok2 {
			return ""
		}
		return fmt.Sprintf(`{"type":"RobertaProcessing","sep":[%s,%d],"cls":[%s,%d]}`, sep, sepID, cls, clsID)
	}
}

func bertTemplate(c *configJSON, v *vocabulary) string {
	cls, clsID, ok := tokenJSON(c.Cls, v)
	sep, sepID, ok2 := tokenJSON(c.Sep, v)
	if !ok || !ok2 {
		return ""
	}
	return fmt.Sprintf(`{"type":"BertProcessing","sep":[%s,%d],"cls":[%s,%d]}`, sep, sepID, cls, clsID)
}
