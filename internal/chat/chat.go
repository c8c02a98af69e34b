// Package chat lays conversations out as prompts: it picks the chat template of a checkpoint or plan and gives it the
// variables that transformers would. The template language itself is package template's.
package chat

import (
	"errors"
	"fmt"
	"time"

	"llmc/internal/template"
)

// Templates are the sources of a model's chat templates by name. "default" is used unless tools are given and there is a "tool_use".
type Templates map[string]string

// Names of templates that have a meaning.
const (
	Default = "default"
	ToolUse = "tool_use"
)

// ErrNoTemplate is returned for models that have no chat template.
var ErrNoTemplate = errors.New("the model has no chat template")

var errNoDefault = errors.New("the model has a chat template for tools alone: give tools")

// Files are the files of a checkpoint that templates and their variables come from; nil ones are absent.
type Files struct {
	Config           []byte            // tokenizer_config.json
	SpecialTokensMap []byte            // special_tokens_map.json
	Jinja            []byte            // chat_template.jinja
	JSON             []byte            // chat_template.json, which is read where there is no chat_template.jinja
	Named            map[string]string // additional_chat_templates/NAME.jinja, by NAME
}

// Find returns the chat templates of a checkpoint; none is no error. As in transformers, those in files of their own replace those in
// tokenizer_config.json.
func Find(f Files) (Templates, error) {
	found := Templates{}
	if f.JSON != nil && f.Jinja == nil {
		source, err := fromJSON(f.JSON)
		if err != nil {
			return nil, err
		}
		f.Jinja = []byte(source)
	}
	if f.Jinja != nil {
		found[Default] = string(f.Jinja)
	}
	if source, ok := f.Named[ToolUse]; ok {
		found[ToolUse] = source
	}
	if f.Jinja != nil || len(f.Named) > 0 {
		return found, nil
	}
	var first error
	for _, name := range []string{Default, ToolUse} {
		source, _, err := template.FromConfig(f.Config, nil, name)
		switch {
		case errors.Is(err, template.ErrNoTemplate):
			return found, nil
		case err != nil && first == nil:
			first = fmt.Errorf("chat template: %w", err)
		case source != "" && source != found[Default]:
			found[name] = source
		}
	}
	if len(found) == 0 {
		return nil, first
	}
	return found, nil
}

// Renderer renders the chat templates of one model. It may be used by several goroutines.
type Renderer struct {
	templates map[string]*template.Template
	special   map[string]string // bos_token, eos_token, ...
}

// NewRenderer parses templates. Of the files it reads those that name special tokens.
func NewRenderer(templates Templates, f Files) (*Renderer, error) {
	if len(templates) == 0 {
		return nil, ErrNoTemplate
	}
	r := &Renderer{templates: map[string]*template.Template{}}
	for name, source := range templates {
		t, err := template.Parse(source)
		if err != nil {
			return nil, fmt.Errorf("chat template %s: %w", name, err)
		}
		r.templates[name] = t
	}
	var err error
	r.special, err = template.SpecialTokens(f.Config, f.SpecialTokensMap)
	return r, err
}

// Prompt is a conversation. The byte slices are JSON; nil stands for None.
type Prompt struct {
	Messages, Tools, Documents []byte
	Kwargs                     []byte // object of further variables
	AddGenerationPrompt        bool
	Now                        time.Time // what strftime_now sees
}

// Render returns the prompt's text.
func (r *Renderer) Render(p Prompt) (string, error) {
	c := template.Context{AddGenerationPrompt: p.AddGenerationPrompt, SpecialTokens: r.special, Now: p.Now}
	for _, part := range []struct {
		name string
		json []byte
		dst  *template.Value
	}{{"messages", p.Messages, &c.Messages}, {"tools", p.Tools, &c.Tools}, {"documents", p.Documents, &c.Documents}, {"kwargs", p.Kwargs, &c.Kwargs}} {
		if part.json == nil {
			continue
		}
		v, err := template.DecodeJSON(part.json)
		if err != nil {
			return "", fmt.Errorf("%s: %w", part.name, err)
		}
		*part.dst = v
	}
	t := r.templates[Default]
	if tool := r.templates[ToolUse]; tool != nil && p.Tools != nil {
		t = tool
	}
	if t == nil {
		return "", errNoDefault
	}
	return t.Render(c)
}
