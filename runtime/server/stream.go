package server

import (
	"errors"
	"fmt"
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
	server     *Server
	batch      *batch
	words      wording
	head       []byte // of every chunk, up to its choices
	promptTail []byte // what the chunk being made has behind its choices

	out      []byte // events; out[sent:] is not sent yet
	sent     int
	complete int   // out[:complete] is whole events
	ended    bool  // nothing comes after out
	failed   error // read instead of a regular end
	release  func()
}

// stream makes the answer a stream. release is called once, when all is sent or can not be.
func (s *Server) stream(c *fasthttp.RequestCtx, b *batch, words wording, release func()) {
	idPrefix, _, object := words.names()
	st := &stream{server: s, batch: b, words: words, release: release}
	st.head = s.envelope(b.req, idPrefix, object).append([]byte("data: "))
	st.open()
	c.SetContentType("text/event-stream; charset=utf-8")
	c.Response.Header.Set("Cache-Control", "no-cache")
	c.Response.Header.Set("X-Accel-Buffering", "no") // nginx would collect the events
	// Clients and proxies see at once that the request was taken, however long it waits for its first token.
	c.Response.ImmediateHeaderFlush = len(st.out) == 0
	c.Response.SetBodyStream(st, -1)
}

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
		if err := st.arrival(a); err != nil {
			st.fail(err)
			return
		}
	}
	if st.batch.done() {
		st.end()
	}
}

// open adds the chunks that need no token.
func (st *stream) open() {
	r := st.batch.req
	for i, c := range st.batch.choices {
		if i == 0 && r.on == onChat {
			st.promptTail = appendIDs(nil, "prompt_token_ids", r, c.prompt.ids)
		}
		st.chunk(func(dst []byte) []byte { return st.words.opening(dst, r, c) })
		st.promptTail = nil
	}
}

// arrival adds the chunks of one event.
func (st *stream) arrival(a arrival) error {
	r, c := st.batch.req, a.choice
	p, err := st.batch.take(a)
	if err != nil {
		return err
	}
	if r.echo && !c.echoed {
		c.echoed = true
		st.piece(c, r.echoed(c))
	}
	// A token that only begins a character has no text yet, but a probability and an id.
	if p.text != "" || len(p.samples) > 0 || len(p.ids) > 0 {
		st.piece(c, p)
	}
	if c.finish != "" {
		st.chunk(func(dst []byte) []byte { return st.words.ending(dst, r, c) })
	}
	return nil
}

func (st *stream) piece(c *choice, p piece) {
	st.chunk(func(dst []byte) []byte { return st.words.piece(dst, st.batch.req, c, p) })
}

// chunk adds one event with one choice, or nothing if there is no choice to show.
func (st *stream) chunk(choice func(dst []byte) []byte) {
	before := len(st.out)
	st.out = append(st.out, st.head...)
	shown := len(st.out)
	if st.out = choice(st.out); len(st.out) == shown {
		st.out = st.out[:before]
		return
	}
	st.out = append(st.out, ']')
	st.out = append(st.out, st.promptTail...)
	switch r := st.batch.req; {
	case r.chunkUsage:
		st.out = appendUsage(append(st.out, `,"usage":`...), st.batch.usage())
	case r.streamUsage:
		st.out = append(st.out, `,"usage":null`...)
	}
	st.out = append(st.out, "}\n\n"...)
	st.complete = len(st.out)
}

// end adds what follows the last choice.
func (st *stream) end() {
	if st.batch.req.streamUsage {
		st.out = append(append(st.out, st.head...), `],"usage":`...)
		st.out = append(appendUsage(st.out, st.batch.usage()), "}\n\n"...)
	}
	st.out = append(st.out, "data: [DONE]\n\n"...)
	st.ended = true
}

// fail ends the stream with an error event: the status has been sent long ago. Nobody is told of a client that left.
func (st *stream) fail(err error) {
	st.out = st.out[:st.complete]
	if errors.Is(err, errClientGone) {
		st.failed = err
		return
	}
	body, marshalErr := st.server.asAPIError(err).MarshalJSON()
	if marshalErr != nil {
		st.failed = marshalErr
		return
	}
	st.out = fmt.Appendf(st.out, "data: {\"error\":%s}\n\n", body)
	st.ended = true
}
