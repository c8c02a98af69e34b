package chat_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/internal/chat"
	"llmc/internal/golden"
)

// recorded is golden_chat.json: what transformers rendered.
type recorded struct {
	Now           string                     `json:"now"`
	Conversations map[string]json.RawMessage `json:"conversations"`
	Tools         json.RawMessage            `json:"tools"`
	Cases         []struct {
		Conversation        string          `json:"conversation"`
		Tools               bool            `json:"tools"`
		AddGenerationPrompt bool            `json:"add_generation_prompt"`
		Kwargs              json.RawMessage `json:"kwargs"`
		Rendered            *string         `json:"rendered"`
		Error               string          `json:"error"`
	} `json:"cases"`
}

// TestRenderLine renders every recorded conversation of every checkpoint that has a template, as the commands do.
func TestRenderLine(t *testing.T) {
	paths, _ := filepath.Glob(filepath.Join(golden.Shared(t, "checkpoints"), "*", "golden_chat.json"))
	rendered := 0
	for _, path := range paths {
		dir := filepath.Dir(path)
		if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			r := open(t, dir)
			var g recorded
			if err := json.Unmarshal(read(t, path), &g); err != nil {
				t.Fatal(err)
			}
			for i, c := range g.Cases {
				line := map[string]any{"messages": g.Conversations[c.Conversation], "add_generation_prompt": c.AddGenerationPrompt, "now": g.Now}
				if c.Tools {
					line["tools"] = g.Tools
				}
				if c.Kwargs != nil {
					line["kwargs"] = c.Kwargs
				}
				text, err := json.Marshal(line)
				if err != nil {
					t.Fatal(err)
				}
				got, err := r.RenderLine(text)
				if (err != nil) != (c.Rendered == nil) {
					t.Errorf("case %d (%s): error %v, transformers: %q", i, c.Conversation, err, c.Error)
				} else if err == nil && got != *c.Rendered {
					t.Errorf("case %d (%s): got %q, want %q", i, c.Conversation, got, *c.Rendered)
				}
				rendered++
			}
		})
	}
	if rendered < 20 {
		t.Errorf("only %d renderings were compared", rendered)
	}
}

func open(t *testing.T, dir string) *chat.Renderer {
	t.Helper()
	config := read(t, filepath.Join(dir, "tokenizer_config.json"))
	jinja, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja"))
	if err != nil {
		jinja = nil
	}
	templates, err := chat.Find(config, jinja)
	if err != nil {
		t.Fatal(err)
	}
	r, err := chat.NewRenderer(templates, config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTemplateChoice(t *testing.T) {
	config := []byte(`{"bos_token":"<s>","chat_template":[{"name":"default","template":"plain {{ bos_token }}"},{"name":"tool_use","template":"tools {{ tools | length }}"}]}`)
	templates, err := chat.Find(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := chat.NewRenderer(templates, config)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		`{"messages":[]}`:                               "plain <s>",
		`{"messages":[],"tools":null}`:                  "plain <s>",
		`{"messages":[],"tools":[{"type":"function"}]}`: "tools 1",
	} {
		if got, err := r.RenderLine([]byte(line)); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", line, got, err, want)
		}
	}
}

func TestMistakesAreErrors(t *testing.T) {
	if templates, err := chat.Find([]byte(`{}`), nil); err != nil || len(templates) != 0 {
		t.Errorf("no template: %v, %v", templates, err)
	}
	if _, err := chat.NewRenderer(nil, nil); !errors.Is(err, chat.ErrNoTemplate) {
		t.Errorf("no template: %v", err)
	}
	r, err := chat.NewRenderer(chat.Templates{chat.Default: "{{ messages[0].content }}"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		`[`:                             "expected an object",
		`{"messages":[],"now":"later"}`: "now",
		`{"messages":[],"kwargs":[1]}`:  "",
	} {
		if got, err := r.RenderLine([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want an error with %q", line, got, err, want)
		}
	}
}
