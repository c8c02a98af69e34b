package runtime

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"llmc/engine"
)

func TestOutputs(t *testing.T) { bothWays(t, testOutputs) }

func testOutputs(t *testing.T, newEcho func() *echo) {
	with := func(r Request, change func(*Request)) Request {
		change(&r)
		return r
	}
	for _, c := range []struct {
		name    string
		request Request
		text    string
		tokens  int
		finish  Finish
		reason  any
	}{
		{"to the model's end", scriptText("hello"), "hello", 6, FinishStop, nil},
		{"characters of several tokens", scriptText("a€😀é"), "a€😀é", 11, FinishStop, nil},
		{"half a character at the end", script('a', 0xe2, 0x82), "a\ufffd", 4, FinishStop, nil},
		{"token limit", with(scriptText("hello"), func(r *Request) { r.MaxTokens = 3 }), "hel", 3, FinishLength, nil},
		{"a limit that is none", with(scriptText("hello"), func(r *Request) { r.MaxTokens, r.MinTokens = math.MaxInt, 1 }), "hello", 6, FinishStop, nil},
		{"limit inside a character", with(scriptText("a€"), func(r *Request) { r.MaxTokens = 2 }), "a\ufffd", 2, FinishLength, nil},
		{"no end", with(scriptText("ab"), func(r *Request) { r.IgnoreEOS, r.MaxTokens = true, 6 }), "ab", 6, FinishLength, nil},
		{"stop token", with(scriptText("hello"), func(r *Request) { r.StopTokens = []int32{'l'} }), "he", 3, FinishStop, int32('l')},
		{"end that is also a stop token", with(scriptText("a"), func(r *Request) { r.StopTokens = []int32{idEOS} }), "a", 2, FinishStop, nil},
		{
			"end as a stop token alone", with(scriptText("a"), func(r *Request) { r.IgnoreEOS, r.StopTokens = true, []int32{idEOS} }),
			"a", 2, FinishStop, int32(idEOS),
		},
		{"stop string", with(scriptText("one two three"), func(r *Request) { r.Stop = []string{"x", " tw"} }), "one", 6, FinishStop, " tw"},
		{"nearly a stop string", with(scriptText("one tw"), func(r *Request) { r.Stop = []string{" two"} }), "one tw", 7, FinishStop, nil},
		{"stop string with the last token", with(scriptText("one"), func(r *Request) { r.Stop, r.MaxTokens = []string{"e"}, 3 }), "on", 3, FinishStop, "e"},
		{"text kept back at the limit", with(scriptText("one"), func(r *Request) { r.Stop, r.MaxTokens = []string{"er"}, 3 }), "one", 3, FinishLength, nil},
		{"minimum", with(scriptText("ab"), func(r *Request) { r.MinTokens, r.MaxTokens = 4, 9 }), "ab##", 5, FinishStop, nil},
		{"minimum and stop string", with(scriptText("abab"), func(r *Request) { r.MinTokens, r.Stop = 3, []string{"ab", "b"} }), "aba", 4, FinishStop, "b"},
		{"special token shown", script('a', idSpecial, 'b'), "a<special>b", 4, FinishStop, nil},
		{"special token left out", with(script('a', idSpecial, 'b'), func(r *Request) { r.SkipSpecial = true }), "ab", 4, FinishStop, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := submit(t, start(t, newEcho(), Options{}), c.request)
			r := read(t, g)
			if r.text != c.text || len(r.tokens) != c.tokens || r.last.Finish != c.finish || r.last.StopReason != c.reason || r.last.Err != nil {
				t.Errorf("%q, %d tokens, end %+v", r.text, len(r.tokens), r.last)
			}
			want := Usage{PromptTokens: len(c.request.Prompt), OutputTokens: c.tokens}
			if got := counted(g.Usage()); got != want {
				t.Errorf("usage %+v, want %+v", got, want)
			}
		})
	}
}

func TestEveryTokenHasItsEvent(t *testing.T) { bothWays(t, testEveryTokenHasItsEvent) }

func testEveryTokenHasItsEvent(t *testing.T, newEcho func() *echo) {
	r := scriptText("a€b</s>")
	r.Stop = []string{"</s>"}
	got := read(t, submit(t, start(t, newEcho(), Options{}), r))
	var texts []string
	for _, e := range got.events {
		texts = append(texts, e.Text)
	}
	if want := []string{"a", "", "", "€", "b", "", "", "", ""}; !slices.Equal(texts, want) || len(got.tokens) != len(want) {
		t.Errorf("texts %q, %d tokens", texts, len(got.tokens))
	}
}

func TestLogprobs(t *testing.T) { bothWays(t, testLogprobs) }

