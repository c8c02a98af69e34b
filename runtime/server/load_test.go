package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"llmc/runtime"
)

// Many clients at once, half of them streaming: each gets its own text, whole.
func TestManyClients(t *testing.T) {
	const clients = 300
	b := &fakeBackend{reply: func(r runtime.Request) string {
		return strings.Repeat(byteTokenizer{}.Decode(r.Prompt, true)+" ö ", 8)
	}}
	ts := startServer(t, b, Config{})
	ts.models.list[0].MaxContext = 4096
	ts.client.Transport.(*http.Transport).MaxIdleConnsPerHost = clients
	failures := make(chan error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { failures <- askAlone(ts, i) })
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
	if !b.idle() {
		t.Error("generations left running")
	}
}

// askAlone checks that client i gets what it asked for.
func askAlone(ts *testServer, i int) error {
	prompt := fmt.Sprintf("client %d", i)
	body := fmt.Sprintf(`{"prompt":%q,"max_tokens":1000,"stream":%v}`, prompt, i%2 == 0)
	resp, err := ts.client.Post("http://"+ts.addr+"/v1/completions", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	want := strings.Repeat(prompt+" ö ", 8)
	if i%2 == 0 {
		if got := streamText(ts.t, string(text))[0]; got != want {
			return fmt.Errorf("client %d: %q", i, got)
		}
	} else if !strings.Contains(string(text), `"text":"`+want+`"`) {
		return fmt.Errorf("client %d: %s", i, text)
	}
	return nil
}

// What the engine finds wrong with a field is told as if the server had found it.
func TestFieldErrorsOfEngine(t *testing.T) {
	s, err := New(Config{})
	must(t, err)
	e := s.asAPIError(fmt.Errorf("submit: %w", &runtime.FieldError{Field: "cache_salt", Problem: "300 bytes, at most 256"}))
	if e.status != 400 || e.param != "cache_salt" || !strings.Contains(e.message, "at most 256") {
		t.Errorf("%+v", e)
	}
	for err, want := range map[error]int{
		runtime.ErrTooLong: 400, runtime.ErrBadRequest: 400, runtime.ErrQueueFull: 429, runtime.ErrDraining: 503, errClientGone: 499, io.EOF: 500,
	} {
		if e := s.asAPIError(fmt.Errorf("submit: %w", errors.Join(err))); e.status != want {
			t.Errorf("%v: status %d, want %d", err, e.status, want)
		}
	}
}
