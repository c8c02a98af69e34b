package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestAnswerLines(t *testing.T) {
	upper := func(line []byte) (any, error) {
		var s string
		if err := DecodeLine(line, &s, "a string"); err != nil {
			return nil, err
		}
		return strings.ToUpper(s), nil
	}
	var out bytes.Buffer
	in := "\"a\"\n\n7\r\n\"<b>\"" // an empty line has no answer, the last line no end
	if err := AnswerLines(context.Background(), strings.NewReader(in), &out, upper); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(out.String(), "\n")
	if len(got) != 4 || got[0] != `"A"` || !strings.HasPrefix(got[1], `{"error":"expected a string: `) || got[2] != `"<B>"` || got[3] != "" {
		t.Errorf("answers %q", got)
	}
}

func TestWaitingForALineCanBeInterrupted(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(context.Background())
	answered := make(chan struct{})
	ended := make(chan error)
	go func() {
		ended <- AnswerLines(ctx, r, io.Discard, func([]byte) (any, error) { close(answered); return 1, nil })
	}()
	if _, err := w.Write([]byte("1\n")); err != nil {
		t.Fatal(err)
	}
	<-answered
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestLineReaderEnds(t *testing.T) {
	l := NewLineReader(strings.NewReader("a"))
	for i, want := range []error{nil, io.EOF, io.EOF} {
		if _, err := l.Next(context.Background()); !errors.Is(err, want) {
			t.Errorf("line %d: %v, want %v", i, err, want)
		}
	}
}
