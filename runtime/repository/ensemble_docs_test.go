package repository_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime"
	"llmc/runtime/encode"
	"llmc/runtime/metrics"
	"llmc/runtime/repository"
	"llmc/runtime/server"
)

// TestDocumentedEnsemble serves the files of docs/repository.md as they stand there, over plans of small models, and sends the requests that it shows.
func TestDocumentedEnsemble(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("../../docs/repository.md")
	must(err)
	dir := t.TempDir()
	testdata, err := filepath.Abs("../../testdata")
	must(err)
	for name, checkpoint := range map[string]string{"embed": "bert-minilm", "rerank": "xlm-roberta-reranker", "chat": ""} {
		from := plantest.Demo
		if checkpoint != "" {
			from, err = filepath.Rel(testdata, golden.Shared(t, "checkpoints", checkpoint))
			must(err)
		}
		plan := plantest.Build(t, from, compiler.Options{Quant: "f32"})
		must(os.MkdirAll(filepath.Join(dir, name, "1"), 0o700))
		must(os.Symlink(plan.Path(), filepath.Join(dir, name, "1", "model.plan")))
	}
	files := regexp.MustCompile("(?s)`models/([a-z]+/config.pbtxt)`:\n\n```\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(files) != 8 {
		t.Fatalf("%d files in the document", len(files))
	}
	for _, f := range files {
		must(os.MkdirAll(filepath.Dir(filepath.Join(dir, f[1])), 0o700))
		must(os.WriteFile(filepath.Join(dir, f[1]), []byte(f[2]), 0o600))
	}
	address := serveDirectory(t, dir)
	call := regexp.MustCompile(`curl localhost:8000(\S+) -d '(.*)'`).FindStringSubmatch(string(text))
	post := func(path, body string) string {
		t.Helper()
		resp, err := http.Post(address+path, "application/json", strings.NewReader(body))
		must(err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %v %s %v", path, resp.Status, answer, err)
		}
		return string(answer)
	}
	checkAnswers(t, call[2], post(call[1], call[2]), post(call[1]+"_stream", call[2]))
}

// checkAnswers checks an answer, and one in parts, of the same passages; what is generated is drawn.
func checkAnswers(t *testing.T, body, atOnce, streamed string) {
	t.Helper()
	type answered struct {
		Model    string   `json:"model_name"`
		Passages []string `json:"passages"`
		Answer   string   `json:"answer"`
	}
	read := func(text string) (a answered) {
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return a
	}
	whole, parts := read(atOnce), answered{}
	if whole.Model != "answer" || len(whole.Passages) != 2 || whole.Passages[0] == whole.Passages[1] || !strings.Contains(body, whole.Passages[0]) || whole.Answer == "" {
		t.Errorf("%+v", whole)
	}
	events := strings.Split(strings.TrimSpace(streamed), "\n\n")
	for _, e := range events {
		part := read(strings.TrimPrefix(e, "data: "))
		parts.Answer += part.Answer
		parts.Passages = append(parts.Passages, part.Passages...)
	}
	if len(events) < 2 || parts.Answer == "" || strings.Join(parts.Passages, "|") != strings.Join(whole.Passages, "|") {
		t.Errorf("%d parts: %+v, whole %+v", len(events), parts, whole)
	}
}

// serveDirectory serves a repository until the test ends.
func serveDirectory(t *testing.T, dir string) (address string) {
	t.Helper()
	registry := metrics.New()
	load := func(_ context.Context, p repository.Plan) (*server.Model, error) {
		loaded, err := runtime.Load(p.Path, "cpu", engine.Settings{KVBytes: 16 << 20, Threads: 1})
		if err != nil {
			return nil, err
		}
		var m server.Model
		if loaded.Info.Encoder != nil {
			m, _, err = server.NewEncoder(p.Name, loaded, registry, encode.ServiceOptions{})
		} else {
			m, _, err = server.NewModel(p.Name, loaded, registry, runtime.Options{})
		}
		if err != nil {
			return nil, errors.Join(err, loaded.Close())
		}
		end := m.Close
		m.Close = func() error { return errors.Join(end(), loaded.Close()) }
		return &m, nil
	}
	host := repository.New(repository.Options{Dir: dir, Mode: repository.None, Load: load, Log: slog.New(slog.DiscardHandler)})
	s, err := server.New(server.Config{Repository: host, Metrics: registry})
	if err == nil {
		err = host.Start(context.Background(), s)
	}
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := errors.Join(s.Shutdown(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}
