package reply_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/internal/golden"
	"llmc/runtime/reply"
)

// untaught are templates that show calls in a way that is not read.
var untaught = map[string]bool{"MiniMax-M3.jinja": true, "Kimi-K3.jinja": true}

// TestTemplates reads the calls of conversations as real templates write them: what a model was trained on is what it writes.
func TestTemplates(t *testing.T) {
	dir := golden.Shared(t, "chat_templates")
	var expected map[string]map[string]struct{ Output *string }
	data, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err == nil {
		err = json.Unmarshal(data, &expected)
	}
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name    string
		Context struct{ Tools json.RawMessage }
	}
	data, err = os.ReadFile(filepath.Join(dir, "cases.json"))
	if err == nil {
		err = json.Unmarshal(data, &cases)
	}
	if err != nil {
		t.Fatal(err)
	}
	const question, name = "And 1.5+2?", "tools_call_result"
	read := 0
	for template, of := range expected {
		source, err := os.ReadFile(filepath.Join(dir, "templates", template))
		if err != nil {
			t.Fatal(err)
		}
		output := of[name].Output
		format := reply.Detect(string(source))
		if output == nil || !strings.Contains((*output)[strings.Index(*output, question)+1:], "get_weather") || untaught[template] {
			continue
		}
		_, text, _ := strings.Cut(*output, question)
		text, _, _ = strings.Cut(text, "21.5") // the answer of the tool
		for _, c := range cases {
			if c.Name != name {
				continue
			}
			p := format.Parser("", c.Context.Tools)
			calls := map[int]*[2]string{}
			for _, d := range append(append([]reply.Delta{}, p.Feed(text)...), p.End()...) {
				if d.Call == nil {
					continue
				}
				if calls[d.Call.Index] == nil {
					calls[d.Call.Index] = &[2]string{d.Call.Name}
				}
				calls[d.Call.Index][1] += d.Call.Arguments
			}
			if !same(calls[0], "get_weather", `{"location": "Zürich", "unit": "celsius", "days": 2}`) {
				t.Errorf("%s: the first call is %v of %q", template, calls[0], text)
			}
			if oneCall := strings.Count(text, "1.5") == 0; !oneCall && !same(calls[1], "add", `{"a": 1.5, "b": 2, "tags": ["x", "y \"q\""]}`) {
				t.Errorf("%s: the second call is %v of %q", template, calls[1], text)
			}
			read++
		}
	}
	if read < 20 {
		t.Errorf("calls of %d templates were read", read)
	}
}

func same(call *[2]string, name, arguments string) bool {
	var got, want any
	return call != nil && call[0] == name && json.Unmarshal([]byte(call[1]), &got) == nil && json.Unmarshal([]byte(arguments), &want) == nil &&
		equal(got, want)
}

func equal(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}
