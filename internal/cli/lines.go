package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
)

const maxLine = 64 << 20

// AnswerLines reads one JSON value a line and writes one answer a line. What fails is answered with
// {"error":".."}; the command goes on. It ends with the input, or with ctx, also while it waits for a line.
func AnswerLines(ctx context.Context, r io.Reader, w io.Writer, answer func(line []byte) (any, error)) error {
	lines := NewLineReader(r)
	out := bufio.NewWriter(w)
	for {
		line, err := lines.Next(ctx)
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return err
		}
		if len(line) == 0 {
			continue
		}
		result, err := answer(line)
		if err != nil {
			result = map[string]string{"error": err.Error()}
		}
		if err := PrintJSON(out, result); err != nil {
			return err
		}
		if lines.idle() {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// LineReader reads lines on a goroutine of its own, so that whoever waits for one can be interrupted: a read of a terminal can not.
type LineReader struct {
	in    *bufio.Reader
	want  chan struct{}
	lines chan readResult
	ended error // what the last line was followed by
}

type readResult struct {
	line []byte
	err  error
}

// NewLineReader returns a reader of the lines of r.
func NewLineReader(r io.Reader) *LineReader {
	l := &LineReader{in: bufio.NewReaderSize(r, 1<<16), want: make(chan struct{}), lines: make(chan readResult, 1)}
	go func() {
		for range l.want {
			line, err := readLine(l.in)
			l.lines <- readResult{line, err}
			if err != nil {
				return
			}
		}
	}()
	return l
}

// Next waits for the next line, without its end; io.EOF follows the last.
func (l *LineReader) Next(ctx context.Context) ([]byte, error) {
	if err := errors.Join(l.ended, ctx.Err()); err != nil {
		return nil, err
	}
	l.want <- struct{}{}
	select {
	case got := <-l.lines:
		l.ended = got.err
		return got.line, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// idle tells whether the next line has to be waited for. The reading goroutine rests between calls of next.
func (l *LineReader) idle() bool { return l.in.Buffered() == 0 }

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, more, err := in.ReadLine()
		if err != nil {
			return nil, err
		}
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, errors.New("a line of input is longer than 64 MiB")
		}
		if !more {
			return line, nil
		}
	}
}

// DecodeLine parses one line into v, naming what was expected.
func DecodeLine(line []byte, v any, want string) error {
	if err := json.Unmarshal(line, v); err != nil {
		return errors.New("expected " + want + ": " + err.Error())
	}
	return nil
}
