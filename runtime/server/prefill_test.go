package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/internal/dial"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
	"llmc/runtime/metrics"
	"llmc/runtime/prefill"
	"llmc/runtime/server"
)

// prompting is a server of a plan whose prompts may be computed elsewhere.
type prompting struct {
	adapted
	engine *runtime.Engine
	client *prefill.Client // nil: prompts are computed here
}

// startPrompting serves a plan as "demo". It asks the servers of options, if there are any, and else computes prompts for others.
func startPrompting(t *testing.T, plan *engine.Plan, config server.Config, options prefill.Options, settings engine.Settings) *prompting {
	t.Helper()
	model, err := cpu.Device{}.Load(plan, settings)
	must(t, err)
	registry := metrics.New()
	m, e, err := server.NewModel("demo", &runtime.Loaded{Plan: plan, Info: plan.Info(), Model: model}, registry, runtime.Options{})
	must(t, err)
	p := &prompting{engine: e}
	if config.ComputePrompts = len(options.Servers) == 0; !config.ComputePrompts {
		p.client, err = prefill.New(options)
		must(t, err)
		m.Prefiller = &prefill.Local{Client: p.client, Engine: e, Plan: plan.Digest(), Log: slog.New(slog.DiscardHandler)}
	}
	config.Models, config.Metrics = []server.Model{m}, registry
	s, err := server.New(config)
	must(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		if p.client != nil {
			p.client.Close()
		}
		http.DefaultClient.CloseIdleConnections()
		must(t, errors.Join(s.Shutdown(context.Background()), <-served, e.Close(), model.Close()))
	})
	p.adapted = adapted{t, "http://" + ln.Addr().String()}
	return p
}

// longPrompt is a text of some hundreds of tokens.
func longPrompt(seed int) string {
	text := strings.Builder{}
	for i := range 30 {
		fmt.Fprintf(&text, "%d plus %d is %d. ", seed+i, i*i%17, seed+i+i*i%17)
	}
	return text.String()
}

// TestPromptsAreComputedElsewhere wants the tokens of a server whose prompts another one computes to be those of a server alone, with many at a time, and nothing to
// stay held.
func TestPromptsAreComputedElsewhere(t *testing.T) {
	plan := plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int8"})
	alone := startPrompting(t, plan, server.Config{}, prefill.Options{}, engine.Settings{})
	elsewhere := startPrompting(t, plan, server.Config{}, prefill.Options{}, engine.Settings{})
	here := startPrompting(t, plan, server.Config{}, prefill.Options{Servers: []string{elsewhere.address}}, engine.Settings{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			prompt := longPrompt(i % 6)
			if got, want := here.complete("demo", prompt), alone.complete("demo", prompt); got != want {
				t.Errorf("prompt %d: %s, alone %s", i, got, want)
			}
		})
	}
	all.Wait()
	if f := here.client.Figures(); f.Taken < 6 || f.Failed > 0 || f.Bytes == 0 {
		t.Errorf("%+v", f)
	}
	far, near := elsewhere.engine.Stats(), here.engine.Stats()
	if near.Computed*4 > far.Computed {
		t.Errorf("%d tokens were computed here, %d elsewhere", near.Computed, far.Computed)
	}
	for _, e := range []*runtime.Engine{elsewhere.engine, here.engine} {
		if held := e.Stats().PagesHeld; held != 0 {
			t.Errorf("%d pages are still held", held)
		}
	}
	several, err := json.Marshal([]string{longPrompt(21), "short", longPrompt(22), longPrompt(23)})
	must(t, err)
	before := here.client.Figures()
	batch := fmt.Sprintf(`{"model":"demo","prompt":%s,"max_tokens":6,"temperature":0,"seed":1}`, several)
	got, want := choicesOf(t, here.do("POST", "/v1/completions", batch)), choicesOf(t, alone.do("POST", "/v1/completions", batch))
	if f := here.client.Figures(); got != want || f.Taken != before.Taken+3 {
		t.Errorf("several prompts: %s, alone %s; %+v", got, want, f)
	}
	before = here.client.Figures()
	if here.complete("demo", "short"); here.client.Figures() != before {
		t.Error("another server was asked for a short prompt")
	}
	chat := here.do("POST", "/v1/chat/completions", fmt.Sprintf(`{"model":"demo","messages":[{"role":"user","content":%q}],"stream":true,"max_tokens":4,"n":2}`, longPrompt(9)))
	if f := here.client.Figures(); chat.status != 200 || !strings.HasSuffix(chat.body, "[DONE]\n\n") || f.Taken != before.Taken+1 {
		t.Errorf("%d %s, %+v", chat.status, chat.body, f)
	}
}

