package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"llmc/runtime/encode"
	"llmc/runtime/server"
)

// numbered is an encoder whose one number is what its plan says.
type numbered struct{ value float32 }

func (n numbered) Gives() string { return "embedding" }
func (n numbered) Width() int    { return 1 }
func (n numbered) Health() error { return nil }

func (n numbered) Reads() (texts, images bool)            { return true, false }
func (n numbered) Image([]byte) (encode.Input, error)     { return encode.Input{}, encode.ErrNoImages }
func (n numbered) Pixels([]float32) (encode.Input, error) { return encode.Input{}, encode.ErrNoImages }

func (n numbered) Text(string, ...string) (encode.Input, error) {
	return encode.Input{IDs: []int32{1}}, nil
}
func (n numbered) Encode(_ context.Context, inputs []encode.Input) ([][]float32, error) {
	rows := make([][]float32, len(inputs))
	for i := range rows {
		rows[i] = []float32{n.value}
	}
	return rows, nil
}

type noText struct{}

func (noText) Encode(string, bool) ([]int32, error) { return []int32{1}, nil }
func (noText) Decode([]int32, bool) string          { return "" }
func (noText) Token(int32) []byte                   { return nil }

// fixture is a repository and a server of it, whose plans are files with a number.
type fixture struct {
	t      *testing.T
	dir    string
	host   *Host
	server *server.Server
	open   atomic.Int32 // models that are not closed
	log    bytes.Buffer
}

func newFixture(t *testing.T, o Options, files ...string) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir()}
	for _, path := range files {
		name, text, _ := strings.Cut(path, "=")
		f.write(name, text)
	}
	o.Dir, o.Load, o.Log = f.dir, f.load, slog.New(slog.NewTextHandler(&f.log, nil))
	f.host = New(o)
	s, err := server.New(server.Config{Repository: f.host})
	if err != nil {
		t.Fatal(err)
	}
	f.server = s
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil || f.open.Load() != 0 {
			t.Errorf("%d models are open at the end, %v", f.open.Load(), err)
		}
	})
	return f
}

func (f *fixture) load(_ context.Context, p Plan) (*server.Model, error) {
	text, err := os.ReadFile(p.Path)
	if err != nil {
		return nil, err
	}
	var n numbered
	if _, err := fmt.Sscan(string(text), &n.value); err != nil {
		return nil, errors.New("damaged plan")
	}
	f.open.Add(1)
	return &server.Model{Name: p.Name, Encoder: n, Tokenizer: noText{}, Close: func() error { f.open.Add(-1); return nil }}, nil
}

func (f *fixture) write(path, text string) {
	f.t.Helper()
	write(f.t, filepath.Join(f.dir, path), text)
}

func (f *fixture) start() {
	f.t.Helper()
	if err := f.host.Start(context.Background(), f.server); err != nil {
		f.t.Fatal(err)
	}
}

// served are the models that requests find, as name/version=number.
func (f *fixture) served() string {
	var list []string
	for _, e := range f.host.Index() {
		for _, m := range f.server.Offered(e.Name) {
			if m.Version == e.Version {
				rows, _ := m.Encoder.Encode(context.Background(), make([]encode.Input, 1))
				list = append(list, fmt.Sprintf("%s/%s=%g", m.Name, m.Version, rows[0][0]))
			}
		}
	}
	return strings.Join(list, " ")
}

func (f *fixture) wants(served string, open int32) {
	f.t.Helper()
	if got := f.served(); got != served {
		f.t.Errorf("served: %s, want %s\n%s", got, served, &f.log)
	}
	if got := f.open.Load(); got != open {
		f.t.Errorf("%d models are open, want %d", got, open)
	}
}

// index is the index as text.
func (f *fixture) index() string {
	var b strings.Builder
	for _, e := range f.host.Index() {
		fmt.Fprintf(&b, "%s/%s %s %s; ", e.Name, e.Version, e.State, e.Reason)
	}
	return b.String()
}

func TestStart(t *testing.T) {
	f := newFixture(t, Options{Mode: None, Fixed: []Plan{{Name: "fixed", Path: os.DevNull}}}, "a/1/model.plan=1", "a/2/model.plan=2", "b/1/model.plan=3")
	if err := f.host.Start(context.Background(), f.server); err == nil || err.Error() != "damaged plan" {
		t.Errorf("%v", err)
	}
	f = newFixture(t, Options{Mode: None}, "a/1/model.plan=1", "a/2/model.plan=2", "b/1/model.plan=3")
	f.start()
	f.wants("a/2=2 b/1=3", 2)
	if err := f.host.Load(context.Background(), "a"); err == nil || !strings.Contains(err.Error(), "--model-control-mode none") {
		t.Errorf("%v", err)
	}
	f = newFixture(t, Options{Mode: Explicit, Initial: []string{"b"}}, "a/1/model.plan=1", "b/1/model.plan=3")
	f.start()
	f.wants("b/1=3", 1)
	if got := f.index(); got != "a/  ; b/1 READY ; " {
		t.Errorf("index %s", got)
	}
}

