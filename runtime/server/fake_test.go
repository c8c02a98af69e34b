package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/grammar"
	"llmc/runtime/server/strictjson"
)

// Ids of the fake vocabulary: one token a byte, and two special ones.
const (
	fakeBOS   = 256
	fakeEOS   = 257
	fakeVocab = 258
)

// byteTokenizer cuts text into bytes.
type byteTokenizer struct{}

func (byteTokenizer) Encode(text string, special bool) ([]int32, error) {
	if strings.Contains(text, "untokenizable") {
		return nil, errors.New("unknown symbol")
	}
	var ids []int32
	if special {
		ids = append(ids, fakeBOS)
	}
	for _, b := range []byte(text) {
		ids = append(ids, int32(b))
	}
	return ids, nil
}

func (t byteTokenizer) Decode(ids []int32, skipSpecial bool) string {
	var text []byte
	for _, id := range ids {
		if id < fakeBOS || !skipSpecial {
			text = append(text, t.Token(id)...)
		}
	}
	return strings.ToValidUTF8(string(text), "\ufffd")
}

func (byteTokenizer) Token(id int32) []byte {
	switch {
	case id == fakeBOS:
		return []byte("<s>")
	case id == fakeEOS:
		return []byte("</s>")
	case id >= 0 && id < fakeBOS:
		return []byte{byte(id)}
	}
	panic(fmt.Sprintf("token %d", id))
}

// byteGrammars compiles grammars for the fake vocabulary.
func byteGrammars() *grammar.Compiler {
	return grammar.NewCompiler(func() *grammar.Vocabulary {
		return grammar.NewVocabulary(fakeVocab, func(id int32) grammar.Token {
			if id >= fakeBOS {
				return grammar.Token{}
			}
			return grammar.Token{Middle: []byte{byte(id)}, First: []byte{byte(id)}}
		}, []int32{fakeEOS})
	})
}

// fakeChat lays messages out as "role: content\n".
func fakeChat(p ChatPrompt) (string, error) {
	var b strings.Builder
	if p.Tools != nil {
		fmt.Fprintf(&b, "tools: %s\n", p.Tools)
	}
	if p.Kwargs != nil {
		fmt.Fprintf(&b, "kwargs: %s\n", p.Kwargs)
	}
	value, err := strictjson.Check(p.Messages)
	if err != nil {
		return "", err
	}
	messages, _ := value.Array()
	for _, m := range messages {
		members, _ := m.Object()
		var role, content, calls string
		for _, member := range members {
			switch text, _ := member.Value.Text(); member.Key {
			case "role":
				role = text
			case "content":
				content = text
			case "tool_calls":
				calls = string(member.Value)
			}
		}
		if role == "nobody" {
			return "", errors.New("unknown role")
		}
		fmt.Fprintf(&b, "%s: %s\n", role, content+calls)
	}
	if p.AddGenerationPrompt {
		b.WriteString("assistant:")
	}
	return b.String(), nil
}

// requestOf abbreviates the type in the tests' reply functions.
type requestOf = runtime.Request

// fakeBackend answers every request with the text that reply returns.
type fakeBackend struct {
	reply func(r runtime.Request) string // nil: a fixed text
	// gate, when not nil, must give one value for every event: a test decides when tokens come.
	gate    chan struct{}
	pace    time.Duration // between events, where a peer is to see them come one by one
	endless bool          // a token at every turn of the scheduler, without end
	refuse  error         // of every submission; nil: none
	queue   int           // generations at a time; 0: any number
	unwell  atomic.Value  // error of Health
	fail    func(r runtime.Request, token int) error

	mu       sync.Mutex
	requests []runtime.Request
	searches []runtime.BeamSearch
	running  int
	canceled atomic.Int64
}

const fakeReply = "Hi, wörld 😀!"

func (b *fakeBackend) Health() error {
	err, _ := b.unwell.Load().(error)
	return err
}

func (b *fakeBackend) Submit(_ context.Context, r runtime.Request) (runtime.Generation, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return nil, b.refuse
	}
	if b.queue > 0 && b.running >= b.queue {
		return nil, runtime.ErrQueueFull
	}
	b.running++
	b.requests = append(b.requests, r)
	text := fakeReply
	if b.reply != nil {
		text = b.reply(r)
	}
	g := &fakeGeneration{backend: b, req: r, gone: make(chan struct{})}
	g.script(text)
	return g, nil
}

// SubmitBeams answers each beam as a request.
func (b *fakeBackend) SubmitBeams(ctx context.Context, r runtime.Request, search runtime.BeamSearch) (list []runtime.Generation, err error) {
	b.mu.Lock()
	b.searches = append(b.searches, search)
	b.mu.Unlock()
	for range search.Width {
		g, err := b.Submit(ctx, r)
		if err != nil {
			return list, err
		}
		list = append(list, g)
	}
	return list, nil
}

