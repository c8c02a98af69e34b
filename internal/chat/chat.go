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

// Find returns the chat templates of a checkpoint directory, given its tokenizer_config.json and chat_template.jinja (either may be
// nil); none is no error.
func Find(tokenizerConfig, chatTemplate []byte) (Templates, error) {
	found := Templates{}
	for _, name := range []string{Default, ToolUse} {
		source, _, err := template.FromConfig(tokenizerConfig, chatTemplate, name)
		if errors.Is(err, template.ErrNoTemplate) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("chat template: %w", err)
		}
		if source != "" && source != found[Default] {
			found[name] = source
		}
	}
	return found, nil
}

// Renderer renders the chat templates of one model. It may be used by several goroutines.
type Renderer struct {
	templates map[string]*template.Template
	special   map[string]string // bos_token, eos_token, ...
}

// NewRenderer parses templates. tokenizerConfig is tokenizer_config.json, which names the special tokens; it may be nil.
func NewRenderer(templates Templates, tokenizerConfig []byte) (*Renderer, error) {
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
	_, special, err := template.FromConfig(tokenizerConfig, nil, Default)
	if err != nil && !errors.Is(err, template.ErrNoTemplate) {
		return nil, err
	}
	r.special = special
	return r, nil
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
	if tool := r.templates[ToolUse]; t == nil || tool != nil && p.Tools != nil {
		t = tool
	}
	if t == nil {
		return "", ErrNoTemplate
	}
	return t.Render(c)
}
