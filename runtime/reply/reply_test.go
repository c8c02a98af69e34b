package reply

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// result is a reply put together from its deltas.
type result struct {
	Content, Reasoning string
	Calls              []readCall
}

type readCall struct{ Name, Arguments string }

// read feeds a text cut at places, and puts together what comes.
func read(p *Parser, text string, cuts ...int) (r result) {
	take := func(deltas []Delta) {
		for _, d := range deltas {
			r.Content += d.Content
			r.Reasoning += d.Reasoning
			if d.Call == nil {
				continue
			}
			if d.Call.Index == len(r.Calls) {
				r.Calls = append(r.Calls, readCall{Name: d.Call.Name})
			}
			r.Calls[d.Call.Index].Arguments += d.Call.Arguments
		}
	}
	from := 0
	for _, at := range append(cuts, len(text)) {
		take(p.Feed(text[from:at]))
		from = at
	}
	take(p.End())
	return r
}

const weatherTools = `[{"type":"function","function":{"name":"f","parameters":{"properties":{"zip":{"type":"string"},"n":{"type":["integer","null"]}}}}}]`

var replies = []struct {
	name, template, prompt, text string
	want                         result
}{
	{"plain", "", "", "Hello <tool_call> world", result{Content: "Hello <tool_call> world"}},
	{"hermes", "<tool_call>", "", "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"}\\\"{\", \"b\": [1, {}]}}\n</tool_call>\n<tool_call>{\"arguments\":{},\"name\":\"g\"}</tool_call>",
		result{Content: "Let me see.", Calls: []readCall{{"f", `{"a": "}\"{", "b": [1, {}]}`}, {"g", `{}`}}}},
	{"hermes without arguments", "<tool_call>", "", `<tool_call>{"name": "f"}</tool_call> done`, result{Content: "done", Calls: []readCall{{"f", `{}`}}}},
	{"hermes arguments in a string", "<tool_call>", "", `<tool_call>{"name": "f", "arguments": "{\"x\": 1}"}</tool_call>`, result{Calls: []readCall{{"f", `{"x": 1}`}}}},
	{"hermes that is none", "<tool_call>", "", `<tool_call>{"nome": "f"}</tool_call>`, result{Content: `{"nome": "f"}</tool_call>`}},
	{"hermes cut off", "<tool_call>", "", `<tool_call>{"name": "f", "arguments": {"x": "unfin`, result{Calls: []readCall{{"f", `{"x": "unfin`}}}},
	{"marker cut off", "<tool_call>", "", `a <tool_ca`, result{Content: `a <tool_ca`}},
	{"reasoning", "<think></think><tool_call>", "", "<think>\nHm, <tool_call>?\n</think>\n\nYes. <think>", result{Reasoning: "Hm, <tool_call>?", Content: "Yes. <think>"}},
	{"reasoning begun", "</think>", "user: x<think>\n", "so so\n</think>ok", result{Reasoning: "so so", Content: "ok"}},
	{"reasoning cut off", "</think>", "", "<think>so\n so", result{Reasoning: "so\n so"}},
	{"llama", "<|python_tag|>", "", ` {"name": "f", "parameters": {"q": 1}}; {"name": "g", "parameters": {}}`, result{Calls: []readCall{{"f", `{"q": 1}`}, {"g", `{}`}}}},
	{"llama with JSON content", "<|python_tag|>", "", `{"x": 1} is it`, result{Content: `{"x": 1} is it`}},
	{"llama text", "<|python_tag|>", "", `It is {"name": "f"}`, result{Content: `It is {"name": "f"}`}},
	{"mistral", "[TOOL_CALLS]", "", `[TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}, "id": "123456789"}]`, result{Calls: []readCall{{"f", `{"a": 1}`}, {"g", `{}`}}}},
	{"mistral names", "[TOOL_CALLS]", "", `[TOOL_CALLS]f[ARGS]{"a": {"b": 2}}[TOOL_CALLS]g{}`, result{Calls: []readCall{{"f", `{"a": {"b": 2}}`}, {"g", `{}`}}}},
	{"kimi", "<|tool_calls_section_begin|>", "", `Ok<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{"a":1}<|tool_call_end|><|tool_calls_section_end|>`,
		result{Content: "Ok", Calls: []readCall{{"f", `{"a":1}`}}}},
	{"qwen coder", "<tool_call><function=", "", "<tool_call>\n<function=f>\n<parameter=zip>\n0123\n</parameter>\n<parameter=n>\n5\n</parameter>\n<parameter=t>\na\nb\n</parameter>\n</function>\n</tool_call>",
		result{Calls: []readCall{{"f", `{"zip":"0123","n":5,"t":"a\nb"}`}}}},
	{"glm", "<arg_key>", "", "<tool_call>f\n<arg_key>zip</arg_key>\n<arg_value>1</arg_value>\n<arg_key>n</arg_key>\n<arg_value>null</arg_value>\n</tool_call>", result{Calls: []readCall{{"f", `{"zip":"1","n":null}`}}}},
	{"pythonic", "<|tool_call_start|>", "", `x <|tool_call_start|>[f(a='\'"]', b=[True, None, {'k': 1.5}], c=0x), g()]<|tool_call_end|>`, result{Content: `x [f(a='\'"]', b=[True, None, {'k': 1.5}], c=0x), g()]<|tool_call_end|>`}},
	{"python", "<|tool_call_start|>", "", `<|tool_call_start|>[f(a='\'"]ü', b=[True, None, {'k': 1.5}], c=-2), g()]<|tool_call_end|> bye`,
		result{Content: "bye", Calls: []readCall{{"f", `{"a":"'\"]ü","b":[true,null,{"k":1.5}],"c":-2}`}, {"g", `{}`}}}},
	{"list that is none", "func_name1(params_name1=params_value1", "", "[1, 2] is a list", result{Content: "[1, 2] is a list"}},
	{"gemma", "<|tool_call>call:", "", `<|tool_call>call:f{days:2,location:<|"|>Zü"rich<|"|>,tags:[<|"|>x<|"|>]}<tool_call|>`, result{Calls: []readCall{{"f", `{"days":2,"location":"Zü\"rich","tags":["x"]}`}}}},
	{"gemma without a name", "<|tool_call>call:", "", `<|tool_call>{}`, result{Content: "{}"}},
	{"mistral that is none", "[TOOL_CALLS]", "", "[TOOL_CALLS]A 0", result{Content: "A 0"}},
	{"a name that is too long", "<tool_call>", "", "<tool_call>" + strings.Repeat("p", longestName+1) + "{}", result{Content: strings.Repeat("p", longestName+1) + "{}"}},
	{"a header that is too long", "<|channel|><|message|>", "", "<|channel|>" + strings.Repeat("é", longestHeader) + "<|message|>x",
		result{Content: strings.Repeat("é", longestHeader) + "<|message|>x"}},
	{"a name that is a prefix alone", "<|tool_calls_section_begin|>", "", `00<|tool_calls_section_begin|>functions. v0 {"0"}`, result{Content: `00functions. v0 {"0"}`}},
	{"a header that is no text", "<|channel|><|message|>", "", "<|channel|>" + strings.Repeat("\xaa", 2*longestHeader), result{Content: strings.Repeat("\xaa", 2*longestHeader)}},
	{"a name before the end", "<tool_call>", "", "<tool_call>{\"name\": \"f\"}a\n</tool_call>", result{Content: "a\n</tool_call>", Calls: []readCall{{"f", "{}"}}}},
	{"a tag without a name", "<tool_call><function=", "", "<function=\r>x</function>", result{Content: "<function=\r>x</function>"}},
	{"a name without an end", "<tool_call>", "", "Hello <tool_call> " + strings.Repeat("I", 2*longestName) + `\ world`,
		result{Content: "Hello  " + strings.Repeat("I", 2*longestName) + `\ world`}},
	{"text behind a call", "<tool_call>", "", `<tool_call>{"name":"0"]00000 <`, result{Content: "00000 <", Calls: []readCall{{"0", "{}"}}}},
	{"harmony", "<|channel|><|message|>", "", `<|channel|>analysis<|message|>Think.<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a":1}<|call|>`,
		result{Reasoning: "Think.", Calls: []readCall{{"f", `{"a":1}`}}}},
	{"harmony answer", "<|channel|><|message|>", "", `<|channel|>analysis<|message|>Think.<|end|><|start|>assistant<|channel|>final<|message|>Hello`, result{Reasoning: "Think.", Content: "Hello"}},
}

