package compiler

import (
	"fmt"
	"maps"
	"slices"

	"llmc/compiler/hf"
	"llmc/engine"
	"llmc/internal/chat"
	"llmc/internal/template"
	"llmc/internal/tokenizer"
)

// checkpointParts are the files of a checkpoint that a plan keeps as they are, for people and for other software.
var checkpointParts = []struct {
	part hf.Part
	kind string
	name bool // the section bears the file's name
}{
	{hf.Tokenizer, engine.KindTokenizerFile, true},
	{hf.TokenizerConfig, engine.KindTokenizerFile, true},
	{hf.SpecialTokens, engine.KindTokenizerFile, true},
	{hf.AddedTokens, engine.KindTokenizerFile, true},
	{hf.SentencePiece, engine.KindTokenizerFile, true},
	{hf.Vocab, engine.KindTokenizerFile, true},
	{hf.Merges, engine.KindTokenizerFile, true},
	{hf.License, engine.KindLicense, false},
	{hf.ModelCard, engine.KindCard, false},
}

// documents reads the checkpoint's parts once.
type documents map[hf.Part]*hf.Document

func readDocuments(c *hf.Checkpoint) (documents, []engine.Content, error) {
	docs := documents{}
	var contents []engine.Content
	for _, row := range checkpointParts {
		d, err := c.Document(row.part)
		if err != nil {
			return nil, nil, err
		}
		if d == nil || row.part == hf.SentencePiece && docs[hf.Tokenizer] != nil { // which is what tokenizer.json was made from
			continue
		}
		docs[row.part] = d
		content := engine.Content{Kind: row.kind, Data: d.Data}
		if row.name {
			content.Name = d.Name
		}
		contents = append(contents, content)
	}
	for _, part := range []hf.Part{hf.ChatTemplate, hf.ChatTemplateJSON} {
		d, err := c.Document(part)
		if err != nil {
			return nil, nil, err
		}
		docs[part] = d
	}
	return docs, contents, nil
}

func (d documents) data(p hf.Part) []byte {
	if d[p] == nil {
		return nil
	}
	return d[p].Data
}

// tokenizerContent compiles the tokenizer; a checkpoint without one gives none.
func (d documents) tokenizerContent() (*engine.Content, *tokenizer.Tokenizer, error) {
	files := tokenizer.Files{
		JSON: d.data(hf.Tokenizer), Config: d.data(hf.TokenizerConfig), SpecialTokensMap: d.data(hf.SpecialTokens),
		SentencePiece: d.data(hf.SentencePiece), Vocab: d.data(hf.Vocab), Merges: d.data(hf.Merges),
	}
	if files.JSON == nil && files.SentencePiece == nil && (files.Vocab == nil || files.Merges == nil) {
		return nil, nil, nil
	}
	tok, err := tokenizer.Load(files)
	if err != nil {
		return nil, nil, fmt.Errorf("tokenizer: %w", err)
	}
	data, err := tok.Marshal()
	return &engine.Content{Kind: engine.KindTokenizer, Data: data}, tok, err
}

// templateContents takes in the chat templates and refuses those that do not parse, now rather than at the first request.
func (d documents) templateContents(c *hf.Checkpoint) ([]engine.Content, error) {
	named, err := c.NamedTemplates()
	if err != nil {
		return nil, err
	}
	templates, err := chat.Find(chat.Files{Config: d.data(hf.TokenizerConfig), Jinja: d.data(hf.ChatTemplate), JSON: d.data(hf.ChatTemplateJSON), Named: named})
	if err != nil {
		return nil, err
	}
	var contents []engine.Content
	for _, name := range slices.Sorted(maps.Keys(templates)) {
		if _, err := template.Parse(templates[name]); err != nil {
			return nil, fmt.Errorf("chat template %s: %w", name, err)
		}
		contents = append(contents, engine.Content{Kind: engine.KindTemplate, Name: name, Data: []byte(templates[name])})
	}
	return contents, nil
}
