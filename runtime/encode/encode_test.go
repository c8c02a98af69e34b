package encode

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/sym"
	"llmc/runtime"
)

// fake gives for each sequence the sum of its ids, the sum of its types and the number of tokens, and counts steps. It holds a step until it may go on,
// where a gate is set.
type fake struct {
	engine.Model
	mu    sync.Mutex
	steps [][]int32 // SeqStart of each
	gate  chan struct{}
	fail  error
}

func (f *fake) Limits() (engine.Settings, int) {
	return engine.Settings{MaxStepTokens: 20, MaxSequences: 4, MaxContext: 12, PageSize: 4}, 6
}

func (f *fake) Functions() []string { return []string{"embed"} }

func (f *fake) Results(string) []engine.Buffer {
	return []engine.Buffer{{Name: "embedding", Rows: sym.Of(sym.B), Cols: 3, DType: dtype.F32}}
}

func (f *fake) Run(_ string, s *engine.Step, out [][]float32) error {
	if f.gate != nil {
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps = append(f.steps, slices.Clone(s.SeqStart))
	if s.T() > 20 || s.B() > 4 || len(s.Pages) > 6 {
		return errors.New("a step beyond the limits")
	}
	for b := range s.B() {
		row := out[0][3*b : 3*b+3]
		clear(row)
		for i := s.SeqStart[b]; i < s.SeqStart[b+1]; i++ {
			row[0] += float32(s.IDs[i])
			if len(s.Types) > 0 {
				row[1] += float32(s.Types[i])
			}
			row[2]++
		}
	}
	return f.fail
}

func newFake(f *fake) *Encoder {
	info := engine.ModelInfo{Vocab: 100, Encoder: &engine.EncoderInfo{MaxTokens: 10, Prompts: []engine.Prompt{{Name: "query", Text: "q: "}}}}
	e := &Encoder{model: f, info: info, function: "embed", result: f.Results("")[0]}
	e.limits, e.pages = f.Limits()
	return e
}

// inputs are n sequences of different lengths, all but the third without types.
func inputs(n int) []Input {
	list := make([]Input, n)
	for i := range list {
		for j := range 1 + i*3%10 {
			list[i].IDs = append(list[i].IDs, int32(i+j))
		}
		if i == 2 {
			list[i].Types = slices.Repeat([]int32{1}, len(list[i].IDs))
		}
	}
	return list
}

// wantRows checks what the fake gives for inputs(n).
func wantRows(t *testing.T, list []Input, rows [][]float32) {
	t.Helper()
	for i, in := range list {
		want := []float32{0, 0, float32(len(in.IDs))}
		for j, id := range in.IDs {
			want[0] += float32(id)
			if in.Types != nil {
				want[1] += float32(in.Types[j])
			}
		}
		if !slices.Equal(rows[i], want) {
			t.Errorf("sequence %d: %v, want %v", i, rows[i], want)
		}
	}
}

// Steps hold as many sequences as tokens, sequences and pages allow, and each sequence gets its own row.
func TestRunFillsSteps(t *testing.T) {
	f := &fake{}
	list := inputs(23)
	rows, err := newFake(f).Run(list)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, list, rows)
	if len(f.steps) >= len(list) {
		t.Errorf("%d steps for %d sequences", len(f.steps), len(list))
	}
}

func TestRefusals(t *testing.T) {
	e := newFake(&fake{})
	for _, c := range []struct {
		in   Input
		text string
	}{
		{Input{}, "input 1: no tokens"},
		{Input{IDs: make([]int32, 11)}, "input 1: 11 tokens, at most 10"},
		{Input{IDs: []int32{100}}, "input 1: id 100 is outside the vocabulary of 100"},
		{Input{IDs: []int32{-1}}, "input 1: id -1 is outside"},
		{Input{IDs: []int32{1}, Types: []int32{0, 1}}, "input 1: 2 types for 1 tokens"},
	} {
		if _, err := e.Run([]Input{{IDs: []int32{1}}, c.in}); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v, want %q", err, c.text)
		}
	}
	if _, err := e.Text("", "x"); err == nil || !strings.Contains(err.Error(), "no tokenizer") {
		t.Errorf("%v", err)
	}
	for name, text := range map[string]string{"query": "q: ", "": ""} {
		if got, err := e.prompt(name); err != nil || got != text {
			t.Errorf("prompt %q is %q, %v", name, got, err)
		}
	}
	if _, err := e.prompt("other"); !errors.Is(err, ErrPrompt) || !strings.Contains(err.Error(), `"other"; the plan has query`) {
		t.Errorf("%v", err)
	}
}