// Every reply is read the same however it is cut.
func TestReplies(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range replies {
		t.Run(c.name, func(t *testing.T) {
			f := Detect(c.template)
			if got := read(f.Parser(c.prompt, []byte(weatherTools)), c.text); !reflect.DeepEqual(got, c.want) {
				t.Fatalf("\n got %+v\nwant %+v", got, c.want)
			}
			var every []int
			for i := range len(c.text) {
				every = append(every, i)
			}
			if got := read(f.Parser(c.prompt, []byte(weatherTools)), c.text, every...); !reflect.DeepEqual(got, c.want) {
				t.Fatalf("byte by byte:\n got %+v\nwant %+v", got, c.want)
			}
			for range 20 {
				var cuts []int
				for i := 0; i < len(c.text); i += 1 + rng.IntN(9) {
					cuts = append(cuts, i)
				}
				if got := read(f.Parser(c.prompt, []byte(weatherTools)), c.text, cuts...); !reflect.DeepEqual(got, c.want) {
					t.Fatalf("cut at %v:\n got %+v\nwant %+v", cuts, got, c.want)
				}
			}
		})
	}
}

// Replies that are calls alone need no format.
func TestForced(t *testing.T) {
	want := result{Calls: []readCall{{"f", `{"a": 1}`}, {"g", `{}`}}}
	const list = `[{"name": "f", "parameters": {"a": 1}}, {"name":"g","parameters":{}}]`
	for cut := range len(list) {
		if got := read(List(), list, cut); !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d: %+v", cut, got)
		}
	}
	if got := read(Arguments("f"), `{"a": 1}`, 3); !reflect.DeepEqual(got, result{Calls: want.Calls[:1]}) {
		t.Errorf("%+v", got)
	}
}

