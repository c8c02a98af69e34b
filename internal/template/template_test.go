package template

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func render(t *testing.T, source string, c Context) string {
	t.Helper()
	tmpl, err := Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	out, err := tmpl.Render(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestContextVariables(t *testing.T) {
	const names = `{{ messages }} {{ tools }} {{ documents }} {{ add_generation_prompt }} {{ bos_token is defined }} ` +
		`{{ eos_token }} {{ pad_token }} {{ unk_token is defined }} {{ extra }}`
	for _, c := range []struct {
		context Context
		want    string
	}{
		{Context{}, "None None None False False   False "},
		{
			Context{
				Messages: List(Object(Member{"role", String("user")})), Tools: List(nil), Documents: Strings("d"),
				AddGenerationPrompt: true, BOSToken: "<s>", EOSToken: "</s>", SpecialTokens: map[string]string{"pad_token": "<pad>", "eos_token": "old"},
			},
			"[{'role': 'user'}] [None] ['d'] True True </s> <pad> False ",
		},
		{ // keyword arguments win
			Context{
				Messages: List(), EOSToken: "</s>",
				Kwargs: Object(Member{"eos_token", String("E")}, Member{"extra", Int(3)}, Member{"messages", None}, Member{"tools", Float(1)}, Member{"extra", Bool(true)}),
			},
			"None 1.0 None False False E  False True",
		},
	} {
		if got := render(t, names, c.context); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestErrorsAreTyped(t *testing.T) {
	_, err := Parse("line 1\n{{ 1 }}\n{% if %}")
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Line != 3 {
		t.Errorf("Parse: %v, want a syntax error on line 3", err)
	}
	tmpl, err := Parse("line 1\n{% for m in messages %}\n{{ m.role }}\n{% if m.bad %}{{ raise_exception('No ' + m.role) }}{% endif %}\n{{ m.content + '!' }}{% endfor %}")
	if err != nil {
		t.Fatal(err)
	}
	_, err = tmpl.Render(Context{Messages: List(Object(Member{"role", String("tool")}, Member{"bad", Bool(true)}))})
	var raised *RaisedError
	if !errors.As(err, &raised) || raised.Message != "No tool" || err.Error() != "No tool" {
		t.Errorf("got %v, want the message that was raised", err)
	}
	_, err = tmpl.Render(Context{Messages: List(Object(Member{"role", String("tool")}))})
	var failed *RenderError
	if !errors.As(err, &failed) || failed.Line != 5 || failed.Kind != UndefinedError || failed.Message != "'dict object' has no attribute 'content'" {
		t.Errorf("got %v, want an undefined attribute on line 5", err)
	}
	_, err = tmpl.Render(Context{Messages: List(Object(Member{"role", String("tool")}))}, Limits{Output: 8})
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Limit != "output" || limit.Max != 8 || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want the limit of output", err)
	}
}

// TestConcurrentRendering renders one template with shared values at once; the race detector watches.
func TestConcurrentRendering(t *testing.T) {
	tmpl, err := Parse(`{% macro m(x) %}{{ x.k9 }}{% endmacro %}{% set ns = namespace(n=0) %}{% for x in messages %}` +
		`{% set ns.n = ns.n + loop.index %}{{ m(x) }}{{ x|tojson|length }}{% endfor %}{{ ns.n }}{{ strftime_now('%Y') }}`)
	if err != nil {
		t.Fatal(err)
	}
	var members []Member
	for _, k := range "0123456789" {
		members = append(members, Member{"k" + string(k), Strings("v", string(k))})
	}
	c := Context{Messages: List(Object(members...), Object(members...)), Now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	want, err := tmpl.Render(c)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if got, err := tmpl.Render(c); got != want || err != nil {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			}
		})
	}
	group.Wait()
}

func TestFromConfig(t *testing.T) {
	const list = `"chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]`
	for _, c := range []struct {
		config, jinja, named string
		source               string
		special              map[string]string
		failure              string
	}{
		{config: `{"chat_template": "C"}`, source: "C", special: map[string]string{}},
		{config: `{"chat_template": "C"}`, jinja: "J\r\n", source: "J\r\n", special: map[string]string{}},
		{jinja: "J", source: "J", special: map[string]string{}},
		{config: `{` + list + `}`, source: "D", special: map[string]string{}},
		{config: `{` + list + `}`, named: "tool_use", source: "T", special: map[string]string{}},
		{config: `{` + list + `}`, named: "rag", source: "D", special: map[string]string{}},
		{config: `{"chat_template": [{"name": "rag", "template": "R"}]}`, failure: `no default, only ["rag"]`},
		{config: `{"chat_template": [{"name": "rag"}]}`, failure: "chat_template[0]"},
		{config: `{"chat_template": 5}`, failure: ErrNoTemplate.Error()},
		{config: `{}`, failure: ErrNoTemplate.Error()},
		{config: `{"chat_template": null}`, failure: ErrNoTemplate.Error()},
		{config: `[]`, failure: "want an object"},
		{config: `{`, failure: "tokenizer_config.json: json: byte 1"},
		{
			config: `{"chat_template": "C", "bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": false}, "eos_token": "</s>",
				"unk_token": null, "add_bos_token": true, "image_token": "<img>", "extra_special_tokens": {"boi": "<boi>", "eoi": {"content": "<eoi>"}},
				"additional_special_tokens": ["<a>"], "pad_token": ""}`,
			source:  "C",
			special: map[string]string{"bos_token": "<s>", "eos_token": "</s>", "image_token": "<img>", "boi": "<boi>", "eoi": "<eoi>", "pad_token": ""},
		},
	} {
		var jinja []byte
		if c.jinja != "" {
			jinja = []byte(c.jinja)
		}
		source, special, err := FromConfig([]byte(c.config), jinja, c.named)
		if c.failure != "" {
			if err == nil || !strings.Contains(err.Error(), c.failure) {
				t.Errorf("%s: got %v, want an error with %q", c.config, err, c.failure)
			}
			continue
		}
		if diff := cmp.Diff(c.special, special); err != nil || source != c.source || diff != "" {
			t.Errorf("%s: source %q, error %v, special tokens %s", c.config, source, err, diff)
		}
	}
}

func TestNormalizeMessages(t *testing.T) {
	v, err := DecodeJSON([]byte(`[{"role": "user", "content": "a", "name": null}, {"role": "assistant", "content": null, "reasoning": "r", "x": {"y": null}},
		{"reasoning_content": "c", "thinking": "t", "role": "assistant"}, "text"]`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := EncodeJSON(NormalizeMessages(v))
	want := `[{"role":"user","content":"a"},{"thinking":"r","role":"assistant","reasoning":"r","x":{"y":null},"reasoning_content":"r"},` +
		`{"thinking":"t","reasoning_content":"c","role":"assistant"},"text"]`
	if string(got) != want || err != nil {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
	if NormalizeMessages(None) != None {
		t.Error("messages that are no list must stay")
	}
}

func TestDecodeJSON(t *testing.T) {
	for _, c := range []struct{ text, printed string }{
		{`{"b": 1, "a": 1.0, "b": 2}`, `{'b': 2, 'a': 1.0}`},
		{`[1, -0, -0.0, 1e2, 1E400, 12345678901234567890, true, null, NaN, -Infinity]`,
			`[1, 0, -0.0, 100.0, inf, 12345678901234567890, True, None, nan, -inf]`},
		{`"\u00e9\ud83d\ude00\ud83dx\/\b"`, "é😀\uFFFDx/\b"},
		{" \t\r\n[ ] ", `[]`},
		{`{"0":0,"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"8":8,"9":9,"0":10}`,
			`{'0': 10, '1': 1, '2': 2, '3': 3, '4': 4, '5': 5, '6': 6, '7': 7, '8': 8, '9': 9}`},
		{strings.Repeat("[", maxJSONDepth) + strings.Repeat("]", maxJSONDepth), strings.Repeat("[", maxJSONDepth) + strings.Repeat("]", maxJSONDepth)},
	} {
		v, err := DecodeJSON([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := render(t, "{{ messages }}", Context{Messages: v}); got != c.printed {
			t.Errorf("%s prints %s, want %s", c.text, got, c.printed)
		}
	}
	for text, where := range map[string]string{
		``: "byte 0", `[1,]`: "byte 3", `{"a" 1}`: "byte 5", `{a: 1}`: "byte 1", `01`: "byte 1", `1 2`: "byte 2", `"a`: "byte 2", "\"\n\"": "byte 1",
		`"\x"`: "byte 1", `"\u12"`: "byte 1", `tru`: "byte 0", `-`: "byte 0", `.5`: "byte 0", `1.`: "byte 1", `[`: "byte 1", `{"a":`: "byte 5",
		strings.Repeat("[", 2000): "nested more than", strings.Repeat("9", 5000): "more than 4300 digits",
	} {
		if _, err := DecodeJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), where) {
			t.Errorf("%.20s: got %v, want an error at %s", text, err, where)
		}
	}
}

func TestValueAccess(t *testing.T) {
	v := Object(Member{"k", List(String("a\xff"), Int(1))}, Member{"n", nil})
	list, ok := Lookup(v, "k")
	items, isList := Elements(list)
	if !ok || !isList || len(items) != 2 {
		t.Fatalf("got %v", list)
	}
	if s, ok := Text(items[0]); s != "a\uFFFD" || !ok {
		t.Errorf("got %q", s)
	}
	if n, ok := Lookup(v, "n"); n != None || !ok {
		t.Errorf("a nil member reads %v", n)
	}
	if _, ok := Lookup(v, "x"); ok {
		t.Error("found a member that is not there")
	}
	if _, ok := Lookup(list, "x"); ok {
		t.Error("found a member of a list")
	}
	if _, err := EncodeJSON(nil); err != nil {
		t.Error(err)
	}
}
