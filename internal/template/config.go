package template

import (
	"errors"
	"fmt"
)

// ErrNoTemplate says that a tokenizer comes without a chat template.
var ErrNoTemplate = errors.New("no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json")

// FromConfig finds the chat template of a tokenizer as transformers does. chatTemplateJinja is the content of
// chat_template.jinja, nil when there is none; it wins over chat_template in tokenizer_config.json, which is a string or a
// list or an object of named templates. named picks one of those: pass "tool_use" when tools are given; an unknown or empty name means
// the default. special maps the names of token variables to their text.
func FromConfig(tokenizerConfigJSON, chatTemplateJinja []byte, named string) (source string, special map[string]string, err error) {
	config, err := decodeObject("tokenizer_config.json", tokenizerConfigJSON)
	if err != nil {
		return "", nil, err
	}
	if special, err = SpecialTokens(tokenizerConfigJSON, nil); err != nil {
		return "", nil, err
	}
	if chatTemplateJinja != nil {
		return string(chatTemplateJinja), special, nil
	}
	v, _ := Lookup(config, "chat_template")
	source, err = chooseTemplate(v, named)
	return source, special, err
}

func chooseTemplate(v Value, named string) (string, error) {
	if source, ok := Text(v); ok {
		return source, nil
	}
	templates := map[string]string{}
	var names []string
	if d, ok := v.(*dictValue); ok { // by name, as a list may give them too
		for _, e := range d.entries {
			name, _ := asText(e.key)
			if source, ok := Text(e.value); ok {
				templates[name] = source
				names = append(names, name)
			}
		}
		return pickTemplate(templates, names, named)
	}
	list, ok := Elements(v)
	if !ok {
		return "", ErrNoTemplate
	}
	for i, item := range list {
		name, hasName := textOf(item, "name")
		source, hasSource := textOf(item, "template")
		if !hasName || !hasSource {
			return "", fmt.Errorf("tokenizer_config.json: chat_template[%d]: want an object with name and template", i)
		}
		templates[name] = source
		names = append(names, name)
	}
	return pickTemplate(templates, names, named)
}

func pickTemplate(templates map[string]string, names []string, named string) (string, error) {
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
