package server

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"
)

// caller is who sent a request, over whatever protocol.
type caller struct {
	authorization []byte
	timeouts      func() (timeouts, error) // what it asks for apart from its request
	prefiller     string                   // who should compute its prompt, if anybody else; "": whoever
	tell          telling
	account       *account // nil: nobody wants one
	// watch has gone called, with the reason, when nobody waits for the answer any more, until unwatch is called.
	watch func(gone func(error)) (unwatch func())
	left  func() bool // tells whether that is so already
}

// overHTTP is the caller of a connection.
func overHTTP(c *fasthttp.RequestCtx) caller {
	return caller{
		authorization: c.Request.Header.Peek("Authorization"),
		timeouts:      func() (timeouts, error) { return readTimeouts(&c.Request.Header) },
		prefiller:     string(c.Request.Header.Peek(prefillerHeader)),
		tell:          c.Response.Header.Set,
		account:       accountOf(c),
		watch: func(gone func(error)) func() {
			return watchPeer(c.Conn(), func() { gone(errClientGone) })
		},
		left: func() bool { return peerLeft(c.Conn()) },
	}
}

// visit is a request's stay here: the server does not stop under it, its key is counted, and its model is not closed.
type visit struct {
	from    caller
	arrived time.Time
	limits  timeouts
	key     *allowance // nil: keys are not set
	used    func() int // tokens, asked for when it has been answered
	leave   []func()   // to be called then, the last first
}

// enter lets a request in. end has to be called when it has been answered.
func (s *Server) enter(from caller) (*visit, error) {
	v := &visit{from: from, arrived: time.Now(), used: func() int { return 0 }}
	if from.left() { // who opens connections, asks and resets them is not to cost more than his connections do
		return nil, errClientGone
	}
	var err error
	if v.limits, err = from.timeouts(); err != nil {
		return nil, err
	}
	if !s.inflight.enter() {
		return nil, errStopping
	}
	v.leave = append(v.leave, s.inflight.leave)
	if v.key, err = s.admit(from); err != nil {
		v.end()
		return nil, err
	}
	v.leave = append(v.leave, func() { v.key.leave(v.used()) })
	from.account.use(v.key)
	return v, nil
}

func (v *visit) end() {
	for i := len(v.leave) - 1; i >= 0; i-- {
		v.leave[i]()
	}
	v.leave = nil
}

// decoded decodes a request and holds its model.
func (v *visit) decoded(decode func() (*request, error)) (*request, error) {
	r, release, err := holding(decode)
	if err == nil {
		v.leave = append(v.leave, release)
		r.arrived = v.arrived
		v.from.account.take(r)
	}
	return r, err
}

// holding decodes a request and keeps its model from being closed until release is called. What was decoded for a model that has gone meanwhile is decoded
// anew, for the one in its place: the door of a model closes after it has left the table.
func holding(decode func() (*request, error)) (r *request, release func(), err error) {
	for {
		if r, err = decode(); err != nil {
			return nil, nil, err
		}
		if r.model.requests.enter() {
			return r, r.model.requests.leave, nil
		}
	}
}

// begin lets a request in and starts its generations. They end with end, which has to be called; an error leaves nothing behind.
func (s *Server) begin(from caller, decode func() (*request, error)) (b *batch, end func(), err error) {
	v, err := s.enter(from)
	if err != nil {
		return nil, nil, err
	}
	began := false
	defer func() { // after a panic too
		if !began {
			v.end()
		}
	}()
	if b, err = s.startIn(v, decode); err != nil {
		return nil, nil, err
	}
	began = true
	from.account.run(b)
	if b.req.stream {
		v.leave = append(v.leave, from.account.end)
	}
	v.used = func() int {
		u := b.usage()
		return u.PromptTokens + u.OutputTokens
	}
	v.leave = append(v.leave, b.close)
	return b, v.end, nil
}

func (s *Server) startIn(v *visit, decode func() (*request, error)) (*batch, error) {
	r, err := v.decoded(decode)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(s.base)
	v.leave = append(v.leave, func() { cancel(context.Canceled) }, v.from.watch(func(why error) { cancel(why) }))
	return s.launch(ctx, v, r, v.from.tell)
}

// launch starts the generations of a request that is part of a visit. They end with ctx.
func (s *Server) launch(ctx context.Context, v *visit, r *request, tell telling) (*batch, error) {
	r.base.FirstToken, r.base.Deadline = v.limits.tighter(r.timeouts).from(v.arrived)
	v.key.apply(r)
	if err := r.encode(); err != nil {
		return nil, err
	}
	if err := r.compile(); err != nil {
		return nil, err
	}
	if refusal := v.key.reserve(r.mostTokens(), s.now(), tell); refusal != nil {
		return nil, refusal
	}
	r.model.Metrics.Validated(time.Since(v.arrived))
	if v.from.left() { // meanwhile: its prompt is in no step yet
		return nil, errClientGone
	}
	release, err := r.fetch(ctx, v.from.prefiller)
	if err != nil {
		return nil, err
	}
	return s.start(ctx, r, release)
}

// encodeFor computes a request of an encoder: answer makes the sequences, has them computed, and words what comes of it.
func (s *Server) encodeFor(from caller, decode func() (*request, error), answer func(ctx context.Context, r *request) error) error {
	v, err := s.enter(from)
	if err != nil {
		return err
	}
	defer v.end()
	r, err := v.decoded(decode)
	if err != nil {
		return err
	}
	v.used = func() int { return r.encodedTokens }
	ctx, cancel := context.WithCancelCause(s.base)
	defer cancel(nil)
	ctx, end := v.limits.tighter(r.timeouts).bound(ctx, v.arrived)
	defer end()
	defer from.watch(func(why error) { cancel(why) })()
	return s.counted(r, func() error { return answer(ctx, r) })
}

// counted computes a request of an encoder and counts it as one of its model's.
func (s *Server) counted(r *request, compute func() error) error {
	began := s.now()
	if err := compute(); err != nil {
		refusal := s.asAPIError(err)
		r.model.Metrics.Rejected(refusal.code)
		r.model.stats.add(false, s.now().Sub(began), s.now())
		return refusal
	}
	r.model.stats.add(true, s.now().Sub(began), s.now())
	return nil
}
