package repository_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"llmc/compiler"
	"llmc/compiler/lora"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/metrics"
	"llmc/runtime/repository"
	"llmc/runtime/server"
)

const swapKey = "sk-admin"

// swapped is a server of a repository with plans that generate.
type swapped struct {
	t       *testing.T
	dir     string
	server  *server.Server
	address string
	open    atomic.Int32 // plans that are loaded
}

// startSwapped serves the version 1 of model "m".
func startSwapped(t *testing.T, plan *engine.Plan, kvMemory int64) *swapped {
	t.Helper()
	f := &swapped{t: t, dir: t.TempDir()}
	f.put(1, plan)
	registry := metrics.New()
	load := func(_ context.Context, p repository.Plan) (*server.Model, error) {
		loaded, err := runtime.Load(p.Path, "cpu", engine.Settings{KVBytes: p.KVBytes, MaxAdapters: 2, AdapterRank: 16, MaxContext: 512, Threads: 1})
		if err != nil {
			return nil, err
		}
		m, e, err := server.NewModel(p.Name, loaded, registry, runtime.Options{})
		if err != nil {
			return nil, errors.Join(err, loaded.Close())
		}
		m.Adapters = &server.Adapters{Host: e, Open: func(ctx context.Context, path string) (*engine.Plan, error) {
			out := filepath.Join(t.TempDir(), "adapter.plan")
			if _, err := lora.Build(ctx, lora.Options{Dir: path, Base: loaded.Plan, Out: out}); err != nil {
				return nil, err
			}
			return engine.Open(out)
		}}
		f.open.Add(1)
		end := m.Close
		m.Close = func() error {
			f.open.Add(-1)
			return errors.Join(end(), loaded.Close())
		}
		return &m, nil
	}
	host := repository.New(repository.Options{
		Dir: f.dir, Mode: repository.Explicit, Initial: []string{repository.All}, KVBytes: kvMemory, Load: load, Log: slog.New(slog.DiscardHandler),
	})
	file := filepath.Join(t.TempDir(), "keys")
	f.must(os.WriteFile(file, []byte(swapKey+"\n"), 0o600))
	keys, err := server.LoadKeys(file, slog.New(slog.DiscardHandler))
	f.must(err)
	f.server, err = server.New(server.Config{Repository: host, Keys: keys, Metrics: registry})
	f.must(err)
	f.must(host.Start(context.Background(), f.server))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	f.must(err)
	f.address = "http://" + ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		f.must(errors.Join(f.server.Shutdown(context.Background()), <-served))
		if n := f.open.Load(); n != 0 {
			t.Errorf("%d plans are loaded at the end", n)
		}
	})
	return f
}

func (f *swapped) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// put makes a plan a version of the model, at once as a link is.
func (f *swapped) put(version int, plan *engine.Plan) {
	f.t.Helper()
	home := filepath.Join(f.dir, "m", fmt.Sprint(version))
	f.must(os.MkdirAll(home, 0o700))
	f.must(os.Symlink(plan.Path(), filepath.Join(home, "model.plan")))
}

func (f *swapped) post(path, body string) (*http.Response, error) {
	req, err := http.NewRequest("POST", f.address+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+swapKey)
	return http.DefaultClient.Do(req)
}

// change posts what has to succeed.
func (f *swapped) change(path, body string) {
	f.t.Helper()
	resp, err := f.post(path, body)
	f.must(err)
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != 200 {
		f.t.Fatalf("%s: %d %s %v", path, resp.StatusCode, text, err)
	}
}

// stream asks a model to go on with a prompt, and calls began when the first part of the answer is there.
func (f *swapped) stream(model, prompt string, tokens int, began func()) (text, finish string, err error) {
	body := fmt.Sprintf(`{"model":%q,"prompt":%q,"max_tokens":%d,"temperature":0,"ignore_eos":true,"stream":true}`, model, prompt, tokens)
	resp, err := f.post("/v1/completions", body)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		var event struct {
			Choices []struct {
				Text   string `json:"text"`
				Finish string `json:"finish_reason"`
			} `json:"choices"`
		}
		if err := json.Unmarshal([]byte(data), &event); err != nil || len(event.Choices) != 1 {
			return text, finish, fmt.Errorf("status %d, event %s: %w", resp.StatusCode, data, err)
		}
		if text += event.Choices[0].Text; began != nil {
			began()
			began = nil
		}
		finish = event.Choices[0].Finish
	}
	return text, finish, lines.Err()
}

// alone is what a model goes on with when nothing else runs.
func (f *swapped) alone(model, prompt string, tokens int) string {
	f.t.Helper()
	text, finish, err := f.stream(model, prompt, tokens, nil)
	if err != nil || finish != "length" {
		f.t.Fatalf("%q ended with %q, %v", text, finish, err)
	}
	return text
}

