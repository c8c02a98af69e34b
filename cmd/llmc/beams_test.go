package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/beam"
)

// recordedBeams is what transformers' beam search made of a prompt.
type recordedBeams struct {
	Model         string
	IDs           []int32
	Width         int
	LengthPenalty float64 `json:"length_penalty"`
	EarlyStopping any     `json:"early_stopping"`
	Ends          []int32
	MaxTokens     int `json:"max_tokens"`
	Outputs       [][]int32
	Scores        []float64
}

// stopping is the way to stop of a value of early_stopping.
var stopping = map[any]beam.Stopping{false: beam.Heuristic, true: beam.First, "never": beam.Never}

// TestBeamSearchGoldens wants the outputs of transformers' beam search, in their order, with scores as near as f32 gets, whatever the batch and the cache,
// and the engine alone in the end.
func TestBeamSearchGoldens(t *testing.T) {
	text, err := os.ReadFile("../../testdata/beams.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []recordedBeams
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	loaded := map[string]*runtime.Loaded{}
	for i, c := range cases {
		if loaded[c.Model] == nil {
			loaded[c.Model] = loadBeams(t, c.Model)
		}
		info := loaded[c.Model].Info
		info.EOS = c.Ends
		e, err := runtime.New(loaded[c.Model].Model, info, nil, runtime.Options{NoPrefixCache: i%3 == 1, PreemptEvery: []int{0, 0, 2}[i%3]})
		if err != nil {
			t.Fatal(err)
		}
		c.hold(t, e)
		if st := e.Stats(); i%3 == 0 && st.PrefixHits < uint64(len(c.IDs)) {
			t.Errorf("%d tokens were found in the cache", st.PrefixHits)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func loadBeams(t *testing.T, name string) *runtime.Loaded {
	t.Helper()
	plan := filepath.Join(t.TempDir(), "x.plan")
	if _, err := compiler.Build(t.Context(), compiler.Options{Model: filepath.Join("../../testdata/checkpoints", name), Out: plan, Quant: "f32"}); err != nil {
		t.Fatal(err)
	}
	loaded, err := runtime.Load(plan, "cpu", engine.Settings{Threads: 1, MaxSequences: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { loaded.Close() })
	return loaded
}

// hold compares a search with the recorded one.
func (c *recordedBeams) hold(t *testing.T, e *runtime.Engine) {
	t.Helper()
	list, err := e.SubmitBeams(t.Context(), runtime.Request{
		Prompt: c.IDs, MaxTokens: c.MaxTokens, PromptLogprobs: -1, Sampling: engine.Sampling{Logprobs: 0},
	}, runtime.BeamSearch{Width: c.Width, LengthPenalty: c.LengthPenalty, Stopping: stopping[c.EarlyStopping]})
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range list {
		var got []int32
		sum, finish := 0.0, runtime.Finish("")
		for event, ok := g.Next(t.Context()); ok; event, ok = g.Next(t.Context()) {
			if event.Err != nil {
				t.Fatal(event.Err)
			}
			got, finish = append(got, event.Token), event.Finish
			sum += float64(event.Logprob.Logprob)
		}
		want := c.Outputs[i]
		wantFinish := runtime.FinishLength
		if slices.Contains(c.Ends, want[len(want)-1]) {
			wantFinish = runtime.FinishStop
		}
		score := sum / math.Pow(float64(len(got)), c.LengthPenalty)
		if !slices.Equal(got, want) || finish != wantFinish || math.Abs(score-c.Scores[i]) > 2e-3*(1+math.Abs(score)) {
			t.Errorf("%s, prompt of %d, width %d, penalty %v, stopping %v, ends %v: output %d is %v (%s, %.5f), want %v (%s, %.5f)", c.Model, len(c.IDs), c.Width,
				c.LengthPenalty, c.EarlyStopping, c.Ends, i, got, finish, score, want, wantFinish, c.Scores[i])
		}
	}
}
