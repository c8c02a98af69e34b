package bench

import (
	"context"
	"testing"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/device/limits"
)

// translator is an encoder-decoder that wants of every step what a device checks, pages of texts that were written and that no output is written to.
type translator struct {
	t               *testing.T
	limits          limits.Limits
	texts, own      map[int32]bool // pages written
	encoded, tokens int
}

func (m *translator) Limits() (engine.Settings, int)      { return m.limits.Settings, m.limits.Pages }
func (*translator) CopyPage(dst, src int32) error         { return nil }
func (*translator) Close() error                          { return nil }
func (*translator) Functions() []string                   { return []string{engine.EncodeFunc} }
func (*translator) Results(string) []engine.Buffer        { return nil }
func (*translator) Launches() []engine.LaunchTime         { return make([]engine.LaunchTime, 1) }
func (*translator) LaunchesOf(string) []engine.LaunchTime { return make([]engine.LaunchTime, 2) }

func (m *translator) Run(function string, s *engine.Step, _ [][]float32) error {
	for _, slot := range s.Slots {
		m.texts[slot/int32(m.limits.PageSize)] = true
	}
	m.encoded += s.T()
	return m.limits.CheckWhole(s)
}

func (m *translator) Step(s *engine.Step, out []engine.Sampled) error {
	for _, slot := range s.Slots {
		m.own[slot/int32(m.limits.PageSize)] = true
	}
	for _, page := range s.Source.Pages {
		if !m.texts[page] || m.own[page] {
			m.t.Errorf("page %d of a text: written %v, written by an output %v", page, m.texts[page], m.own[page])
		}
	}
	for i := range out {
		out[i].Token = 5
	}
	m.tokens += s.T()
	if err := m.limits.CheckTexts(s); err != nil {
		return err
	}
	return m.limits.Check(s, out)
}

func (m *translator) Profile(s *engine.Step, out []engine.Sampled, times []engine.LaunchTime) error {
	times[0].Seconds++
	return m.Step(s, out)
}

func (m *translator) ProfileFunction(function string, s *engine.Step, times []engine.LaunchTime) error {
	times[0].Seconds++
	times[1].Seconds++
	return m.Run(function, s, nil)
}

func newTranslator(t *testing.T) (*translator, *runtime.Loaded) {
	m := &translator{t: t, texts: map[int32]bool{}, own: map[int32]bool{}}
	m.limits = limits.Limits{Settings: engine.Settings{MaxStepTokens: 50, MaxSequences: 3, MaxRows: 3, MaxContext: 40, PageSize: 16}, Vocab: 100, Pages: 12}
	return m, &runtime.Loaded{Plan: &engine.Plan{}, Model: m, Info: engine.ModelInfo{Vocab: 100, Source: &engine.SourceInfo{Start: []int32{7, 8}}}}
}

func TestRunSourceEncodesThenDecodes(t *testing.T) {
	m, loaded := newTranslator(t)
	rows, err := RunSource(context.Background(), loaded, Config{Prompt: 24, Gen: 19, Batches: []int{3}, Repeat: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 || rows[0].PrefillTS <= 0 || rows[0].DecodeTS <= 0 || rows[0].Prompt != 24 || rows[0].Gen != 19 {
		t.Errorf("%+v", rows)
	}
	if want := 2 * 3 * (2 + 18); m.encoded != 2*3*24 || m.tokens != want {
		t.Errorf("%d tokens encoded and %d decoded, want %d and %d", m.encoded, m.tokens, 2*3*24, want)
	}
}

// TestProfileSource wants the launches of both functions apart, those of a first run left out: two steps that encode 3 texts of 24 in 50 tokens, four that decode.
func TestProfileSource(t *testing.T) {
	_, loaded := newTranslator(t)
	phases, err := ProfileSource(context.Background(), loaded, Config{Prompt: 24, Gen: 4, Batches: []int{3}, Repeat: 1})
	if err != nil || len(phases) != 2 {
		t.Fatalf("%+v, %v", phases, err)
	}
	for i, want := range []struct {
		name            string
		steps, launches int
	}{{engine.EncodeFunc, 2, 2}, {"decode", 4, 1}} {
		p := phases[i]
		if p.Name != want.name || p.Steps != want.steps || len(p.Launches) != want.launches || p.Launches[0].Seconds != float64(want.steps) {
			t.Errorf("%+v, want %+v", p, want)
		}
	}
}

func TestRunSourceRefusesWhatDoesNotFit(t *testing.T) {
	_, loaded := newTranslator(t)
	for name, c := range map[string]Config{
		"text": {Prompt: 41, Gen: 1, Batches: []int{1}, Repeat: 1}, "output": {Prompt: 8, Gen: 39, Batches: []int{1}, Repeat: 1},
		"batch": {Prompt: 8, Gen: 1, Batches: []int{4}, Repeat: 1}, "pages": {Prompt: 40, Gen: 20, Batches: []int{3}, Repeat: 1},
	} {
		if _, err := RunSource(context.Background(), loaded, c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
