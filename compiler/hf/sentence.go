package hf

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// Files of sentence-transformers.
const (
	modulesFile = "modules.json" // what comes behind the transformer
	promptsFile = "config_sentence_transformers.json"
	lengthFile  = "sentence_bert_config.json"
)

// Sentence is how sentence-transformers makes an embedding of what a transformer gives.
type Sentence struct {
	Pooling   string // "mean", "first" or "last"
	Normalize bool
	Length    int      // tokens of a text at most; 0: as many as the model takes
	Prompts   []Prompt // what texts are preceded by, in order of the file
	Default   string   // name of the prompt that is taken where none is named; ""
	files     []string
}

// Prompt is a text that precedes others.
type Prompt struct{ Name, Text string }

// maxPrompts bounds the prompts of a checkpoint.
const maxPrompts = 4096

// readSentence reads the files of sentence-transformers, nil where there are none.
func readSentence(dir string) (*Sentence, error) {
	list, err := readModules(dir)
	if err != nil || list == nil {
		return nil, err
	}
	s := &Sentence{files: []string{modulesFile}}
	for i, m := range list {
		kind := m.TextOr("type", "")
		kind = kind[strings.LastIndex(kind, ".")+1:]
		read, known := sentenceModules[kind]
		if !known {
			m.Fail("type", "module %q is not supported; known are Transformer, Pooling and Normalize", kind)
		}
		if first := kind == "Transformer"; first != (i == 0) && m.Err() == nil {
			m.Fail("type", "module %d is %s; a Transformer comes first, and only there", i, kind)
		}
		if err := m.Err(); err != nil {
			return nil, err
		}
		if err := read(s, dir, m); err != nil {
			return nil, err
		}
	}
	if s.Pooling == "" {
		return nil, fileError(modulesFile, "has no module Pooling, without which there is no embedding of a text")
	}
	if err := s.readLength(dir); err != nil {
		return nil, err
	}
	return s, s.readPrompts(dir)
}

// readModules reads modules.json, which is a list; nil where it is absent.
func readModules(dir string) ([]*Fields, error) {
	text, err := readOptional(dir, modulesFile, maxConfigBytes)
	if err != nil || text == nil {
		return nil, err
	}
	r := newJSONReader(modulesFile, bytes.NewReader(text), maxJSONValues)
	v, err := r.value(nil, "", 0)
	if err != nil {
		return nil, err
	}
	items, ok := v.([]any)
	if !ok || len(items) == 0 {
		return nil, fileError(modulesFile, "holds %s instead of a list of modules", jsonKind(v))
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	var list []*Fields
	for i, item := range items {
		o, ok := item.(*Object)
		if !ok {
			return nil, fileError(modulesFile, "entry %d is %s instead of an object", i, jsonKind(item))
		}
		list = append(list, o.Fields())
	}
	return list, nil
}

// sentenceModules are the modules that embeddings can be made with.
var sentenceModules = map[string]func(s *Sentence, dir string, m *Fields) error{
	"Transformer": func(*Sentence, string, *Fields) error { return nil },
	"Pooling":     (*Sentence).readPooling,
	"Normalize": func(s *Sentence, _ string, m *Fields) error {
		if s.Pooling == "" {
			m.Fail("type", "Normalize comes before Pooling")
		}
		s.Normalize = true
		return m.Err()
	},
}

// poolingModes are the keys of a Pooling module's config.json that choose how rows become one; "" is one that is not supported.
var poolingModes = []struct{ key, mode string }{
	{"pooling_mode_cls_token", "first"}, {"pooling_mode_mean_tokens", "mean"}, {"pooling_mode_lasttoken", "last"},
	{"pooling_mode_max_tokens", ""}, {"pooling_mode_mean_sqrt_len_tokens", ""}, {"pooling_mode_weightedmean_tokens", ""},
}

// poolingNames are what newer files call the modes.
var poolingNames = map[string]string{"cls": "first", "mean": "mean", "lasttoken": "last"}

func (s *Sentence) readPooling(dir string, m *Fields) error {
	where := path.Clean(m.TextOr("path", ""))
	if m.Err() == nil && (s.Pooling != "" || s.Normalize) {
		m.Fail("type", "Pooling comes twice, or behind Normalize")
	}
	if strings.ContainsAny(where, `/\`) || where == "." || where == ".." {
		m.Fail("path", "%q is not the name of a directory beside %s", clip(where), modulesFile)
	}
	if err := m.Err(); err != nil {
		return err
	}
	name := path.Join(where, ConfigFile)
	obj, err := readObject(dir, name)
	if err != nil {
		return err
	}
	if obj == nil {
		return fileError(name, "is missing; %s names it", modulesFile)
	}
	s.files = append(s.files, name)
	f := obj.Fields()
	if mode := f.TextOr("pooling_mode", ""); mode != "" {
		if s.Pooling = poolingNames[mode]; s.Pooling == "" {
			f.Fail("pooling_mode", "%q is not supported; known are cls, mean and lasttoken", clip(mode))
		}
	}
	for _, row := range poolingModes {
		switch on := f.BoolOr(row.key, false); {
		case !on:
		case row.mode == "":
			f.Fail(row.key, "is not supported; known are the first token, the mean and the last token")
		case s.Pooling != "" && s.Pooling != row.mode:
			f.Fail(row.key, "is set beside another mode; embeddings of several are not supported")
		default:
			s.Pooling = row.mode
		}
	}
	if s.Pooling == "" {
		f.Fail("pooling_mode_mean_tokens", "no pooling mode is set")
	}
	if !f.BoolOr("include_prompt", true) {
		f.Fail("include_prompt", "false is not supported: prompts are pooled with the text")
	}
	return f.Err()
}

// readLength reads how many tokens a text may have.
func (s *Sentence) readLength(dir string) error {
	obj, err := readObject(dir, lengthFile)
	if err != nil || obj == nil {
		return err
	}
	s.files = append(s.files, lengthFile)
	f := obj.Fields()
	s.Length = int(f.IntOr("max_seq_length", 0, 1, 1<<30))
	if f.BoolOr("do_lower_case", false) {
		f.Fail("do_lower_case", "true is not supported: lower case is for the tokenizer to make")
	}
	return f.Err()
}

// readPrompts reads the prompts of texts.
func (s *Sentence) readPrompts(dir string) error {
	obj, err := readObject(dir, promptsFile)
	if err != nil || obj == nil {
		return err
	}
	s.files = append(s.files, promptsFile)
	f := obj.Fields()
	if prompts := f.Object("prompts"); prompts != nil {
		for _, name := range prompts.Keys() {
			s.Prompts = append(s.Prompts, Prompt{name, prompts.Text(name)})
		}
		if len(s.Prompts) > maxPrompts {
			f.Fail("prompts", "%d of them, at most %d", len(s.Prompts), maxPrompts)
		}
	}
	s.Default = f.TextOr("default_prompt_name", "")
	if s.Default != "" && !slices.ContainsFunc(s.Prompts, func(p Prompt) bool { return p.Name == s.Default }) {
		f.Fail("default_prompt_name", "there is no prompt %q", clip(s.Default))
	}
	return f.Err()
}