// TestPlanSwapUnderLoad changes the plan of a model again and again while streams run: every stream ends with what one of the plans says alone, those that had
// begun with what their plan says, and those that come after a change with what the new one says; then the memory of the old one is free.
func TestPlanSwapUnderLoad(t *testing.T) {
	plans := []*engine.Plan{plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int8"}), plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int4"})}
	// Room for two of them: a third fits only if the memory of one that went is given back.
	f := startSwapped(t, plans[0], 32<<20)
	const clients, tokens, swaps = 6, 60, 5
	prompts := make([]string, clients)
	want := make([][2]string, clients) // of each prompt, by plan
	for i := range prompts {
		prompts[i] = fmt.Sprintf("Once upon a time, %d", i)
		want[i][0] = f.alone("m", prompts[i], tokens)
	}
	f.put(2, plans[1])
	f.change("/v2/repository/models/m/load", "")
	for i := range prompts {
		want[i][1] = f.alone("m", prompts[i], tokens)
	}
	if !slices.ContainsFunc(want, func(texts [2]string) bool { return texts[0] != texts[1] }) {
		t.Fatal("the plans say the same: nothing would be seen")
	}
	for swap := range swaps {
		before, after := (swap+1)%2, swap%2
		f.settled(1)
		var running, begun sync.WaitGroup
		for i := range prompts {
			begun.Add(1)
			running.Go(func() {
				text, finish, err := f.stream("m", prompts[i], tokens, begun.Done)
				if err != nil || finish != "length" || text != want[i][before] {
					t.Errorf("swap %d: a stream that had begun: %q ended with %q, %v; want %q", swap, text, finish, err, want[i][before])
				}
			})
		}
		// Others come at every moment of the change.
		var stop atomic.Bool
		for i := range prompts[:2] {
			running.Go(func() {
				for !stop.Load() {
					text, finish, err := f.stream("m", prompts[i], 8, nil)
					if err != nil || finish != "length" || !strings.HasPrefix(want[i][before], text) && !strings.HasPrefix(want[i][after], text) {
						t.Errorf("swap %d: %q ended with %q, %v", swap, text, finish, err)
					}
				}
			})
		}
		begun.Wait()
		f.put(swap+3, plans[after])
		f.change("/v2/repository/models/m/load", "")
		if text := f.alone("m", prompts[0], tokens); text != want[0][after] {
			t.Errorf("swap %d: behind the change: %q, want %q", swap, text, want[0][after])
		}
		stop.Store(true)
		running.Wait()
	}
	f.settled(1)
}

// settled waits until so many plans are loaded.
func (f *swapped) settled(plans int32) {
	f.t.Helper()
	repository.Wait(f.t, "the closing of a plan that nobody has", func() bool { return f.open.Load() == plans })
}

// TestAdaptersGoAlong changes the plan under an adapter: requests that have it end with it, and it is there beside the new plan. A plan that it does not fit is refused.
func TestAdaptersGoAlong(t *testing.T) {
	plans := []*engine.Plan{plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int8"}), plantest.Build(t, plantest.Demo, compiler.Options{Quant: "int4"})}
	f := startSwapped(t, plans[0], 0)
	load := func(seed uint64, more string) {
		t.Helper()
		dir := plantest.AdapterDir(t, seed, plantest.DemoModules(4, "self_attn.q_proj", "mlp.down_proj"), nil)
		f.change("/v1/load_lora_adapter", fmt.Sprintf(`{"lora_name":"tuned","lora_path":%q%s}`, dir, more))
	}
	load(1, "")
	const prompt, tokens = "Once upon a time", 60
	first := f.alone("tuned", prompt, tokens)
	under := func(change func()) {
		t.Helper()
		began, ended := make(chan struct{}), make(chan error, 1)
		want := f.alone("tuned", prompt, tokens)
		go func() {
			text, finish, err := f.stream("tuned", prompt, tokens, func() { close(began) })
			if err == nil && (text != want || finish != "length") {
				err = fmt.Errorf("%q ended with %q, want %q", text, finish, want)
			}
			ended <- err
		}()
		<-began
		change()
		f.must(<-ended)
	}
	under(func() { load(2, `,"load_inplace":true`) })
	second := f.alone("tuned", prompt, tokens)
	if second == first {
		t.Error("the adapter in its place says the same")
	}
	f.put(2, plans[1])
	under(func() { f.change("/v2/repository/models/m/load", "") })
	if third := f.alone("tuned", prompt, tokens); third == second || third == f.alone("m", prompt, tokens) {
		t.Errorf("beside the new plan the adapter says %q", third)
	}
	f.settled(1)
	f.change("/v2/repository/models/m/unload", "")
	f.settled(0)
	resp, err := f.post("/v1/completions", `{"model":"tuned","prompt":"x"}`)
	f.must(err)
	resp.Body.Close()
	if resp.StatusCode != 404 {
		t.Errorf("an adapter of a model that went: %d", resp.StatusCode)
	}
}
