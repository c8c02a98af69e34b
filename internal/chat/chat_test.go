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
	f := chat.Files{Config: read(t, filepath.Join(dir, "tokenizer_config.json"))}
	if jinja, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja")); err == nil {
		f.Jinja = jinja
	}
	return renderer(t, f)
}

func renderer(t *testing.T, f chat.Files) *chat.Renderer {
	t.Helper()
	templates, err := chat.Find(f)
	if err != nil {
		t.Fatal(err)
	}
	r, err := chat.NewRenderer(templates, f)
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

// TestTemplateChoice holds which template is taken, and the special tokens that it sees, against what transformers 4.57 and 5.24 do.
func TestTemplateChoice(t *testing.T) {
	const special = "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}"
	const none = "for tools alone"
	object := `{"bos_token":"<a>","eos_token":{"content":"<e>","lstrip":false}}`
	for name, c := range map[string]struct {
		files       chat.Files
		plain, tool string
	}{
		"list":          {chat.Files{Config: []byte(`{"chat_template":[{"name":"default","template":"D"},{"name":"tool_use","template":"T"}]}`)}, "D", "T"},
		"object":        {chat.Files{Config: []byte(`{"chat_template":{"default":"D","tool_use":"T"}}`)}, "D", "T"},
		"no default":    {chat.Files{Config: []byte(`{"chat_template":[{"name":"tool_use","template":"T"}]}`)}, none, "T"},
		"file wins":     {chat.Files{Config: []byte(`{"chat_template":[{"name":"default","template":"D"},{"name":"tool_use","template":"T"}]}`), Jinja: []byte("J")}, "J", "J"},
		"named":         {chat.Files{Config: []byte(`{}`), Jinja: []byte("J"), Named: map[string]string{"tool_use": "U", "rag": "{% bad"}}, "J", "U"},
		"named alone":   {chat.Files{Config: []byte(`{"chat_template":"C"}`), Named: map[string]string{"tool_use": "U"}}, none, "U"},
		"line ends":     {chat.Files{Jinja: []byte("a\r\n{% if true %}\r\nb\r\n{% endif %}\r\n")}, "a\nb\n", "a\nb\n"},
		"class":         {chat.Files{Config: []byte(`{"tokenizer_class":"LlamaTokenizer"}`), Jinja: []byte(special)}, "<s>|</s>|<unk>", "<s>|</s>|<unk>"},
		"class, null":   {chat.Files{Config: []byte(`{"tokenizer_class":"LlamaTokenizerFast","bos_token":null}`), Jinja: []byte(special)}, "|</s>|<unk>", "|</s>|<unk>"},
		"map":           {chat.Files{Config: []byte(`{"bos_token":"<b>","unk_token":"<u>"}`), SpecialTokensMap: []byte(object), Jinja: []byte(special)}, "<a>|<e>|<u>", "<a>|<e>|<u>"},
		"map, not read": {chat.Files{Config: []byte(`{"bos_token":"<b>","added_tokens_decoder":{}}`), SpecialTokensMap: []byte(object), Jinja: []byte(special)}, "<b>||", "<b>||"},
	} {
		r := renderer(t, c.files)
		for line, want := range map[string]string{
			`{"messages":[]}`:                               c.plain,
			`{"messages":[],"tools":null}`:                  c.plain,
			`{"messages":[],"tools":[]}`:                    c.tool,
			`{"messages":[],"tools":[{"type":"function"}]}`: c.tool,
		} {
			got, err := r.RenderLine([]byte(line))
			if want == none {
				if err == nil || !strings.Contains(err.Error(), none) {
					t.Errorf("%s: %s: %q, %v; want an error with %q", name, line, got, err, none)
				}
			} else if err != nil || got != want {
				t.Errorf("%s: %s: %q, %v; want %q", name, line, got, err, want)
			}
		}
	}
}

func TestMistakesAreErrors(t *testing.T) {
	if templates, err := chat.Find(chat.Files{Config: []byte(`{}`)}); err != nil || len(templates) != 0 {
		t.Errorf("no template: %v, %v", templates, err)
	}
	if _, err := chat.Find(chat.Files{Config: []byte(`{"chat_template":[{"name":"rag","template":"R"}]}`)}); err == nil || !strings.Contains(err.Error(), "no default") {
		t.Errorf("only templates that nobody asks for: %v", err)
	}
	if _, err := chat.NewRenderer(nil, chat.Files{}); !errors.Is(err, chat.ErrNoTemplate) {
		t.Errorf("no template: %v", err)
	}
	r, err := chat.NewRenderer(chat.Templates{chat.Default: "{{ messages[0].content }}"}, chat.Files{})
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
