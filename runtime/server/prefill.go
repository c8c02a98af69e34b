package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"github.com/valyala/fasthttp"

	"llmc/runtime"
	"llmc/runtime/prefill"
)

// Prompts is a Backend that computes prompts for other servers.
type Prompts interface {
	PageFormat() (format string, bytes int, err error)
	Prefill(ctx context.Context, r runtime.Request) (*runtime.Prefill, error)
}

// prefill answers POST /kv/prefill: the pages of a prompt, as they are computed.
func (s *Server) prefill(c *fasthttp.RequestCtx) error {
	if !s.config.ComputePrompts {
		return &apiError{status: 404, kind: kindRequest, code: "unknown_url", message: "this server computes no prompts for others: start it with --serve-prefill"}
	}
	v, err := s.enter(overHTTP(c))
	if err != nil {
		return err
	}
	streaming := false
	defer func() {
		if !streaming {
			v.end()
		}
	}()
	body, err := s.promptPages(v, c.PostBody())
	if err != nil {
		return err
	}
	c.SetContentType("application/octet-stream")
	c.Response.ImmediateHeaderFlush = true // who asks knows at once that the prompt was taken
	c.Response.SetBodyStream(body, -1)
	streaming = true
	return nil
}

// promptPages begins to compute a prompt as part of a visit, which ends with the body.
func (s *Server) promptPages(v *visit, text []byte) (*promptBody, error) {
	var ask prefill.Ask
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&ask); err != nil {
		return nil, invalid("", "invalid_json", "the body is not a question for the pages of a prompt: %v", err)
	}
	r, err := v.decoded(func() (*request, error) { return s.forPrompt(&ask) })
	if err != nil {
		return nil, err
	}
	v.key.apply(r)
	if refusal := v.key.reserve(len(ask.Prompt), s.now(), v.from.tell); refusal != nil {
		return nil, refusal
	}
	v.used = func() int { return len(ask.Prompt) }
	ctx, cancel := context.WithCancelCause(s.base)
	v.leave = append(v.leave, func() { cancel(context.Canceled) })
	from := r.model.Backend.(Prompts) // forPrompt has seen to it
	computed, err := from.Prefill(ctx, r.base)
	if err != nil {
		return nil, err
	}
	v.leave = append(v.leave, computed.Release, v.from.watch(func(why error) { cancel(why) }))
	if ask.Known < 0 || ask.Known > computed.Most() {
		return nil, invalid("known", "invalid_value", "known: %d pages, the prompt has %d", ask.Known, computed.Most())
	}
	_, pageBytes, _ := from.PageFormat()
	source := pageSource{ctx, computed}
	return &promptBody{server: s, pages: prefill.NewWriter(source, ask.Known, computed.Most(), pageBytes), visit: v}, nil
}

// forPrompt finds the model that a prompt is to be computed for, by its plan: others may call it otherwise.
func (s *Server) forPrompt(ask *prefill.Ask) (*request, error) {
	same := s.models.where(func(m *Model) bool {
		_, computes := m.Backend.(Prompts)
		return computes && m.Digest == ask.Plan
	})
	if len(same) == 0 {
		return nil, &apiError{status: 404, kind: kindRequest, code: "model_not_found", param: "plan", message: fmt.Sprintf("plan %.80q is not served here", ask.Plan)}
	}
	m := same[0]
	switch format, _, err := m.Backend.(Prompts).PageFormat(); {
	case err != nil:
		return nil, &apiError{status: 409, kind: kindRequest, code: "other_pages", param: "format", message: err.Error()}
	case format != ask.Format:
		return nil, &apiError{status: 409, kind: kindRequest, code: "other_pages", param: "format",
			message: fmt.Sprintf("pages here are of %q, those asked for of %.200q: both sides need processors or cards of one target, and the same --tp and --pp", format, ask.Format)}
	}
	r := &request{on: onCompletions, model: m, name: m.Name, maxTokens: 1, choices: 1, bestOf: unset, prompts: []prompt{{ids: ask.Prompt}}}
	r.base = runtime.Request{Prompt: ask.Prompt, CacheSalt: string(ask.Salt), Priority: ask.Priority}
	return r, nil
}

// pageSource is a prompt that is being computed, for as long as someone waits for it.
type pageSource struct {
	ctx      context.Context
	computed *runtime.Prefill
}

func (p pageSource) Wait(i int) error { return p.computed.Wait(p.ctx, i) }

func (p pageSource) Read(i int, to []byte) error { return p.computed.Read(i, to) }

// promptBody is the body of an answer with pages, read by the connection's own goroutine.
type promptBody struct {
	server *Server
	pages  io.Reader
	visit  *visit
}

// Read implements io.Reader. A panic ends this answer alone.
func (b *promptBody) Read(p []byte) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			b.server.log.Error("panic in an answer", "panic", p, "stack", string(debug.Stack()))
			n, err = 0, errors.New("panic")
		}
	}()
	return b.pages.Read(p)
}

// Close implements io.Closer; the connection calls it when it is done with the answer, however it ended.
func (b *promptBody) Close() error {
	b.visit.end()
	return nil
}

// Prefiller has prompts computed elsewhere.
type Prefiller interface {
	// Fetch returns when the pages of a request's prompt have come, or it is known that they will not, which is no error: the request computes what it does not find.
	// release, which may be nil, is to be called when the request has found them. prefer names the one who should compute it, as HOST:PORT; others than those it has mean nothing.
	Fetch(ctx context.Context, r *runtime.Request, prefer string) (release func())
}

// prefillerHeader names who should compute a prompt, as HOST:PORT: routers of llm-d set it.
const prefillerHeader = "X-Prefiller-Host-Port"

// fetchedTogether is how many prompts of a request are asked for at a time.
const fetchedTogether = 8

// fetch has the prompts of a request computed elsewhere, where its model has someone who does that.
func (r *request) fetch(ctx context.Context, prefer string) (release func(), err error) {
	release = func() {}
	if r.model.Prefiller == nil {
		return release, nil
	}
	if by := r.base.FirstToken; !by.IsZero() {
		var end context.CancelFunc
		ctx, end = context.WithDeadline(ctx, by)
		defer end()
	}
	held := make([]func(), len(r.prompts))
	release = func() {
		for _, let := range held {
			if let != nil {
				let()
			}
		}
	}
	var all sync.WaitGroup
	room := make(chan struct{}, fetchedTogether)
	for i := range r.prompts {
		one := r.base
		one.Prompt, one.Adapter = r.prompts[i].ids, r.model.Adapter
		room <- struct{}{}
		all.Go(func() {
			held[i] = r.model.Prefiller.Fetch(ctx, &one, prefer)
			<-room
		})
	}
	all.Wait()
	if why := context.Cause(ctx); errors.Is(why, errClientGone) {
		release()
		return func() {}, why
	}
	return release, nil
}
