package hf

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Part is a kind of file that travels with the weights.
type Part int

// The parts of a checkpoint that a plan takes in.
const (
	Tokenizer       Part = iota // vocabulary, merges, normalizer, pre-tokenizer, post-processor
	TokenizerConfig             // special tokens, flags, often the chat template
	SpecialTokens
	AddedTokens
	SentencePiece
	Vocab
	Merges
	ChatTemplate     // Jinja text
	ChatTemplateJSON // the same inside JSON, as processors store it
	Preprocessor     // how images are prepared
	Processor        // the same inside what else a processor stores
	License
	ModelCard
)

// parts lists the names of each part in order of preference. Patterns are compared without regard to case.
var parts = [...]struct {
	patterns []string
	maxBytes int64
}{
	Tokenizer:        {[]string{"tokenizer.json"}, 256 << 20},
	TokenizerConfig:  {[]string{"tokenizer_config.json"}, 64 << 20},
	SpecialTokens:    {[]string{"special_tokens_map.json"}, 16 << 20},
	AddedTokens:      {[]string{"added_tokens.json"}, 16 << 20},
	SentencePiece:    {[]string{"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}, 64 << 20},
	Vocab:            {[]string{"vocab.json", "vocab.txt"}, 64 << 20},
	Merges:           {[]string{"merges.txt"}, 64 << 20},
	ChatTemplate:     {[]string{"chat_template.jinja"}, 4 << 20},
	ChatTemplateJSON: {[]string{"chat_template.json"}, 4 << 20},
	Preprocessor:     {[]string{"preprocessor_config.json"}, 4 << 20},
	Processor:        {[]string{"processor_config.json"}, 4 << 20},
	License:          {[]string{"license", "license.*", "licence", "licence.*", "license*", "copying*"}, 1 << 20},
	ModelCard:        {[]string{"readme.md"}, 4 << 20},
}

// templateDir holds further chat templates, named after their purpose.
const templateDir = "additional_chat_templates"

// maxTemplates bounds the files of templateDir.
const maxTemplates = 256

// Document is one file of a checkpoint, read whole.
type Document struct {
	Name string // inside the checkpoint's directory, with slashes
	Data []byte
}

// Document returns a part of the checkpoint, nil when it has none.
func (c *Checkpoint) Document(p Part) (*Document, error) {
	if c.container != nil {
		return c.container.Documents[p], nil
	}
	name := c.partName(p)
	if name == "" {
		return nil, nil
	}
	data, err := readSmall(c.Dir, name, parts[p].maxBytes)
	if err != nil {
		return nil, err
	}
	return &Document{name, data}, nil
}

// partName returns the file that is the part, "" when there is none.
func (c *Checkpoint) partName(p Part) string {
	for _, pattern := range parts[p].patterns {
		for _, name := range c.files {
			if ok, _ := path.Match(pattern, strings.ToLower(name)); ok {
				return name
			}
		}
	}
	return ""
}

// NamedTemplates returns the chat templates of the checkpoint besides the main one that are files of their own, by name; nil when there are none.
func (c *Checkpoint) NamedTemplates() (map[string]string, error) {
	if c.container != nil {
		return nil, nil
	}
	return NamedTemplates(c.Dir)
}

// NamedTemplates returns the chat templates of the directory dir besides the main one, by name; nil when there are none.
func NamedTemplates(dir string) (map[string]string, error) {
	var templates map[string]string
	for _, name := range extraTemplateNames(dir) {
		data, err := readSmall(dir, name, parts[ChatTemplate].maxBytes)
		if err != nil {
			return nil, err
		}
		if templates == nil {
			templates = map[string]string{}
		}
		templates[strings.TrimSuffix(path.Base(name), ".jinja")] = string(data)
	}
	return templates, nil
}

func extraTemplateNames(dir string) []string {
	names, err := listFiles(filepath.Join(dir, templateDir))
	if err != nil || len(names) > maxTemplates {
		return nil
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".jinja") })
	for i := range names {
		names[i] = path.Join(templateDir, names[i])
	}
	return names
}

// readSmall reads a regular file of at most most bytes.
func readSmall(dir, name string, most int64) ([]byte, error) {
	f, size, err := openRegular(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > most {
		return nil, fileError(name, "%d bytes, at most %d", size, most)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fileError(name, "%w", cause(err))
	}
	return data, nil
}

// readOptional is readSmall for a file that may be absent; it then returns nil.
func readOptional(dir, name string, most int64) ([]byte, error) {
	if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return readSmall(dir, name, most)
}
