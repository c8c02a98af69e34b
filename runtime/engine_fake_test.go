package runtime

import (
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"

	"llmc/engine"
	"llmc/runtime/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The vocabulary of the fakes: every byte, the end of the output, a special token, and one that a device may be unable to sample.
const (
	idEOS     = 256
	idSpecial = 257
	idBroken  = 258
	vocab     = 512
)

// echo is a model that repeats what its prompt says: a prompt is the length n of a script and the script; the k-th output token is
// the script's k-th token, then comes idEOS. It reads prompts back through page tables.
type echo struct {
	limits engine.Settings
	pages  int
	memory []int32                                                     // token by slot
	before func(step int, st *engine.Step, out []engine.Sampled) error // runs in each step when set; steps count from 1
	breaks bool                                                        // idBroken can not be sampled
	ahead  bool                                                        // takes a step ahead
	steps  atomic.Int64
}

// bothWays runs a test on a model that computes a step at a time, and on one that takes a step ahead.
func bothWays(t *testing.T, test func(t *testing.T, newEcho func() *echo)) {
	for name, ahead := range map[string]bool{"a step at a time": false, "a step ahead": true} {
		t.Run(name, func(t *testing.T) {
			test(t, func() *echo {
				m := newEcho()
				m.ahead = ahead
				return m
			})
		})
	}
}

// model is what an engine gets of the echo.
func (m *echo) model() engine.Model {
	if m.ahead {
		return &aheadEcho{echo: m}
	}
	return m
}

// aheadEcho works on a step when it is waited for: as late as a device may.
type aheadEcho struct {
	*echo
	started []startedStep
	before  []engine.Sampled // answers of the last step that was waited for
}

type startedStep struct {
	step *engine.Step
	out  []engine.Sampled
}

func (m *aheadEcho) Foresees() bool { return true }

func (m *aheadEcho) Start(st *engine.Step, out []engine.Sampled) error {
	if len(m.started) == 2 {
		panic("a third step was started")
	}
	m.started = append(m.started, startedStep{st, out})
	return nil
}

func (m *aheadEcho) Wait() error {
	s := m.started[0]
	m.started = m.started[1:]
	for i, id := range s.step.IDs {
		if row, ok := engine.RowOf(id); ok {
			s.step.IDs[i] = m.before[row].Token
		}
	}
	err := m.Step(s.step, s.out)
	m.before = append(m.before[:0], s.out...)
	return err
}

func newEcho() *echo {
	m := &echo{limits: engine.Settings{MaxStepTokens: 64, MaxSequences: 16, MaxRows: 16, MaxContext: 4096, PageSize: 4}, pages: 4096}
	m.memory = make([]int32, m.pages*m.limits.PageSize)
	return m
}

func (m *echo) Limits() (engine.Settings, int) { return m.limits, m.pages }
func (m *echo) Close() error                   { return nil }

func (m *echo) CopyPage(to, from int32) error {
	size := m.limits.PageSize
	copy(m.memory[int(to)*size:][:size], m.memory[int(from)*size:][:size])
	return nil
}

func (m *echo) Step(st *engine.Step, out []engine.Sampled) error {
	n := int(m.steps.Add(1))
	for t, slot := range st.Slots {
		m.memory[slot] = st.IDs[t]
	}
	for i, r := range st.Rows {
		b := 0
		for st.SeqStart[b+1] <= r.Token {
			b++
		}
		out[i].Token = m.next(st.Pages[st.PageStart[b]:st.PageStart[b+1]], int(r.Position), r.Sampling)
		if r.Sampling.Logprobs >= 0 {
			out[i].Logprob = -float32(out[i].Token)
			for k := range r.Sampling.Logprobs {
				out[i].Top = append(out[i].Top, engine.TokenLogprob{Token: k, Logprob: -float32(k)})
			}
		}
	}
	if m.before != nil {
		if err := m.before(n, st, out); err != nil {
			return err
		}
	}
	sample.Accept(st.Drafts, out)
	return nil
}

func (m *echo) next(pages []int32, position int, sampling *engine.Sampling) int32 {
	size := m.limits.PageSize
	at := func(p int) int32 { return m.memory[int(pages[p/size])*size+p%size] }
	id := int32(idEOS)
	if n := int(at(0)); position-n < n+1 {
		id = at(position - n)
	}
	for _, banned := range sampling.Banned {
		if id == banned {
			return '#'
		}
	}
	for _, b := range sampling.Bias {
		id = b.Token
	}
	if id == idBroken && m.breaks {
		return -1
	}
	return id
}

// bytesStream is the text of the fake vocabulary: valid UTF-8 as soon as characters are complete.
type bytesStream struct {
	skipSpecial bool
	pending     []byte
}

func (s *bytesStream) Next(id int32) string {
	switch {
	case id == idSpecial && !s.skipSpecial:
		return "<special>"
	case id >= 300:
		panic("no such token")
	case id >= 256:
		return ""
	}
	s.pending = append(s.pending, byte(id))
	if !utf8.FullRune(s.pending) {
		return ""
	}
	text := string(s.pending)
	s.pending = s.pending[:0]
	return text
}

func (s *bytesStream) Flush() string {
	if len(s.pending) == 0 {
		return ""
	}
	s.pending = nil
	return "\ufffd"
}

func newBytesStream(skipSpecial bool) TextStream { return &bytesStream{skipSpecial: skipSpecial} }

var info = engine.ModelInfo{Name: "echo", Vocab: vocab, MaxContext: 4096, EOS: []int32{idEOS}}

// start returns a running engine that is closed with the test.
func start(t *testing.T, m *echo, options Options) *Engine {
	t.Helper()
	e, err := newEngine(m.model(), info, newBytesStream, options)
	if err != nil {
		t.Fatal(err)
	}
	go e.run()
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// script returns a request for the given output.
func script(ids ...int32) Request {
	return Request{
		Prompt: append([]int32{int32(len(ids))}, ids...), PromptLogprobs: -1,
		Sampling: engine.Sampling{Logprobs: -1},
	}
}

func scriptText(text string) Request {
	var ids []int32
	for _, b := range []byte(text) {
		ids = append(ids, int32(b))
	}
	return script(ids...)
}

// submit queues a request that must be accepted.
func submit(t *testing.T, e *Engine, r Request) Generation {
	t.Helper()
	g, err := e.Submit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// result is a generation read to its end.
type result struct {
	text   string
	tokens []int32
	events []Event
	last   Event
}

func read(t *testing.T, g Generation) result {
	t.Helper()
	var r result
	for {
		e, ok := g.Next(t.Context())
		if !ok {
			if r.last.Finish == "" {
				t.Fatalf("generation stopped without an end after %q", r.text)
			}
			return r
		}
		if r.last.Finish != "" {
			t.Fatalf("event %+v after the end", e)
		}
		if !utf8.ValidString(e.Text) {
			t.Errorf("text %q is cut inside a character", e.Text)
		}
		r.text += e.Text
		if e.Token >= 0 {
			r.tokens = append(r.tokens, e.Token)
		}
		r.events = append(r.events, e)
		r.last = e
	}
}
