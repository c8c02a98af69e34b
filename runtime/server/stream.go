package server

import (
	"errors"
	"io"
	"runtime/debug"

	"github.com/valyala/fasthttp"
)

// keepBuffer is how large a stream's buffer may stay once a burst is over.
const keepBuffer = 64 << 10

// stream is the body of a streamed answer: server-sent events, read by the connection's own goroutine. A read waits for the next
// event and takes all that have come meanwhile, so when a client is slow several tokens leave in one write, each still an
// event of its own.
type stream struct {
	server *Server
	batch  *batch
	words  dialect

	out      []byte // events; out[sent:] is not sent yet
	sent     int
	complete int   // out[:complete] is whole events
	ended    bool  // nothing comes after out
	failed   error // read instead of a regular end
	account  *account
	release  func()
}

// stream makes the answer a stream. release is called once, when all is sent or can not be.
func (s *Server) stream(c *fasthttp.RequestCtx, b *batch, words dialect, release func()) {
	st := &stream{server: s, batch: b, words: words, release: release, account: accountOf(c)}
	st.add(words.begin(st.out, b))
	c.SetContentType("text/event-stream; charset=utf-8")
	c.Response.Header.Set("Cache-Control", "no-cache")
	c.Response.Header.Set("X-Accel-Buffering", "no") // nginx would collect the events
	// Clients and proxies see at once that the request was taken, however long it waits for its first token.
	c.Response.ImmediateHeaderFlush = len(st.out) == 0
	c.Response.SetBodyStream(st, -1)
}

// add takes in out with whole events behind it.
func (st *stream) add(out []byte) { st.out, st.complete = out, len(out) }

// Read implements io.Reader.
func (st *stream) Read(p []byte) (int, error) {
	for st.sent == len(st.out) {
		if st.failed != nil {
			return 0, st.failed
		}
		if st.ended {
			return 0, io.EOF
		}
		if cap(st.out) > keepBuffer {
			st.out = nil
		}
		st.out, st.sent, st.complete = st.out[:0], 0, 0
		st.fill()
	}
	n := copy(p, st.out[st.sent:])
	st.sent += n
	return n, nil
}

// Close implements io.Closer; the connection calls it when it is done with the answer, however it ended.
func (st *stream) Close() error {
	if st.release != nil {
		st.release()
		st.release = nil
	}
	return nil
}

// fill adds the next events to out. A panic ends this stream alone.
func (st *stream) fill() {
	defer func() {
		if p := recover(); p != nil {
			st.server.log.Error("panic in a stream", "panic", p, "stack", string(debug.Stack()))
			st.fail(errors.New("panic"))
		}
	}()
	arrivals, err := st.batch.wait()
	if err != nil {
		st.fail(err)
		return
	}
	for _, a := range arrivals {
		p, err := st.batch.take(a)
		if err != nil {
			st.fail(err)
			return
		}
		st.add(st.words.arrival(st.out, st.batch, a.choice, p))
	}
	if st.batch.done() {
		st.add(st.words.end(st.out, st.batch))
		st.ended = true
	}
}

// fail ends the stream with an error event. Nobody is told of a client that left.
func (st *stream) fail(err error) {
	st.out = st.out[:st.complete]
	refusal := st.server.asAPIError(err)
	st.account.fail(refusal)
	if errors.Is(err, errClientGone) {
		st.failed = err
		return
	}
	st.add(st.words.failure(st.out, refusal))
	st.ended = true
}