func testLogprobs(t *testing.T, newEcho func() *echo) {
	e := start(t, newEcho(), Options{})
	r := scriptText("abc")
	r.Sampling.Logprobs = 2
	for _, ev := range read(t, submit(t, e, r)).events {
		want := []engine.TokenLogprob{{Token: 0, Logprob: 0}, {Token: 1, Logprob: -1}}
		if ev.Logprob.Token != ev.Token || ev.Logprob.Logprob != -float32(ev.Token) || !slices.Equal(ev.Logprob.Top, want) {
			t.Errorf("%+v", ev)
		}
	}
	r.PromptLogprobs = 1
	g := submit(t, e, r)
	read(t, g)
	got := g.PromptLogprobs()
	if len(got) != len(r.Prompt) {
		t.Fatalf("%d prompt log-probabilities", len(got))
	}
	for i, s := range got {
		if s.Token != r.Prompt[i] || i > 0 && (s.Logprob != -float32(s.Token) || len(s.Top) != 1) {
			t.Errorf("prompt token %d: %+v", i, s)
		}
	}
	if r.PromptLogprobs = -1; submit(t, e, r).PromptLogprobs() != nil {
		t.Error("prompt log-probabilities that nobody asked for")
	}
}

// Many consumers at once get what each would get alone, under tight limits and forced preemption.
func TestConcurrentRequests(t *testing.T) { bothWays(t, testConcurrentRequests) }

func testConcurrentRequests(t *testing.T, newEcho func() *echo) {
	m := newEcho()
	m.limits.MaxStepTokens, m.limits.MaxSequences, m.limits.MaxContext, m.pages = 24, 8, 400, 140
	e := start(t, m, Options{PreemptEvery: 7, ChunkTokens: 9})
	var all sync.WaitGroup
	for i := range 48 {
		all.Go(func() {
			text := strings.Repeat(fmt.Sprintf("request %d ", i), 1+i%7)
			r := scriptText(text + "END more")
			r.Stop, r.CacheSalt = []string{"END"}, []string{"", "a"}[i%2]
			g, err := e.Submit(t.Context(), r)
			if err != nil {
				t.Error(err)
				return
			}
			if got := read(t, g); got.text != text || got.last.Finish != FinishStop {
				t.Errorf("request %d: %q, %+v", i, got.text, got.last)
			}
		})
	}
	all.Wait()
	if s := e.Stats(); s.Preemptions == 0 || s.Running != 0 || s.Waiting != 0 || s.PagesHeld != 0 {
		t.Errorf("%+v", s)
	}
}

// A consumer that does not read holds up nobody and loses nothing.
func TestSlowConsumer(t *testing.T) { bothWays(t, testSlowConsumer) }

func testSlowConsumer(t *testing.T, newEcho func() *echo) {
	e := start(t, newEcho(), Options{})
	text := strings.Repeat("long ", 50)
	slow := submit(t, e, scriptText(text))
	for range 20 {
		read(t, submit(t, e, scriptText("short")))
	}
	for e.Stats().Running > 0 {
		read(t, submit(t, e, scriptText("x")))
	}
	if got := read(t, slow); got.text != text {
		t.Errorf("%q", got.text)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newEcho()
		gate := make(chan struct{})
		m.before = func(int, *engine.Step, []engine.Sampled) error { <-gate; return nil }
		e := start(t, m, Options{})
		g := submit(t, e, scriptText("ab"))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() {
			_, ok := g.Next(ctx)
			ended <- ok
		}()
		synctest.Wait()
		cancel()
		if <-ended {
			t.Error("an event without a step")
		}
		close(gate)
		if got := read(t, g); got.text != "ab" {
			t.Errorf("%q after Next was interrupted", got.text)
		}
	})
}

// meddler is a stream whose generation is cancelled while a token is handed out.
type meddler struct {
	bytesStream
	meddle *func()
}

func (s *meddler) Next(id int32) string {
	if id == 'c' {
		(*s.meddle)()
	}
	return s.bytesStream.Next(id)
}

// A cancellation that comes when the end is already on its way changes nothing; one that comes a moment earlier is one more event.
func TestCancelWhileATokenIsHandedOut(t *testing.T) {
	for _, c := range []struct {
		stop   string
		text   string
		finish Finish
	}{{"bc", "a", FinishStop}, {"x", "abc", FinishAbort}} {
		var meddle func()
		e, err := newEngine(newEcho(), info, func(bool) TextStream { return &meddler{meddle: &meddle} }, Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := scriptText("abcde")
		r.Stop = []string{c.stop}
		g := submit(t, e, r)
		meddle = g.Cancel
		go e.run()
		if got := read(t, g); got.text != c.text || got.last.Finish != c.finish {
			t.Errorf("stop %q: %q, %+v", c.stop, got.text, got.last)
		}
		if err := e.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if e.live != 0 {
			t.Errorf("stop %q: %d requests live", c.stop, e.live)
		}
	}
}
