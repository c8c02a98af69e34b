package server

import (
	"cmp"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
	"google.golang.org/grpc/metadata"

	"llmc/runtime"
	"llmc/runtime/otlp"
)

// account is what is told of a request to a model when it has ended: a line of the request log, a span. It is nil where nobody wants either, and all
// its methods do nothing then. It is the connection's own, like the request.
type account struct {
	server  *Server
	begun   time.Time
	id, api string
	status  int
	failure *apiError // nil: it went well

	key     *allowance   // nil: none is needed, or it had none
	request *request     // nil: it could not be read
	batch   *batch       // nil: nothing was generated
	steps   *computation // nil: the model is none that has steps
	streams bool         // the stream ends it, not the handler
	span    otlp.Span
	traced  bool
}

// accountKey is where a request's account is kept while it is handled.
type accountKey struct{}

// account opens the account of a request, if it is one to a model and anybody wants it.
func (s *Server) account(c *fasthttp.RequestCtx, row route) *account {
	if row.method != "POST" || s.config.Requests == nil && s.config.Traces == nil {
		return nil
	}
	a := s.openAccount(string(c.Response.Header.Peek("X-Request-Id")), row.path, func(name string) string { return string(c.Request.Header.Peek(name)) })
	c.SetUserValue(accountKey{}, a)
	return a
}

// openAccount opens the account of a request; header tells what came beside it.
func (s *Server) openAccount(id, api string, header func(name string) string) *account {
	a := &account{server: s, begun: time.Now(), id: id, api: api}
	if s.config.Traces != nil {
		a.span.Context = otlp.Parse(header("traceparent"), header("tracestate"))
		a.traced = s.config.Traces.Samples(&a.span.Context)
	}
	return a
}

// callAccount opens the account of a gRPC call, if anybody wants it.
func (s *Server) callAccount(md metadata.MD, method string) *account {
	if s.config.Requests == nil && s.config.Traces == nil {
		return nil
	}
	return s.openAccount("req_"+s.newID(), method, func(name string) string { return strings.Join(md.Get(name), ",") })
}

// accountOf returns the account of a request; nil: it has none.
func accountOf(c *fasthttp.RequestCtx) *account {
	a, _ := c.UserValue(accountKey{}).(*account)
	return a
}

func (a *account) use(key *allowance) {
	if a != nil {
		a.key = key
	}
}

func (a *account) take(r *request) {
	if a != nil {
		a.request = r
	}
}

// compute notes the steps of the request, which tell the rest.
func (a *account) compute(c *computation) {
	if a != nil {
		a.steps = c
	}
}

// run notes the generations of the request, which tell the rest.
func (a *account) run(b *batch) {
	if a != nil {
		a.batch, a.streams = b, b.req.stream
	}
}

// fail notes why the request did not go well.
func (a *account) fail(e *apiError) {
	if a != nil {
		a.failure = e
	}
}

// answered notes the status of the answer, and ends the account unless a stream does.
func (a *account) answered(status int) {
	if a == nil {
		return
	}
	a.status = status
	if !a.streams {
		a.end()
	}
}

// close notes how a call ended, and ends its account unless its stream has. It returns the error as its client is told it.
func (a *account) close(err error) error {
	if a == nil || a.streams {
		return err
	}
	if err == nil {
		a.answered(200)
		return nil
	}
	e := a.server.asAPIError(err)
	a.fail(e)
	a.answered(e.status)
	return e
}

// end tells of the request. All its generations have ended.
func (a *account) end() {
	if a == nil {
		return
	}
	r := a.report()
	if l := a.server.config.Requests; l != nil {
		l.Put(a.line(&r))
	}
	if a.traced {
		span := a.finished(&r)
		a.server.config.Traces.Put(span)
		for _, step := range a.stepSpans(&span) {
			a.server.config.Traces.Put(step)
		}
	}
}

// report is what an account amounts to. Times are zero where something did not happen.
type report struct {
	ended         time.Time
	model         string
	usage         runtime.Usage // of all choices
	choices       int
	finish        []string  // of each choice
	queued        time.Time // when the first choice was submitted
	started       time.Time // when it came into its first step
	first         time.Time // when its first token came
	errorCode     string
	streamed      bool
	encodesTokens bool // the request is one to an encoder
}

func (a *account) report() report {
	r := report{ended: time.Now()}
	if a.failure != nil {
		r.errorCode = cmp.Or(a.failure.code, a.failure.kind)
	}
	if a.request == nil {
		return r
	}
	r.model, r.streamed = a.request.model.Name, a.request.stream
	r.usage.PromptTokens = a.request.encodedTokens
	r.encodesTokens = a.request.model.Encoder != nil || a.steps != nil
	if a.steps != nil {
		r.usage = a.steps.usage()
	}
	if a.batch == nil {
		return r
	}
	if a.steps == nil { // else they are in it
		r.usage = a.batch.usage()
	}
	r.choices, r.queued = len(a.batch.choices), a.batch.submitted
	for i, c := range a.batch.choices {
		usage, why := c.usage, string(c.finish)
		if c.finish == "" { // given up, by the client or by us
			usage, why = c.gen.Usage(), string(runtime.FinishAbort)
		} else if c.finish == runtime.FinishStop || c.finish == runtime.FinishLength {
			why = c.finishReason()
		}
		r.finish = append(r.finish, why)
		if i == 0 {
			r.started, r.first = usage.Started, usage.First
		}
	}
	return r
}
