package server

import (
	"fmt"
	"strings"
	"testing"

	"llmc/engine"
)

// Prompts that are encoded take no room from outputs, have a length of their own, and are not repeated.
func TestEncodedPrompts(t *testing.T) {
	b := &fakeBackend{}
	m := fakeModel("tiny", b)
	m.MaxContext, m.MaxSource, m.Info.Source = 9, 4, &engine.SourceInfo{Start: []int32{0}}
	ts := startServer(t, b, Config{Models: []Model{m}})
	ts.post("/v1/completions", `{"prompt":[1,2,3,4],"max_tokens":8}`, 200)
	if got := b.last(); len(got.Prompt) != 4 || got.MaxTokens != 8 {
		t.Errorf("%+v", got)
	}
	for body, want := range map[string]string{
		`{"prompt":[1,2,3,4,5],"max_tokens":1}`:       "prompt: 5 tokens, at most 4 are encoded",
		`{"prompt":[1,2],"max_tokens":9}`:             "max_tokens: an output has 8 tokens at most, 9 were requested",
		`{"prompt":[1,2],"max_tokens":1,"echo":true}`: "echo: the model encodes its prompts",
	} {
		if answer := ts.post("/v1/completions", body, 400); !strings.Contains(fmt.Sprint(answer), want) {
			t.Errorf("%s: %s, want %q", body, answer, want)
		}
	}
}
