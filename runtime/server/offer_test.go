package server

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"llmc/runtime"
)

// saying is a model that answers with a text and notes that it was closed.
func saying(text, version string, closed *atomic.Bool) *Model {
	m := fakeModel("tiny", &fakeBackend{reply: func(runtime.Request) string { return text }})
	m.Version = version
	m.Close = func() error { closed.Store(true); return nil }
	return &m
}

// What is offered no more is closed when its last request has ended, not before; new requests find what is there.
func TestOffer(t *testing.T) {
	b := &fakeBackend{gate: make(chan struct{}), reply: func(runtime.Request) string { return "old" }}
	var oldClosed, newClosed, nextClosed atomic.Bool
	old := fakeModel("tiny", b)
	old.Close = func() error { oldClosed.Store(true); return nil }
	ts := startServer(t, b, Config{Models: []Model{old}})
	running := ts.open("POST", "/v1/completions", `{"prompt":"x","stream":true}`)
	defer running.Body.Close()
	give(t, b.gate, 1)

	must(t, ts.Offer(t.Context(), "tiny", saying("new", "2", &newClosed)))
	if got := ts.do("POST", "/v1/completions", `{"prompt":"x"}`); !strings.Contains(got.body, `"text":"new"`) {
		t.Errorf("behind the change: %s", got.body)
	}
	if got := ts.do("POST", "/v2/models/tiny/versions/1/infer", `{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":["x"]}]}`); got.status != 404 || !strings.Contains(got.body, "only 2") {
		t.Errorf("the version that went: %d %s", got.status, got.body)
	}
	if oldClosed.Load() {
		t.Error("a model was closed under a request")
	}
	give(t, b.gate, 3)
	text := new(strings.Builder)
	for buffer := make([]byte, 1<<10); ; {
		n, err := running.Body.Read(buffer)
		text.Write(buffer[:n])
		if err != nil {
			break
		}
	}
	if got := streamText(t, text.String())[0]; got != "old" {
		t.Errorf("the stream that had begun: %q", got)
	}
	eventually(t, "the old model is closed", oldClosed.Load)

	// Two versions side by side, of which one goes again.
	kept := ts.Offered("tiny")
	must(t, ts.Offer(t.Context(), "tiny", append(kept, saying("next", "3", &nextClosed))...))
	for version, want := range map[string]string{"2": "new", "3": "next"} {
		got := ts.do("POST", "/v2/models/tiny/versions/"+version+"/infer", `{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":["x"]}]}`)
		if !strings.Contains(got.body, `"data":["`+want+`"]`) || !strings.Contains(got.body, `"model_version":"`+version+`"`) {
			t.Errorf("version %s: %s", version, got.body)
		}
	}
	if got := ts.do("GET", "/v2/models/tiny", ""); !strings.Contains(got.body, `"versions":["2","3"]`) {
		t.Error(got.body)
	}
	must(t, ts.Offer(t.Context(), "tiny", kept...))
	eventually(t, "version 3 is closed", nextClosed.Load)
	must(t, ts.Offer(t.Context(), "tiny"))
	eventually(t, "version 2 is closed", newClosed.Load)
	if got := ts.do("POST", "/v1/completions", `{"prompt":"x"}`); got.status != 404 {
		t.Errorf("nothing is offered: %d %s", got.status, got.body)
	}
}

// A request that was decoded for a model that has gone meanwhile is decoded again, for the one in its place.
func TestHolding(t *testing.T) {
	var closed, other atomic.Bool
	s, err := New(Config{Models: []Model{*saying("a", "1", &closed)}})
	must(t, err)
	decode := func() (*request, error) { return s.decode(onCompletions, []byte(`{"prompt":"x"}`)) }
	stale, err := decode()
	must(t, err)
	must(t, s.Offer(t.Context(), "tiny", saying("b", "2", &other)))
	eventually(t, "the model that nobody has is closed", closed.Load)
	times := 0
	r, release, err := holding(func() (*request, error) {
		if times++; times == 1 {
			return stale, nil
		}
		return decode()
	})
	if err != nil || times != 2 || r.model.Version != "2" {
		t.Fatalf("decoded %d times: %v, %v", times, r.model.Version, err)
	}
	must(t, s.Offer(t.Context(), "tiny"))
	if other.Load() {
		t.Error("a model was closed that a request holds")
	}
	release()
	eventually(t, "it is closed", other.Load)
	must(t, s.Shutdown(context.Background()))
	if err := s.Offer(t.Context(), "tiny", saying("c", "1", &closed)); err == nil {
		t.Error("a server that has stopped took a model")
	}
}

// Loads and unloads need a repository and a key.
func TestRepositoryIsGuarded(t *testing.T) {
	r := &fakeRepository{}
	open := startServer(t, &fakeBackend{}, Config{Repository: r})
	if got := open.do("POST", "/v2/repository/models/a/load", ""); got.status != 403 || !strings.Contains(got.body, "--api-key-file") {
		t.Errorf("without keys: %d %s", got.status, got.body)
	}
	keys, _, _ := loadTestKeys(t, "sk-one\n")
	ts := startServer(t, &fakeBackend{}, Config{Repository: r, Keys: keys})
	const key = "Authorization: Bearer sk-one"
	for _, c := range []struct {
		path, body, header string
		status             int
		calls              string
	}{
		{"a/load", "", "Accept: */*", 401, ""}, {"a/load", "", key, 200, "load a"}, {"a/unload", "", key, 200, "unload a false"},
		{"a/unload", `{"parameters":{"unload_dependents":true}}`, key, 200, "unload a true"},
		{"a/load", `{"parameters":{"config":"{}"}}`, key, 400, ""}, {"a/load", `{"parameters":{"file:1/model.plan":"AA=="}}`, key, 400, ""},
		{"a/load", `{"files":[]}`, key, 400, ""}, {"a/load", `[`, key, 400, ""}, {"absent/load", "", key, 404, "load absent"}, {"broken/load", "", key, 400, "load broken"},
	} {
		r.calls = ""
		got := ts.do("POST", "/v2/repository/models/"+c.path, c.body, c.header)
		if got.status != c.status || r.calls != c.calls {
			t.Errorf("%s %s: %d %s, called %q", c.path, c.body, got.status, got.body, r.calls)
		}
	}
	for body, want := range map[string]string{``: `[{"name":"a"},{"name":"b","version":"2","state":"READY"}]`, `{"ready":true}`: `[{"name":"b","version":"2","state":"READY"}]`} {
		if got := ts.do("POST", "/v2/repository/index", body, key); strings.TrimSpace(got.body) != want {
			t.Errorf("%s: %s", body, got.body)
		}
	}
}

type fakeRepository struct{ calls string }

func (r *fakeRepository) Index() []IndexEntry {
	return []IndexEntry{{Name: "a"}, {Name: "b", Version: "2", State: Ready}}
}

func (r *fakeRepository) Load(_ context.Context, name string) error {
	r.calls += "load " + name
	switch name {
	case "absent":
		return &RepositoryError{Absent: true, Message: "no such model"}
	case "broken":
		return &RepositoryError{Message: "damaged"}
	}
	return nil
}

func (r *fakeRepository) Unload(_ context.Context, name string, dependents bool) error {
	r.calls += "unload " + name + map[bool]string{true: " true", false: " false"}[dependents]
	return nil
}