// choicesOf returns the texts of an answer.
func choicesOf(t *testing.T, got answer) string {
	t.Helper()
	var body struct{ Choices []struct{ Text string } }
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	return fmt.Sprint(body.Choices)
}

// TestPromptsThatDoNotCome wants the same tokens whatever goes wrong on the way.
func TestPromptsThatDoNotCome(t *testing.T) {
	plan := plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int8"})
	other := plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int4"})
	keyFile, token := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "token")
	must(t, errors.Join(os.WriteFile(keyFile, []byte("right\n"), 0o600), os.WriteFile(token, []byte("wrong\n"), 0o600)))
	keys, err := server.LoadKeys(keyFile, slog.New(slog.DiscardHandler))
	must(t, err)
	good := startPrompting(t, plan, server.Config{}, prefill.Options{}, engine.Settings{})
	locked := startPrompting(t, plan, server.Config{Keys: keys}, prefill.Options{}, engine.Settings{})
	otherPlan := startPrompting(t, other, server.Config{}, prefill.Options{}, engine.Settings{})
	otherPages := startPrompting(t, plan, server.Config{}, prefill.Options{}, engine.Settings{PageSize: 32})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, errors.Join(err, closed.Close()))
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody sees that the client leaves
		<-r.Context().Done()
	}))
	defer silent.Close()
	want := good.complete("demo", longPrompt(1))
	for name, c := range map[string]struct {
		address string
		some    bool // pages come before it goes wrong
	}{
		"nobody there": {"http://" + closed.Addr().String(), false}, "wrong key": {locked.address, false}, "other plan": {otherPlan.address, false}, "other pages": {otherPages.address, false},
		"no answer": {silent.URL, false}, "cut": {broken(t, good.address, 100_000, -1), true}, "changed": {broken(t, good.address, -1, 100_000), true},
	} {
		t.Run(name, func(t *testing.T) {
			o := prefill.Options{Servers: []string{c.address}, Files: dial.Files{Token: token}, Timeout: 2 * time.Second}
			here := startPrompting(t, plan, server.Config{}, o, engine.Settings{})
			if got := here.complete("demo", longPrompt(1)); got != want {
				t.Errorf("%s, alone %s", got, want)
			}
			f := here.client.Figures()
			if f.Taken != 0 || f.Failed != 1 || (f.Pages > 0) != c.some {
				t.Errorf("%+v", f)
			}
			if here.complete("demo", longPrompt(2)); !c.some && here.client.Figures().Failed != 1 {
				t.Error("a server that has just failed was asked again")
			}
		})
	}
}

