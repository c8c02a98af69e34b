package runtime

import (
	"context"
	"testing"

	"llmc/engine"
)

// instant is a model that answers every row with the same token at no cost.
type instant struct {
	limits engine.Settings
	pages  int
}

func (m *instant) Limits() (engine.Settings, int) { return m.limits, m.pages }
func (m *instant) CopyPage(_, _ int32) error      { return nil }
func (m *instant) Close() error                   { return nil }

func (m *instant) Step(st *engine.Step, out []engine.Sampled) error {
	for i := range st.Rows {
		out[i].Token = 'a'
	}
	return nil
}

// vocabularyStream has text for every token without making any, as a detokeniser with a table has.
type vocabularyStream struct{}

func (vocabularyStream) Next(int32) string { return "a" }
func (vocabularyStream) Flush() string     { return "" }

// crowd returns an engine, whose loop does not run, with n requests past their prompts.
func crowd(tb testing.TB, n int) (*Engine, []Generation) {
	m := &instant{engine.Settings{MaxStepTokens: 8192, MaxSequences: n, MaxRows: n, MaxContext: 4096, PageSize: 16}, n * 256}
	model := engine.ModelInfo{Vocab: 150_000, MaxContext: 4096, EOS: []int32{2, 7}}
	e, err := newEngine(m, model, func(bool) TextStream { return vocabularyStream{} }, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	var all []Generation
	for i := range n {
		r := Request{PromptLogprobs: -1, StopTokens: []int32{11}, Stop: []string{"</s>", "\n\n"}, Sampling: engine.Sampling{Logprobs: -1}}
		for j := range 512 {
			r.Prompt = append(r.Prompt, int32(i*512+j))
		}
		g, err := e.Submit(context.Background(), r)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, g)
	}
	for range 2*n*512/8192 + 2 {
		e.step()
	}
	takeAll(tb, all)
	if s := e.Stats(); s.Running != n {
		tb.Fatalf("%+v", s)
	}
	return e, all
}

// takeAll reads what the consumers have to read and returns how many events there were.
func takeAll(tb testing.TB, all []Generation) int {
	n := 0
	for _, g := range all {
		for q := &g.(*generation).queue; len(q.events) > 0; n++ {
			if _, ok := g.Next(context.Background()); !ok {
				tb.Fatal("no event")
			}
		}
	}
	return n
}

func TestStepDoesNotAllocate(t *testing.T) {
	e, all := crowd(t, 64)
	if got := testing.AllocsPerRun(300, func() {
		e.step()
		if n := takeAll(t, all); n != 64 {
			t.Fatalf("%d events", n)
		}
	}); got != 0 {
		t.Errorf("%v allocations a step", got)
	}
}

// One step with everything on the host: scheduling, pages, detokenisation calls, stop strings, queues; and the consumers' reads.
func BenchmarkStep256(b *testing.B) {
	var e *Engine
	var all []Generation
	b.ReportAllocs()
	for i := range b.N {
		if i%1024 == 0 {
			b.StopTimer()
			e, all = crowd(b, 256)
			b.StartTimer()
		}
		e.step()
		takeAll(b, all)
	}
}

// The same with a waiting consumer for every request: each hand-out wakes a goroutine.
func BenchmarkStep256Awake(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var e *Engine
	for i := range b.N {
		if i%1024 == 0 {
			b.StopTimer()
			var all []Generation
			e, all = crowd(b, 256)
			for _, g := range all {
				go func() {
					for {
						if _, ok := g.Next(ctx); !ok {
							return
						}
					}
				}()
			}
			b.StartTimer()
		}
		e.step()
	}
}
