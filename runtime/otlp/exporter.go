package otlp

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Exporter sends spans. Its methods may be called from any goroutine.
type Exporter struct {
	settings Settings
	version  string
	wire     transport
	log      *slog.Logger

	spans   chan Span
	flush   chan struct{}
	done    chan struct{}
	stop    context.Context // ends waiting for the collector
	cancel  context.CancelFunc
	dropped atomic.Uint64
}

// transport takes requests to a collector. A request that it refuses may be sent again, after some time, or not.
type transport interface {
	post(ctx context.Context, body []byte) (again bool, after time.Duration, err error)
	close()
}

// longestWait is how long a collector may make spans wait.
const longestWait = time.Minute

// New returns an exporter that runs until Close; version is that of the program.
func New(s Settings, version string, log *slog.Logger) *Exporter {
	e := &Exporter{
		settings: s, version: version, log: log, wire: s.transport("llmrun/" + version),
		spans: make(chan Span, s.Queue), flush: make(chan struct{}), done: make(chan struct{}),
	}
	e.stop, e.cancel = context.WithCancel(context.Background())
	go e.run()
	return e
}

// Samples decides whether a span of a trace is wanted, and notes it in the context.
func (e *Exporter) Samples(c *Context) bool {
	if e.settings.follow && c.Parent != (SpanID{}) {
		return c.Sampled
	}
	// The last seven bytes of an id are random in every version of trace context.
	const bits = 56
	r := binary.BigEndian.Uint64(c.Trace[8:]) & (1<<bits - 1)
	c.Sampled = float64(r) < e.settings.share*(1<<bits)
	return c.Sampled
}

// Put queues a span, or drops it. It never waits. The exporter keeps what the span refers to.
func (e *Exporter) Put(s Span) {
	select {
	case e.spans <- s:
	default:
		e.dropped.Add(1)
	}
}

// Dropped counts the spans that were not taken by the collector.
func (e *Exporter) Dropped() uint64 { return e.dropped.Load() }

// Close sends what waits, while ctx lasts.
func (e *Exporter) Close(ctx context.Context) error {
	close(e.flush)
	defer e.wire.close()
	defer e.cancel()
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		e.cancel()
		<-e.done
		return fmt.Errorf("traces: %w", ctx.Err())
	}
}

// run collects spans until a batch is full or has waited long enough.
func (e *Exporter) run() {
	defer close(e.done)
	tick := time.NewTicker(e.settings.Delay)
	defer tick.Stop()
	var batch []Span
	send := func() {
		if len(batch) > 0 {
			e.send(batch)
			clear(batch)
			batch = batch[:0]
		}
	}
	for {
		select {
		case s := <-e.spans:
			if batch = append(batch, s); len(batch) == e.settings.Batch {
				send()
			}
		case <-tick.C:
			send()
		case <-e.flush:
			for len(e.spans) > 0 {
				if batch = append(batch, <-e.spans); len(batch) == e.settings.Batch {
					send()
				}
			}
			send()
			return
		}
	}
}

// send sends a batch, again where the collector says that it may be tried again. Spans wait meanwhile.
func (e *Exporter) send(batch []Span) {
	const tries = 5
	body := encode(nil, e.settings.Resource, e.version, batch)
	wait := time.Second
	last := false
	var err error
	for range tries {
		again, after, failed := e.wire.post(e.stop, body)
		if err = failed; err == nil {
			return
		}
		if !again || last {
			break
		}
		last = !e.pause(max(wait, after))
		wait *= 2
	}
	e.dropped.Add(uint64(len(batch)))
	e.log.Warn("traces: spans are lost", "spans", len(batch), "err", err)
}

// pause waits before the next try; false: the exporter is being closed, and that one is the last.
func (e *Exporter) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-e.flush:
		return false
	}
}