// broken is a server in front of another, which cuts answers off behind so many bytes, or changes one of them; -1: does not.
func broken(t *testing.T, address string, cut, change int64) string {
	t.Helper()
	to, err := url.Parse(address)
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	proxy.ModifyResponse = func(r *http.Response) error {
		r.Body = &breaking{ReadCloser: r.Body, cut: cut, change: change}
		return nil
	}
	s := httptest.NewUnstartedServer(proxy)
	s.Config.ErrorLog = proxy.ErrorLog
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

type breaking struct {
	io.ReadCloser
	at, cut, change int64
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.cut >= 0 && b.at >= b.cut {
		return 0, errors.New("cut")
	}
	n, err := b.ReadCloser.Read(p)
	if i := b.change - b.at; b.change >= 0 && i >= 0 && i < int64(n) {
		p[i] ^= 1
	}
	b.at += int64(n)
	return n, err
}

// TestPromptsForStrangers sends what nobody should: it is refused, and nothing is held for it.
func TestPromptsForStrangers(t *testing.T) {
	plan := plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int8"})
	s := startPrompting(t, plan, server.Config{}, prefill.Options{}, engine.Settings{})
	format, _, err := s.engine.PageFormat()
	must(t, err)
	ask := func(change func(a *prefill.Ask)) string {
		a := prefill.Ask{Plan: plan.Digest(), Format: format, Prompt: make([]int32, 100)}
		change(&a)
		text, err := json.Marshal(a)
		must(t, err)
		return string(text)
	}
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"no JSON": {"{", 400}, "more than is known": {`{"plan":"x","more":1}`, 400}, "another plan": {ask(func(a *prefill.Ask) { a.Plan = "sha256:0" }), 404},
		"other pages": {ask(func(a *prefill.Ask) { a.Format = "gpu" }), 409}, "no prompt": {ask(func(a *prefill.Ask) { a.Prompt = nil }), 400},
		"no token": {ask(func(a *prefill.Ask) { a.Prompt[7] = 1 << 30 }), 400}, "too long": {ask(func(a *prefill.Ask) { a.Prompt = make([]int32, 1<<16) }), 400},
		"too much known": {ask(func(a *prefill.Ask) { a.Known = 7 }), 400}, "less than nothing known": {ask(func(a *prefill.Ask) { a.Known = -1 }), 400},
		"a long salt": {ask(func(a *prefill.Ask) { a.Salt = make([]byte, 1000) }), 400},
	} {
		if got := s.do("POST", prefill.Path, c.body); got.status != c.status {
			t.Errorf("%s: %d %s, want %d", name, got.status, got.body, c.status)
		}
	}
	if got := s.do("POST", prefill.Path, ask(func(*prefill.Ask) {})); got.status != 200 || len(got.body) == 0 {
		t.Errorf("what is right: %d", got.status)
	}
	here := startPrompting(t, plan, server.Config{}, prefill.Options{Servers: []string{s.address}}, engine.Settings{})
	if got := here.do("POST", prefill.Path, ask(func(*prefill.Ask) {})); got.status != 404 {
		t.Errorf("a server that computes no prompts for others: %d %s", got.status, got.body)
	}
	if held := s.engine.Stats().PagesHeld; held != 0 {
		t.Errorf("%d pages are still held", held)
	}
}

// TestPromptsForThoseWhoLeave has clients ask for pages and go away, at any moment.
func TestPromptsForThoseWhoLeave(t *testing.T) {
	plan := plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int8"})
	s := startPrompting(t, plan, server.Config{}, prefill.Options{}, engine.Settings{})
	format, pageBytes, err := s.engine.PageFormat()
	must(t, err)
	var all sync.WaitGroup
	var read atomic.Int64
	for i := range 12 {
		all.Go(func() {
			prompt := make([]int32, 300)
			for k := range prompt {
				prompt[k] = int32((k*k + i) % 200)
			}
			text, err := json.Marshal(prefill.Ask{Plan: plan.Digest(), Format: format, Prompt: prompt})
			must(t, err)
			answer, err := http.Post(s.address+prefill.Path, "application/json", strings.NewReader(string(text)))
			if err != nil {
				t.Error(err)
				return
			}
			n, _ := io.CopyN(io.Discard, answer.Body, int64(i*pageBytes))
			read.Add(n)
			answer.Body.Close() // behind which the connection is closed, since more would come
		})
	}
	all.Wait()
	for until := time.Now().Add(20 * time.Second); s.engine.Stats().PagesHeld > 0 || s.engine.Stats().Running > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("pages are not given back: %+v", s.engine.Stats())
		}
	}
	if read.Load() == 0 {
		t.Error("nothing was read")
	}
}
