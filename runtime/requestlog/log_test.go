package requestlog

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// stuck is a file whose writes wait until they may go on.
type stuck struct {
	gate chan struct{}
	in   sync.Once
	held chan struct{} // closed when the first write waits; nil: nobody asks
	mu   sync.Mutex
	text bytes.Buffer
	fail error
}

func (s *stuck) Write(p []byte) (int, error) {
	if s.held != nil {
		s.in.Do(func() { close(s.held) })
	}
	<-s.gate
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return 0, s.fail
	}
	return s.text.Write(p)
}

func (s *stuck) Close() error { return nil }

// A writer that is stuck makes nobody wait: lines are kept up to the bound, the others are counted, and those kept are whole and in order.
func TestStuckWriterDropsAndCounts(t *testing.T) {
	out := &stuck{gate: make(chan struct{}), held: make(chan struct{})}
	l := New(out, slog.New(slog.DiscardHandler))
	const put = 3 * depth
	l.Put([]byte("0\n"))
	<-out.held
	for i := 1; i < put; i++ {
		l.Put(fmt.Appendf(nil, "%d\n", i))
	}
	l.Put(make([]byte, longest+1))
	dropped := l.Dropped()
	close(out.gate)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if want := uint64(put - depth); l.Dropped() != dropped || dropped != want { // one is being written, depth wait, one is too long
		t.Errorf("%d dropped, then %d, want %d", dropped, l.Dropped(), want)
	}
	lines := strings.Split(strings.TrimSuffix(out.text.String(), "\n"), "\n")
	if uint64(len(lines))+dropped != put+1 {
		t.Errorf("%d lines are written and %d dropped, of %d", len(lines), dropped, put+1)
	}
	last := -1
	for _, line := range lines {
		var n int
		if _, err := fmt.Sscanf(line, "%d", &n); err != nil || n <= last {
			t.Fatalf("%q behind %d: %v", line, last, err)
		}
		last = n
	}
}

func TestFailedWritesAreCounted(t *testing.T) {
	out := &stuck{gate: make(chan struct{}), fail: errors.New("no space left")}
	close(out.gate)
	var said bytes.Buffer
	l := New(out, slog.New(slog.NewTextHandler(&said, nil)))
	l.Put([]byte("a\n"))
	if err := l.Close(); err != nil || l.Dropped() != 1 || !strings.Contains(said.String(), "no space left") {
		t.Errorf("%v, %d dropped, said %q", err, l.Dropped(), said.String())
	}
}

func TestOpenAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "requests.jsonl")
	for _, text := range []string{"one\n", "two\n"} {
		l, err := Open(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		l.Put([]byte(text))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "one\ntwo\n" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Open(filepath.Join(path, "below"), nil); err == nil {
		t.Error("a file below a file")
	}
}