// Without tools what looks like a call is content.
func TestNoTools(t *testing.T) {
	const text = `<tool_call>{"name": "f"}</tool_call>`
	if got := read(Detect("<tool_call>").Parser("", nil), text); got.Content != text || got.Calls != nil {
		t.Errorf("%+v", got)
	}
}

// Arguments come while they are being written, not when their object ends.
func TestArgumentsComeEarly(t *testing.T) {
	p := Detect("<tool_call>").Parser("", []byte(weatherTools))
	p.Feed(`<tool_call>{"name": "f", "arguments": {"text": "once`)
	if got := p.Feed(` upon`); len(got) != 1 || got[0].Call == nil || got[0].Call.Arguments != " upon" {
		t.Errorf("%+v", got)
	}
}

// FuzzParser: no text makes a parser fail or lose content, and cutting it changes nothing.
func FuzzParser(f *testing.F) {
	for i, c := range replies {
		f.Add(c.text, uint8(i), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, form, step uint8) {
		format := Detect(replies[int(form)%len(replies)].template)
		whole := read(format.Parser("", []byte(weatherTools)), text)
		var cuts []int
		for i := 0; i < len(text); i += 1 + int(step)%7 {
			cuts = append(cuts, i)
		}
		if cut := read(format.Parser("", []byte(weatherTools)), text, cuts...); !reflect.DeepEqual(whole, cut) {
			t.Fatalf("%q cut at %v: %+v, whole %+v", text, cuts, cut, whole)
		}
		for _, c := range whole.Calls {
			if c.Name == "" {
				t.Fatalf("%q: a call without a name", text)
			}
		}
		if plain := read(Format{}.Parser("", nil), text); plain.Content != strings.TrimSpace(text) {
			t.Fatalf("%q: content is %q", text, plain.Content)
		}
	})
}
