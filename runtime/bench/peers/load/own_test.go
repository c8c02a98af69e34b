package load_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"llmc/compiler"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime"
	"llmc/runtime/bench/peers/load"
	"llmc/runtime/metrics"
	"llmc/runtime/server"
)

// serveDemo serves the bundled model until the test ends.
func serveDemo(t *testing.T) *load.Server {
	t.Helper()
	plan := filepath.Join(t.TempDir(), "demo.plan")
	if _, err := compiler.Build(t.Context(), compiler.Options{Model: filepath.Join(golden.Root(t), "testdata", "demo"), Out: plan, Quant: "int8"}); err != nil {
		t.Fatal(err)
	}
	loaded, err := runtime.Load(plan, "cpu", engine.Settings{KVBytes: 64 << 20, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { loaded.Close() })
	model, e, err := server.NewModel("m", loaded, metrics.New(), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	s, err := server.New(server.Config{Models: []server.Model{model}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return &load.Server{URL: "http://" + ln.Addr().String(), Model: "m", Extra: map[string]any{"ignore_eos": true}}
}

func someIDs() []int32 {
	ids := make([]int32, 500)
	for i := range ids {
		ids[i] = int32(40 + i*7%200)
	}
	return ids
}

func TestOwnServer(t *testing.T) {
	s := serveDemo(t)
	prompts := load.NewPrompts(someIDs())
	began := time.Now()
	at, err := s.Ready(t.Context(), load.Request{Prompt: prompts.Take(4), Tokens: 1})
	if err != nil || at.Before(began) {
		t.Fatalf("ready at %v, begun at %v: %v", at, began, err)
	}
	r, err := load.Level{Clients: 3, Requests: 2, Prompt: 8, Tokens: 16}.Run(t.Context(), s, prompts)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.First) != 6 || len(r.Between) < 6 || len(r.Between) > 6*15 || r.PerSecond <= 0 {
		t.Errorf("%d first tokens, %d gaps, %v tokens a second", len(r.First), len(r.Between), r.PerSecond)
	}
	for _, v := range append(r.First, r.Between...) {
		if v < 0 {
			t.Errorf("a time of %v s", v)
		}
	}
	a, err := load.Arrival{Streams: 2, Prompt: 8, Tokens: 500, Begin: 2, Settle: 4, Long: 60}.Run(t.Context(), s, prompts)
	if err != nil {
		t.Fatal(err)
	}
	if a.First <= 0 || len(a.Between) == 0 || len(a.Before) == 0 {
		t.Errorf("arrival %+v", a)
	}
}
