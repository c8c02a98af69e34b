package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// Files are the contents of the files of a tokenizer; those that a checkpoint lacks are nil. JSON is tokenizer.json,
// Config tokenizer_config.json, SpecialTokensMap special_tokens_map.json; SentencePiece (tokenizer.model), or else Vocab (vocab.json, or
// vocab.txt of BERT) and Merges (merges.txt) are read only where there is no JSON.
type Files struct{ JSON, Config, SpecialTokensMap, SentencePiece, Vocab, Merges []byte }

// fileNames gives where each of the files lies in a directory, first choice first.
func (f *Files) fileNames() []struct {
	names []string
	to    *[]byte
} {
	return []struct {
		names []string
		to    *[]byte
	}{
		{[]string{"tokenizer.json"}, &f.JSON},
		{[]string{"tokenizer_config.json"}, &f.Config},
		{[]string{"special_tokens_map.json"}, &f.SpecialTokensMap},
		{[]string{"tokenizer.model"}, &f.SentencePiece},
		{[]string{"vocab.json", "vocab.txt"}, &f.Vocab},
		{[]string{"merges.txt"}, &f.Merges},
	}
}

// LoadDir reads the files of a directory and loads them.
func LoadDir(dir string) (*Tokenizer, Files, error) {
	var files Files
	for _, f := range files.fileNames() {
		for _, name := range f.names {
			data, err := readFile(filepath.Join(dir, name))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, Files{}, err
			}
			*f.to = data
			break
		}
	}
	t, err := Load(files)
	if err != nil {
		return nil, Files{}, fmt.Errorf("%s: %w", dir, err)
	}
	return t, files, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s: larger than %d MiB", path, maxFile>>20)
	}
	return data, err
}

// Load builds a tokenizer from the contents of its files.
func Load(files Files) (*Tokenizer, error) {
	for _, f := range files.fileNames() {
		if len(*f.to) > maxFile {
			return nil, fmt.Errorf("%s: larger than %d MiB", f.names[0], maxFile>>20)
		}
		if f.to != &files.SentencePiece && !utf8.Valid(*f.to) {
			return nil, fmt.Errorf("%s: not UTF-8", f.names[0])
		}
	}
	var d *definition
	var err error
	name := "tokenizer.json"
	switch {
	case files.JSON != nil:
		d, err = parseTokenizerJSON(files.JSON)
	case files.SentencePiece != nil:
		name = "tokenizer.model"
		d, err = parseSentencePiece(files)
	case files.Vocab != nil:
		name = "vocabulary without tokenizer.json"
		d, err = parseVocabularyFiles(files)
	default:
		return nil, errors.New("no tokenizer.json (and no tokenizer.model or vocab.json): save the checkpoint with a fast tokenizer")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if files.JSON != nil {
		if err := d.addFromConfig(files.Config); err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	t, err := assemble(d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// tokenizerJSON is the layout of tokenizer.json.
type tokenizerJSON struct {
	Version       *string         `json:"version"`
	Truncation    *truncation     `json:"truncation"`
	Padding       *padding        `json:"padding"`
	AddedTokens   []addedJSON     `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

// addedJSON is an added token in the file; the flags may be missing.
type addedJSON struct {
	Content    *string `json:"content"`
	SingleWord bool    `json:"single_word"`
	Lstrip     bool    `json:"lstrip"`
	Rstrip     bool    `json:"rstrip"`
	Normalized *bool   `json:"normalized"`
	Special    bool    `json:"special"`
}

func (a addedJSON) spec() (addedSpec, error) {
	if a.Content == nil {
		return addedSpec{}, errors.New("content is missing")
	}
	normalized := !a.Special
	if a.Normalized != nil {
		normalized = *a.Normalized
	}
	return addedSpec{*a.Content, a.SingleWord, a.Lstrip, a.Rstrip, normalized, a.Special}, nil
}

// truncation and padding are settings for batches. A server neither cuts nor pads what it is given, so they are
// checked and then not used.
type truncation struct {
	MaxLength *uint64 `json:"max_length"`
	Stride    uint64
}

type padding struct {
	PadID     uint32 `json:"pad_id"`
	PadTypeID uint32 `json:"pad_type_id"`
	PadToken  string `json:"pad_token"`
}

func parseTokenizerJSON(data []byte) (*definition, error) {
	var file tokenizerJSON
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, shortError(err)
	}
	if file.Version != nil && *file.Version != "1.0" {
		return nil, fmt.Errorf("unknown version %.40q", *file.Version)
	}
	if t := file.Truncation; t != nil && (t.MaxLength == nil || t.Stride > *t.MaxLength) {
		return nil, errors.New("truncation: max_length is missing or less than stride")
	}
	d, err := parseModel(file.Model)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	for i, a := range file.AddedTokens {
		s, err := a.spec()
		if err != nil {
			return nil, fmt.Errorf("added token %d: %w", i, err)
		}
		d.spec.AddedTokens = append(d.spec.AddedTokens, s)
	}
	for _, section := range []struct {
		name string
		from json.RawMessage
		to   *json.RawMessage
	}{
		{"normalizer", file.Normalizer, &d.spec.Normalizer},
		{"pre_tokenizer", file.PreTokenizer, &d.spec.PreTokenizer},
		{"post_processor", file.PostProcessor, &d.spec.PostProcessor},
		{"decoder", file.Decoder, &d.spec.Decoder},
	} {
		if present(section.from) {
			*section.to = bytes.Clone(section.from)
		}
	}
	return d, nil
}