// last returns the request submitted last.
func (b *fakeBackend) last() runtime.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests[len(b.requests)-1]
}

func (b *fakeBackend) submitted() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.requests)
}

type fakeGeneration struct {
	backend *fakeBackend
	req     runtime.Request
	events  []runtime.Event
	next    int
	tokens  int
	gone    chan struct{}
	once    sync.Once
	ended   sync.Once
	done    atomic.Bool // the last event was taken
}

// script makes the events of a text: a token a byte, text when a character is complete, cut by max_tokens and stop strings.
func (g *fakeGeneration) script(text string) {
	g.events = make([]runtime.Event, 0, len(text)+1)
	tokens, pending := 0, []byte(nil)
	full := []byte(nil)
	for i := range len(text) {
		b := text[i]
		e := runtime.Event{Token: int32(b)}
		if tokens++; g.req.Sampling.Logprobs >= 0 {
			e.Logprob = fakeSample(int32(b), int(g.req.Sampling.Logprobs))
		}
		if pending = append(pending, b); utf8.Valid(pending) {
			e.Text, pending = string(pending), nil
		}
		full = append(full, b)
		for _, stop := range g.req.Stop {
			if strings.HasSuffix(string(full), stop) {
				e.Finish, e.StopReason, e.Text = runtime.FinishStop, stop, ""
			}
		}
		if slices.Contains(g.req.StopTokens, int32(b)) {
			e.Finish, e.StopReason, e.Text = runtime.FinishStop, int32(b), ""
		}
		if e.Finish == "" && tokens == g.req.MaxTokens {
			e.Finish = runtime.FinishLength
		}
		if g.backend.fail != nil {
			if err := g.backend.fail(g.req, i); err != nil {
				e = runtime.Event{Token: -1, Finish: runtime.FinishError, Err: err}
			}
		}
		g.events = append(g.events, e)
		if e.Finish != "" {
			return
		}
	}
	g.events = append(g.events, runtime.Event{Token: -1, Finish: runtime.FinishStop})
}

// fakeSample gives each token the log-probability -id/100 and the tokens after it as alternatives.
func fakeSample(id int32, top int) engine.Sampled {
	s := engine.Sampled{Token: id, Logprob: -float32(id) / 100}
	for i := range top {
		other := (id + int32(i)) % fakeBOS
		s.Top = append(s.Top, engine.TokenLogprob{Token: other, Logprob: -float32(other) / 100})
	}
	return s
}

func (g *fakeGeneration) Next(ctx context.Context) (runtime.Event, bool) {
	if g.backend.endless {
		return g.another(ctx)
	}
	if g.next == len(g.events) {
		return runtime.Event{}, false
	}
	if g.backend.gate != nil {
		select {
		case <-g.backend.gate:
		case <-g.gone:
			return runtime.Event{}, false
		case <-ctx.Done():
			g.end()
			return runtime.Event{}, false
		}
	}
	time.Sleep(g.backend.pace)
	if ctx.Err() != nil {
		g.end()
		return runtime.Event{}, false
	}
	e := g.events[g.next]
	if g.next++; e.Token >= 0 {
		g.tokens++
	}
	if e.Finish != "" {
		g.done.Store(true)
		g.end()
	}
	return e, true
}

func (g *fakeGeneration) another(ctx context.Context) (runtime.Event, bool) {
	select {
	case <-ctx.Done():
		return runtime.Event{}, false
	case <-time.After(20 * time.Microsecond):
		g.tokens++
		return runtime.Event{Token: 'a', Text: "a"}, true
	}
}

func (g *fakeGeneration) end() {
	g.ended.Do(func() {
		g.backend.mu.Lock()
		g.backend.running--
		g.backend.mu.Unlock()
	})
}

func (g *fakeGeneration) Cancel() {
	g.once.Do(func() {
		close(g.gone)
		if !g.done.Load() {
			g.backend.canceled.Add(1)
		}
		g.end()
	})
}

func (g *fakeGeneration) Usage() runtime.Usage {
	return runtime.Usage{PromptTokens: len(g.req.Prompt), CachedTokens: len(g.req.Prompt) / 4, OutputTokens: g.tokens}
}

func (g *fakeGeneration) PromptLogprobs() []engine.Sampled {
	if g.req.PromptLogprobs < 0 {
		return nil
	}
	samples := make([]engine.Sampled, len(g.req.Prompt))
	for i, id := range g.req.Prompt[1:] {
		samples[i+1] = fakeSample(id, g.req.PromptLogprobs)
	}
	return samples
}
