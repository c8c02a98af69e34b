package template

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"llmc/internal/golden"
)

func readJSON(t testing.TB, path string) Value {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := DecodeJSON(data)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// member returns a member of an object; None when it is missing.
func member(v Value, key string) Value {
	m, ok := Lookup(v, key)
	if !ok {
		return None
	}
	return m
}

func textMember(v Value, key string) string {
	s, _ := Text(member(v, key))
	return s
}

// check compares a rendering with the oracle's: its text, or that it raised, and with raise_exception what.
func check(t *testing.T, got string, err error, want Value, wantText, errorKind, message string) {
	t.Helper()
	if _, ok := Text(member(want, wantText)); !ok {
		if err == nil {
			t.Errorf("rendered, but the oracle raises %s: %s\n%s", textMember(want, errorKind), textMember(want, message), got)
			return
		}
		var limit *LimitError
		if errors.As(err, &limit) {
			t.Errorf("%v", err)
		}
		if m := textMember(want, message); textMember(want, errorKind) == "TemplateError" && m != "" {
			if err.Error() != m {
				t.Errorf("error %q, want %q", err, m)
			}
		}
		return
	}
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	if diff := cmp.Diff(textMember(want, wantText), got); diff != "" {
		t.Errorf("rendering differs (-want +got):\n%s", diff)
	}
}

// TestSharedTemplates renders public templates over ten conversations.
func TestSharedTemplates(t *testing.T) {
	dir := golden.Shared(t, "chat_templates")
	cases, _ := Elements(readJSON(t, filepath.Join(dir, "cases.json")))
	expected := readJSON(t, filepath.Join(dir, "expected.json")).(*dictValue)
	now := time.Date(2026, 1, 15, 12, 34, 56, 0, time.UTC)
	if len(cases) == 0 || len(expected.entries) == 0 {
		t.Fatal("no cases")
	}
	for _, e := range expected.entries {
		name, _ := Text(e.key)
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join(dir, "templates", name))
			if errors.Is(err, os.ErrNotExist) {
				source, err = os.ReadFile(filepath.Join(dir, "templates", name+".jinja"))
			}
			if err != nil {
				t.Fatal(err)
			}
			tmpl, err := Parse(string(source))
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cases {
				t.Run(textMember(c, "name"), func(t *testing.T) {
					got, err := tmpl.Render(Context{Kwargs: member(c, "context"), Now: now})
					check(t, got, err, member(e.value, textMember(c, "name")), "output", "error", "message")
				})
			}
		})
	}
}

// TestCheckpointTemplates renders the templates of checkpoints, found in their files as transformers finds them.
func TestCheckpointTemplates(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(golden.Shared(t, "checkpoints"), "*", "golden_chat.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden_chat.json: %v", err)
	}
	for _, path := range paths {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			g := readJSON(t, path)
			now, err := time.Parse("2006-01-02T15:04:05", textMember(g, "now"))
			if err != nil {
				t.Fatal(err)
			}
			templates, ok := member(g, "templates").(*dictValue)
			if !ok {
				checkModel(t, dir, g, now)
				return
			}
			for _, e := range templates.entries {
				t.Run(textMember(e.value, "file"), func(t *testing.T) {
					source, err := os.ReadFile(filepath.Join(dir, textMember(e.value, "file")))
					if err != nil {
						t.Fatal(err)
					}
					base := Context{BOSToken: textMember(e.value, "bos_token"), EOSToken: textMember(e.value, "eos_token"), Now: now}
					checkCases(t, string(source), base, g, member(e.value, "cases"))
				})
			}
		})
	}
}

func checkModel(t *testing.T, dir string, g Value, now time.Time) {
	config, err := os.ReadFile(filepath.Join(dir, "tokenizer_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	jinja, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	source, special, err := FromConfig(config, jinja, "")
	if err != nil {
		t.Fatal(err)
	}
	if special["bos_token"] != textMember(g, "bos_token") || special["eos_token"] != textMember(g, "eos_token") {
		t.Errorf("special tokens %q, want bos %q and eos %q", special, textMember(g, "bos_token"), textMember(g, "eos_token"))
	}
	checkCases(t, source, Context{SpecialTokens: special, Now: now}, g, member(g, "cases"))
}

func checkCases(t *testing.T, source string, base Context, g, cases Value) {
	tmpl, err := Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	list, _ := Elements(cases)
	if len(list) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range list {
		t.Run(textMember(c, "conversation"), func(t *testing.T) {
			ctx := base
			ctx.Messages = member(member(g, "conversations"), textMember(c, "conversation"))
			if member(c, "tools") == Bool(true) {
				ctx.Tools = member(g, "tools")
			}
			ctx.AddGenerationPrompt = member(c, "add_generation_prompt") == Bool(true)
			ctx.Kwargs = member(c, "kwargs")
			got, err := tmpl.Render(ctx)
			check(t, got, err, c, "rendered", "error_type", "error")
		})
	}
}