func TestExplicit(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t, Options{Mode: Explicit}, "a/1/model.plan=1", "bad/1/model.plan=x", "a/config.pbtxt=version_policy { all { } }")
	f.start()
	f.wants("", 0)
	change := func(err error, want string) {
		t.Helper()
		var refused *server.RepositoryError
		if want == "" && err != nil || want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	change(f.host.Load(ctx, "a"), "")
	f.wants("a/1=1", 1)
	change(f.host.Load(ctx, "a"), "") // nothing has changed
	f.wants("a/1=1", 1)
	first := f.server.Offered("a")[0]
	f.write("a/2/model.plan", "2")
	change(f.host.Load(ctx, "a"), "")
	f.wants("a/1=1 a/2=2", 2)
	if f.server.Offered("a")[0] != first {
		t.Error("a version that stays was loaded anew")
	}
	// One version that can not be loaded leaves all as it is.
	f.write("a/3/model.plan", "x")
	change(f.host.Load(ctx, "a"), "model a version 3: damaged plan")
	f.wants("a/1=1 a/2=2", 2)
	if got := f.index(); !strings.Contains(got, "a/3 UNAVAILABLE damaged plan") {
		t.Errorf("index %s", got)
	}
	f.write("a/config.pbtxt", "sequence_batching { }")
	change(f.host.Load(ctx, "a"), "unknown field: sequence_batching")
	f.wants("a/1=1 a/2=2", 2)
	f.write("a/config.pbtxt", `version_policy { specific { versions: [ 2 ] } }`)
	change(f.host.Load(ctx, "a"), "")
	f.eventually("a/2=2", 1)
	change(f.host.Load(ctx, "bad"), "damaged plan")
	change(f.host.Load(ctx, "../a"), "no such model")
	change(f.host.Load(ctx, "none"), "no such model")
	change(f.host.Unload(ctx, "none", false), "no model \"none\" is loaded")
	change(f.host.Unload(ctx, "a", false), "")
	f.eventually("", 0)
	if got := f.index(); !strings.Contains(got, "a/2 UNAVAILABLE unloaded") {
		t.Errorf("index %s", got)
	}
	change(f.host.Load(ctx, "a"), "")
	f.wants("a/2=2", 1)
}

// eventually waits for models that have no requests to be closed.
func (f *fixture) eventually(served string, open int32) {
	f.t.Helper()
	Wait(f.t, "the closing of models", func() bool { return f.open.Load() == open })
	f.wants(served, open)
}

// What would not fit is refused before anything is loaded; what goes makes room.
func TestMemoryIsShared(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t, Options{Mode: Explicit, KVBytes: 4 << 20, Places: 4},
		"a/1/model.plan=1", "b/1/model.plan=2", "c/1/model.plan=3", `b/config.pbtxt=parameters { key: "kv_memory" value { string_value: "3M" } }`)
	f.start()
	for _, name := range []string{"a", "b"} {
		if err := f.host.Load(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // refusals take nothing
		if err := f.host.Load(ctx, "c"); err == nil || !strings.Contains(err.Error(), "its KV cache takes 1.0 MiB, 0 B of --kv-memory 4.0 MiB are free") {
			t.Errorf("%v", err)
		}
	}
	f.wants("a/1=1 b/1=2", 2)
	if err := f.host.Unload(ctx, "b", false); err != nil {
		t.Fatal(err)
	}
	f.eventually("a/1=1", 1)
	if err := f.host.Load(ctx, "c"); err != nil {
		t.Error(err)
	}
	f.wants("a/1=1 c/1=3", 2)
}

func TestPoll(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t, Options{Mode: Poll}, "a/1/model.plan=1", "bad/1/model.plan=x", "worse/1/model.plan=9", "worse/config.pbtxt=none: 1")
	f.start()
	f.wants("a/1=1", 1)
	tried := strings.Count(f.log.String(), "damaged")
	f.host.look(ctx)
	f.host.look(ctx)
	if strings.Count(f.log.String(), "damaged") != tried {
		t.Errorf("what can not be loaded is tried again though it has not changed:\n%s", &f.log)
	}
	f.write("a/2/model.plan", "2")
	f.write("bad/1/model.plan", "33")
	f.host.look(ctx)
	f.eventually("a/2=2 bad/1=33", 2)
	f.write("a/3/model.plan", "half")
	f.host.look(ctx)
	f.wants("a/2=2 bad/1=33", 2)
	f.write("a/3/model.plan", "3")
	f.host.look(ctx)
	f.eventually("a/3=3 bad/1=33", 2)
	for _, path := range []string{"a/3", "bad"} {
		if err := os.RemoveAll(filepath.Join(f.dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	f.host.look(ctx)
	f.eventually("a/2=2", 1)
	if err := f.host.Unload(ctx, "a", false); err == nil || !strings.Contains(err.Error(), "--model-control-mode poll") {
		t.Errorf("%v", err)
	}
}
