package template

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoTemplate says that a tokenizer comes without a chat template.
var ErrNoTemplate = errors.New("no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json")

// FromConfig finds the chat template of a tokenizer as transformers does. chatTemplateJinja is the content of
// chat_template.jinja, nil when there is none; it wins over chat_template in tokenizer_config.json, which is a string or a
// list of named templates. named picks one of those: pass "tool_use" when tools are given; an unknown or empty name means
// the default. special maps the names of token variables to their text.
func FromConfig(tokenizerConfigJSON, chatTemplateJinja []byte, named string) (source string, special map[string]string, err error) {
	var config Value = Object()
	if len(tokenizerConfigJSON) > 0 {
		if config, err = DecodeJSON(tokenizerConfigJSON); err != nil {
			return "", nil, fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	if _, ok := config.(*dictValue); !ok {
		return "", nil, fmt.Errorf("tokenizer_config.json: want an object, got %s", config.typeName())
	}
	special = specialTokens(config)
	if chatTemplateJinja != nil {
		return string(chatTemplateJinja), special, nil
	}
	v, _ := Lookup(config, "chat_template")
	source, err = chooseTemplate(v, named)
	return source, special, err
}

// specialTokens collects the tokens that become variables: every bos_token, eos_token, image_token and so on that is text,
// and those that a model names itself.
func specialTokens(config Value) map[string]string {
	special := map[string]string{}
	for _, e := range config.(*dictValue).entries {
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
	return special
}

// tokenText reads a token, which is a string or an AddedToken object.
func tokenText(v Value) (string, bool) {
	if content, ok := Lookup(v, "content"); ok {
		v = content
	}
	return Text(v)
}

func chooseTemplate(v Value, named string) (string, error) {
	if source, ok := Text(v); ok {
		return source, nil
	}
	list, ok := Elements(v)
	if !ok {
		return "", ErrNoTemplate
	}
	templates := map[string]string{}
	var names []string
	for i, item := range list {
		name, hasName := textOf(item, "name")
		source, hasSource := textOf(item, "template")
		if !hasName || !hasSource {
			return "", fmt.Errorf("tokenizer_config.json: chat_template[%d]: want an object with name and template", i)
		}
		templates[name] = source
		names = append(names, name)
	}
	for _, name := range []string{named, "default"} {
		if source, ok := templates[name]; ok {
			return source, nil
		}
	}
	return "", fmt.Errorf("tokenizer_config.json: chat_template has no default, only %q; choose one of them", names)
}

func textOf(v Value, key string) (string, bool) {
	m, _ := Lookup(v, key)
	return Text(m)
}
