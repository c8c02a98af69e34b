package server

import (
	"strings"
	"testing"

	"llmc/runtime"
	"llmc/runtime/beam"
)

// Beam search is asked for in vLLM's words, for completions and chat, and gives n choices.
func TestBeamSearchFields(t *testing.T) {
	b := &fakeBackend{}
	ts := startServer(t, b, Config{})
	for _, c := range []struct {
		path, fields string
		want         runtime.BeamSearch
	}{
		{"/v1/completions", `"prompt":"x","n":3`, runtime.BeamSearch{Width: 3, LengthPenalty: 1}},
		{"/v1/completions", `"prompt":"x","temperature":0,"length_penalty":0.5,"early_stopping":true`, runtime.BeamSearch{Width: 1, LengthPenalty: 0.5, Stopping: beam.First}},
		{"/v1/chat/completions", `"messages":[{"role":"user","content":"x"}],"n":2,"length_penalty":-1,"early_stopping":"never"`,
			runtime.BeamSearch{Width: 2, LengthPenalty: -1, Stopping: beam.Never}},
	} {
		got := ts.post(c.path, `{"use_beam_search":true,`+c.fields+`}`, 200)
		if choices := at(t, got, "choices").([]any); len(choices) != c.want.Width || b.searches[len(b.searches)-1] != c.want {
			t.Errorf("%s: %d choices of %+v, want %+v", c.fields, len(choices), b.searches[len(b.searches)-1], c.want)
		}
	}
	searches := len(b.searches)
	for fields, param := range map[string]string{
		`"stream":true`: "stream", `"echo":true`: "use_beam_search", `"best_of":2`: "use_beam_search", `"length_penalty":"x"`: "length_penalty",
		`"length_penalty":1e9`: "length_penalty", `"early_stopping":"soon"`: "early_stopping", `"use_beam_search":1`: "use_beam_search",
	} {
		body := `{"prompt":"x","use_beam_search":true,` + fields + `}`
		if strings.Contains(fields, "use_beam") {
			body = `{"prompt":"x",` + fields + `}`
		}
		if e := at(t, ts.post("/v1/completions", body, 400), "error", "param"); e != param {
			t.Errorf("%s: %v", fields, e)
		}
	}
	for _, fields := range []string{`"length_penalty":2`, `"early_stopping":true`} {
		ts.post("/v1/completions", `{"prompt":"x",`+fields+`}`, 400)
	}
	ts.post("/v1/completions", `{"prompt":"x","use_beam_search":false,"length_penalty":1.0,"early_stopping":false}`, 200)
	if len(b.searches) != searches {
		t.Error("what was refused, or not asked for, was searched")
	}
}
