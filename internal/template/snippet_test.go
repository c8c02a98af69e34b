package template

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clock is the time of testdata/oracle.py.
var clock = time.Date(2026, 3, 5, 7, 8, 9, 12345000, time.UTC)

// TestSnippets compares small templates with what transformers' environment gives for them (testdata/oracle.py).
func TestSnippets(t *testing.T) {
	variables := readJSON(t, filepath.Join("testdata", "context.json"))
	paths, err := filepath.Glob(filepath.Join("testdata", "snippets", "*.jsonl"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no snippets: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".jsonl"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				c, err := DecodeJSON([]byte(line))
				if err != nil {
					t.Fatal(err)
				}
				checkSnippet(t, c, variables)
			}
		})
	}
}

func checkSnippet(t *testing.T, c, variables Value) {
	t.Helper()
	source := textMember(c, "t")
	if own, ok := Lookup(c, "c"); ok {
		variables = own
	}
	var got string
	tmpl, err := Parse(source)
	if err == nil {
		got, err = tmpl.Render(Context{Kwargs: variables, Now: clock})
	}
	want, renders := Text(member(c, "want"))
	switch {
	case !renders && err == nil:
		t.Errorf("%q gives %q, but raises %s", source, got, textMember(c, "raises"))
	case !renders && kindOf(err) != textMember(c, "raises"):
		t.Errorf("%q gives %s (%v), but raises %s", source, kindOf(err), err, textMember(c, "raises"))
	case renders && err != nil:
		t.Errorf("%q gives error %v, want %q", source, err, want)
	case renders && got != want:
		t.Errorf("%q gives\n%q, want\n%q", source, got, want)
	}
}

// kindOf names an error as Python does. What Python finds wrong only in the code that Jinja generates counts as a syntax
// error of the template.
func kindOf(err error) string {
	var syntax *SyntaxError
	var raised *RaisedError
	var render *RenderError
	var limit *LimitError
	switch {
	case errors.As(err, &syntax):
		return "TemplateSyntaxError"
	case errors.As(err, &raised):
		return "TemplateError"
	case errors.As(err, &render):
		return string(render.Kind)
	}
	if errors.As(err, &limit) && limit.Limit == "depth" {
		return "RecursionError"
	}
	return "limit"
}
