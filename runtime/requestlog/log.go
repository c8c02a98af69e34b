// Package requestlog writes lines to a file behind the back of whoever has them: a writer that is slow or stuck makes nobody wait. It owns the queue
// between, which is bounded; what does not fit is dropped and counted.
//
// It must not know what lines say, nor turn files over: that is for whoever keeps them.
package requestlog

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

const (
	depth     = 1024      // lines that may wait
	longest   = 256 << 10 // bytes of a line
	batchSize = 64 << 10  // bytes that are written at a time, about
)

// Log takes lines.
type Log struct {
	out     io.WriteCloser
	lines   chan []byte
	quit    chan struct{}
	done    chan struct{}
	dropped atomic.Uint64
	errors  *slog.Logger
}

// Open opens a file, to which is appended, so that it may be cut off while it is written; "-" is standard output.
func Open(path string, errors *slog.Logger) (*Log, error) {
	if path == "-" {
		return New(keptOpen{os.Stdout}, errors), nil
	}
	const ownerAndGroup = 0o640
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, ownerAndGroup)
	if err != nil {
		return nil, fmt.Errorf("request log: %w", err)
	}
	return New(f, errors), nil
}

type keptOpen struct{ io.Writer }

func (keptOpen) Close() error { return nil }

// New returns a log that writes to out, and says in errors when that fails.
func New(out io.WriteCloser, errors *slog.Logger) *Log {
	l := &Log{out: out, lines: make(chan []byte, depth), quit: make(chan struct{}), done: make(chan struct{}), errors: errors}
	go l.run()
	return l
}

// Put queues a line, its end included, or drops it. It never waits. The log keeps the slice.
func (l *Log) Put(line []byte) {
	if len(line) > longest {
		l.dropped.Add(1)
		return
	}
	select {
	case l.lines <- line:
	default:
		l.dropped.Add(1)
	}
}

// Dropped counts the lines that were not written.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

func (l *Log) run() {
	defer close(l.done)
	var batch []byte
	for {
		select {
		case line := <-l.lines:
			batch = l.write(append(batch[:0], line...))
		case <-l.quit:
			for len(l.lines) > 0 {
				batch = l.write(append(batch[:0], <-l.lines...))
			}
			return
		}
	}
}

// write writes a batch and the lines that wait behind it.
func (l *Log) write(batch []byte) []byte {
	n := uint64(1)
	for len(l.lines) > 0 && len(batch) < batchSize {
		batch = append(batch, <-l.lines...)
		n++
	}
	if _, err := l.out.Write(batch); err != nil {
		if l.dropped.Add(n) == n { // once, not for every line of a full disk
			l.errors.Error("request log: lines are lost, see llmrun_request_log_dropped_total", "err", err)
		}
	}
	return batch
}

// Close writes what waits, for as long as a stuck writer is given, and closes the file.
func (l *Log) Close() error {
	const patience = 2 * time.Second
	close(l.quit)
	select {
	case <-l.done:
		return l.out.Close()
	case <-time.After(patience):
		return fmt.Errorf("request log: the writer is stuck, %d lines are lost", len(l.lines))
	}
}
