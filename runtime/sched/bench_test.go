package sched

import (
	"testing"
	"time"

	"llmc/engine"
)

// crowd returns a scheduler with n running sequences of about 512 tokens each, all past their prompts.
func crowd(tb testing.TB, n int, change func(*Request)) *Scheduler {
	const context = 4096
	s, err := New(Config{
		Settings: engine.Settings{MaxStepTokens: 8192, MaxSequences: n, MaxRows: n, MaxContext: context, PageSize: 16},
		Pages:    n * context / 16, Vocab: 150_000,
	})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		r := Request{PromptLogprobs: -1, StopTokens: []int32{2, 7, 11}, Sampling: engine.Sampling{Temperature: 0.7, Seed: uint64(i), Logprobs: -1}}
		for j := range 512 {
			r.Prompt = append(r.Prompt, int32(i*512+j))
		}
		if change != nil {
			change(&r)
		}
		if _, err := s.Add(r); err != nil {
			tb.Fatal(err)
		}
	}
	var outputs []Output
	out := make([]engine.Sampled, n)
	for s.Stats().Running < n || len(s.spare.parts) < n || s.spare.step.T() > n {
		outputs = advance(tb, s, out, outputs)
	}
	return s
}

// advance runs one step whose device is free: every row is answered with the same token.
func advance(tb testing.TB, s *Scheduler, out []engine.Sampled, outputs []Output) []Output {
	st := s.Schedule(time.Time{})
	out = out[:len(st.Rows)]
	for i := range out {
		out[i].Token = 1000
	}
	s.Complete(out)
	outputs = s.TakeOutputs(outputs[:0])
	if len(outputs) != len(out) {
		tb.Fatalf("%d outputs of %d rows", len(outputs), len(out))
	}
	return outputs
}

func TestStepDoesNotAllocate(t *testing.T) {
	const n = 64
	s := crowd(t, n, nil)
	out := make([]engine.Sampled, n)
	var outputs []Output
	outputs = advance(t, s, out, outputs)
	// Page and hash boundaries are crossed; the room that sequences begin with is not.
	if got := testing.AllocsPerRun(300, func() { outputs = advance(t, s, out, outputs) }); got != 0 {
		t.Errorf("%v allocations a step", got)
	}
}

func TestStepAheadDoesNotAllocate(t *testing.T) {
	const n = 64
	s := crowd(t, n, nil)
	out := make([]engine.Sampled, n)
	for i := range out {
		out[i].Token = 1000
	}
	var outputs []Output
	s.Schedule(time.Time{})
	step := func() {
		if st := s.Ahead(time.Time{}); st == nil || st.T() != n {
			t.Fatal("no step of all sequences ahead")
		}
		s.Complete(out)
		outputs = s.TakeOutputs(outputs[:0])
	}
	for range 3 {
		step()
	}
	if got := testing.AllocsPerRun(300, step); got != 0 {
		t.Errorf("%v allocations a step", got)
	}
}

func benchmarkStep(b *testing.B, n int) {
	out := make([]engine.Sampled, n)
	outputs := make([]Output, 0, n)
	var s *Scheduler
	b.ReportAllocs()
	for i := range b.N {
		if i%1024 == 0 { // contexts between 512 and 1536 tokens
			b.StopTimer()
			s = crowd(b, n, nil)
			b.StartTimer()
		}
		outputs = advance(b, s, out, outputs)
	}
}

func BenchmarkStep256(b *testing.B) { benchmarkStep(b, 256) }
func BenchmarkStep32(b *testing.B)  { benchmarkStep(b, 32) }