// Requests share steps, and each gets what it asked for.
func TestServiceSharesSteps(t *testing.T) {
	f := &fake{gate: make(chan struct{})}
	s := NewService(Functions{Texts: newFake(f)}, ServiceOptions{})
	var group sync.WaitGroup
	list := inputs(6)
	for range 8 {
		group.Go(func() {
			own := slices.Clone(list) // Encode completes its inputs
			rows, err := s.Encode(t.Context(), own)
			if err != nil {
				t.Error(err)
				return
			}
			wantRows(t, own, rows)
		})
	}
	for running, waiting := 0, 0; running+waiting < 48; running, waiting = s.Load() {
	}
	close(f.gate)
	group.Wait()
	if err := errors.Join(s.Health(), s.Close()); err != nil {
		t.Error(err)
	}
	if len(f.steps) >= 48 {
		t.Errorf("%d steps for 48 sequences", len(f.steps))
	}
	if _, err := s.Encode(t.Context(), list); !errors.Is(err, runtime.ErrDraining) {
		t.Errorf("after Close: %v", err)
	}
}

func count(steps [][]int32) (sequences int) {
	for _, s := range steps {
		sequences += len(s) - 1
	}
	return sequences
}

// What waits beyond the limit is refused, what its client has given up is not computed, and what a step fails with is told.
func TestServiceRefusesAndForgets(t *testing.T) {
	f := &fake{gate: make(chan struct{}), fail: errors.New("broken")}
	s := NewService(Functions{Texts: newFake(f)}, ServiceOptions{Queue: 2})
	defer s.Close()
	first := make(chan error, 1)
	one := []Input{{IDs: []int32{1}}}
	go func() {
		_, err := s.Encode(t.Context(), one)
		first <- err
	}()
	for running := 0; running == 0; running, _ = s.Load() {
	}
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() {
		_, err := s.Encode(ctx, []Input{one[0], one[0]})
		given <- err
	}()
	for waiting := 0; waiting == 0; _, waiting = s.Load() {
	}
	if _, err := s.Encode(t.Context(), one); !errors.Is(err, runtime.ErrQueueFull) {
		t.Errorf("a third one waits: %v", err)
	}
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	f.gate <- struct{}{}
	if err := <-first; err == nil || s.Health() == nil {
		t.Errorf("a failed step gives %v, health is %v", err, s.Health())
	}
	if _, err := s.Encode(t.Context(), []Input{{}}); !errors.Is(err, runtime.ErrBadRequest) {
		t.Errorf("no tokens: %v", err)
	}
	if n := count(f.steps); n != 1 {
		t.Errorf("%d sequences were computed", n)
	}
}

// A step with room waits for more sequences, a full one for nothing; no clock of this test runs out.
func TestServiceWaitsForAFullStep(t *testing.T) {
	f := &fake{}
	s := NewService(Functions{Texts: newFake(f)}, ServiceOptions{Delay: time.Hour})
	var group sync.WaitGroup
	one := []Input{{IDs: []int32{1}}}
	encode := func() {
		if _, err := s.Encode(t.Context(), one); err != nil {
			t.Error(err)
		}
	}
	for sent := 1; sent <= 3; sent++ {
		group.Go(encode)
		for waiting := 0; waiting != sent; _, waiting = s.Load() {
		}
	}
	group.Go(encode) // the fourth of four
	group.Wait()
	if len(f.steps) != 1 || count(f.steps) != 4 {
		t.Errorf("steps %v, want one of 4 sequences", f.steps)
	}
	late := make(chan error, 1)
	go func() {
		_, err := s.Encode(t.Context(), one)
		late <- err
	}()
	for waiting := 0; waiting == 0; _, waiting = s.Load() {
	}
	if err := errors.Join(s.Close()); err != nil {
		t.Error(err)
	}
	if err := <-late; !errors.Is(err, runtime.ErrDraining) {
		t.Errorf("what waited when the service ended: %v", err)
	}
	quick := NewService(Functions{Texts: newFake(f)}, ServiceOptions{Delay: time.Nanosecond})
	defer quick.Close()
	if _, err := quick.Encode(t.Context(), one); err != nil || count(f.steps) != 5 {
		t.Errorf("a step whose time has come: %v, %v", f.steps, err)
	}
}

// A step that hangs is told when it has taken longer than a step may, and no longer when it is done.
func TestServiceHealthTellsOfAHangingStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{gate: make(chan struct{})}
		s := NewService(Functions{Texts: newFake(f)}, ServiceOptions{StallAfter: time.Minute})
		answered := make(chan error, 1)
		go func() {
			_, err := s.Encode(t.Context(), []Input{{IDs: []int32{1}}})
			answered <- err
		}()
		time.Sleep(time.Minute)
		if err := s.Health(); err != nil {
			t.Errorf("within the limit: %v", err)
		}
		time.Sleep(time.Second)
		if err := s.Health(); err == nil || !strings.Contains(err.Error(), "1m1s") {
			t.Errorf("beyond the limit: %v", err)
		}
		f.gate <- struct{}{}
		if err := errors.Join(<-answered, s.Close(), s.Health()); err != nil {
			t.Error(err)
		}
	})
}
