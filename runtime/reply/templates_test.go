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

// rendered is what a template makes of a conversation.
type rendered map[string]struct{ Output *string }

// conversation is one of cases.json.
type conversation struct {
	Name    string
	Context struct{ Tools json.RawMessage }
}

func readFile[T any](t *testing.T, path string) (value T) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &value)
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestTemplates reads the calls of a conversation as real templates write them: what a model was trained on is what it writes.
func TestTemplates(t *testing.T) {
	dir := golden.Shared(t, "chat_templates")
	expected := readFile[map[string]rendered](t, filepath.Join(dir, "expected.json"))
	const question, name = "And 1.5+2?", "tools_call_result"
	read := 0
	for _, c := range readFile[[]conversation](t, filepath.Join(dir, "cases.json")) {
		for template, of := range expected {
			output := of[name].Output
			if c.Name != name || output == nil || !strings.Contains((*output)[strings.Index(*output, question)+1:], "get_weather") || untaught[template] {
				continue
			}
			source, err := os.ReadFile(filepath.Join(dir, "templates", template))
			if err != nil {
				t.Fatal(err)
			}
			_, text, _ := strings.Cut(*output, question)
			text, _, _ = strings.Cut(text, "21.5") // the answer of the tool
			calls := callsOf(reply.Detect(string(source)).Parser("", c.Context.Tools), text)
			if !same(calls[0], "get_weather", `{"location": "Zürich", "unit": "celsius", "days": 2}`) {
				t.Errorf("%s: the first call is %v of %q", template, calls[0], text)
			}
			if strings.Contains(text, "1.5") && !same(calls[1], "add", `{"a": 1.5, "b": 2, "tags": ["x", "y \"q\""]}`) {
				t.Errorf("%s: the second call is %v of %q", template, calls[1], text)
			}
			read++
		}
	}
	if read < 20 {
		t.Errorf("calls of %d templates were read", read)
	}
}

// callsOf are the names and arguments of the calls of a text.
func callsOf(p *reply.Parser, text string) map[int]*[2]string {
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
	return calls
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
