package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"llmc/internal/golden"
)

// seeds adds the snippets and the public templates.
func seeds(f *testing.F) {
	paths, _ := filepath.Glob(filepath.Join("testdata", "snippets", "*.jsonl"))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			c, err := DecodeJSON([]byte(line))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(textMember(c, "t"))
		}
	}
	for _, source := range hostile {
		f.Add(source)
	}
	templates, _ := filepath.Glob(filepath.Join(golden.Root(f), "..", "shared", "chat_templates", "templates", "*.jinja"))
	for _, path := range templates {
		if source, err := os.ReadFile(path); err == nil {
			f.Add(string(source))
		}
	}
}

// FuzzRender checks that any template is refused with a typed error or renders to valid text, the same one each time,
// within its limits.
func FuzzRender(f *testing.F) {
	seeds(f)
	data, err := os.ReadFile(filepath.Join("testdata", "context.json"))
	if err != nil {
		f.Fatal(err)
	}
	variables, err := DecodeJSON(data)
	if err != nil {
		f.Fatal(err)
	}
	limits := Limits{Steps: 20_000, Memory: 4 << 20, Output: 1 << 18, Depth: 200}
	f.Fuzz(func(t *testing.T, source string) {
		tmpl, err := Parse(source)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line < 1 {
				t.Fatalf("Parse returns %T %v", err, err)
			}
			return
		}
		c := Context{Messages: member(variables, "msgs"), Kwargs: variables, Now: time.Unix(0, 0).UTC()}
		out, err := tmpl.Render(c, limits)
		var raised *RaisedError
		var render *RenderError
		var limit *LimitError
		if err != nil && !errors.As(err, &raised) && !errors.As(err, &render) && !errors.As(err, &limit) {
			t.Fatalf("Render returns %T %v", err, err)
		}
		if len(out) > limits.Output || !utf8.ValidString(out) {
			t.Fatalf("%d bytes, valid text: %v", len(out), utf8.ValidString(out))
		}
		again, err2 := tmpl.Render(c, limits)
		random := strings.Contains(source, "random") || strings.Contains(source, "lipsum")
		if !random && (again != out || (err == nil) != (err2 == nil)) {
			t.Fatalf("second rendering differs: %q, %v and %q, %v", out, err, again, err2)
		}
	})
}

// FuzzDecodeJSON compares with encoding/json, which accepts less: no NaN and no large integers as such.
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{
		`{"a": [1, 2.5, -0, 1e400, "x\u00e9\ud83d\ude00\n"], "b": {"a": null}, "a": true}`, `[[[]]]`, `"\ud800"`, `NaN`,
		` -12345678901234567890 `, `{"a":1,"a":2}`, `01`, `1.`, `"\x01"`, "\"\xff\"", `[1,]`, `{"a"}`, `-`, `tru`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := DecodeJSON(data)
		if err != nil {
			var other any
			if json.Unmarshal(data, &other) == nil && !strings.Contains(err.Error(), "nested more than") {
				t.Fatalf("%v, but encoding/json reads it", err)
			}
			return
		}
		encoded, err := EncodeJSON(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeJSON(encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if twice, _ := EncodeJSON(again); !bytes.Equal(encoded, twice) {
			t.Fatalf("%s becomes %s", encoded, twice)
		}
		var want, got any
		if json.Unmarshal(data, &want) == nil {
			if err := json.Unmarshal(encoded, &got); err != nil || !reflect.DeepEqual(want, got) {
				t.Fatalf("%s reads %v, want %v (%v)", encoded, got, want, err)
			}
		}
	})
}
