package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"llmc/runtime/prefill"
)

// access says who may use a route.
type access uint8

const (
	withKey     access = iota // whoever has a key, when keys are set
	anybody                   // health, for probes; the pages, which hold nothing secret and ask for the key
	withMetrics               // anybody if the configuration says so
)

// A route is one row: adding an endpoint is adding a file with its handler, and a row.
type route struct {
	method, path string
	access       access
	handle       func(*Server, *fasthttp.RequestCtx) error
	refusal      refusal // nil: the OpenAI API's
}

var routes = slices.Concat(ownRoutes, tgiRoutes, kserveRoutes)

var ownRoutes = []route{
	{method: "GET", path: "/", access: anybody, handle: (*Server).chatPage},
	{method: "GET", path: "/health", access: anybody, handle: (*Server).health},
	{method: "GET", path: "/ping", access: anybody, handle: (*Server).health},
	{method: "GET", path: "/livez", access: anybody, handle: (*Server).live},
	{method: "GET", path: "/readyz", access: anybody, handle: (*Server).ready},
	{method: "GET", path: "/startupz", access: anybody, handle: (*Server).started},
	{method: "GET", path: "/stats", access: anybody, handle: (*Server).statsPage},
	{method: "GET", path: "/stats/data", handle: (*Server).stats},
	{method: "GET", path: "/openapi.json", handle: (*Server).openAPI},
	{method: "GET", path: "/version", handle: (*Server).version},
	{method: "GET", path: "/metrics", access: withMetrics, handle: (*Server).metrics},
	{method: "GET", path: "/v1/models", handle: (*Server).listModels},
	{method: "GET", path: "/v1/models/{model:*}", handle: (*Server).showModel},
	{method: "POST", path: "/v1/completions", handle: (*Server).completions},
	{method: "POST", path: "/v1/chat/completions", handle: (*Server).chatCompletions},
	{method: "POST", path: "/v1/responses", handle: (*Server).createResponse},
	{method: "POST", path: "/v1/embeddings", handle: (*Server).embeddings},
	{method: "POST", path: "/v1/rerank", handle: (*Server).rerank},
	{method: "POST", path: "/v1/score", handle: (*Server).score},
	{method: "POST", path: "/v1/load_lora_adapter", handle: (*Server).loadAdapter},
	{method: "POST", path: "/v1/unload_lora_adapter", handle: (*Server).unloadAdapter},
	{method: "POST", path: prefill.Path, handle: (*Server).prefill},
	{method: "POST", path: "/tokenize", handle: (*Server).tokenize},
	{method: "POST", path: "/detokenize", handle: (*Server).detokenize},
	{method: "GET", path: "/tokenizer_info", handle: (*Server).tokenizerInfo},
}

// router dispatches by the table of routes.
func (s *Server) router() *router.Router {
	r := router.New()
	s.offers = routes // handlers can not name the table that they are in
	r.RedirectTrailingSlash, r.RedirectFixedPath, r.HandleOPTIONS = false, false, false
	for _, row := range routes {
		handler := s.handler(row)
		r.Handle(row.method, row.path, handler)
		if row.method == "GET" {
			r.Handle("HEAD", row.path, handler)
		}
	}
	r.NotFound = s.handler(route{path: "other", handle: notFound})
	r.MethodNotAllowed = s.handler(route{path: "other", handle: notAllowed})
	return r
}

func notFound(_ *Server, c *fasthttp.RequestCtx) error {
	return &apiError{status: 404, kind: kindRequest, code: "unknown_url", message: fmt.Sprintf("unknown URL: %s %.200q", c.Method(), c.Path())}
}

// notAllowed finds the methods of the path in the header that the router has set.
func notAllowed(s *Server, c *fasthttp.RequestCtx) error {
	if string(c.Method()) == "OPTIONS" {
		s.preflight(c)
		c.SetStatusCode(fasthttp.StatusNoContent)
		return nil
	}
	return &apiError{status: 405, kind: kindRequest, code: "method_not_allowed",
		message: fmt.Sprintf("%.32q is not allowed for %.200q, use %s", c.Method(), c.Path(), c.Response.Header.Peek("Allow"))}
}

// handler surrounds a route with what all have in common.
func (s *Server) handler(row route) fasthttp.RequestHandler {
	return func(c *fasthttp.RequestCtx) {
		c.Response.Header.Set("X-Request-Id", s.requestID(c))
		c.Response.Header.Set("X-Content-Type-Options", "nosniff")
		s.allowOrigin(c)
		a := s.account(c, row)
		if err := s.guarded(row, c); err != nil {
			refusal := s.asAPIError(err)
			a.fail(refusal)
			s.refuse(c, refusal, row.refusal)
		}
		a.answered(c.Response.StatusCode())
		if s.inflight.isDraining() {
			c.SetConnectionClose()
		}
		if s.config.Metrics != nil {
			s.config.Metrics.Answered(row.path, row.metricMethod(), c.Response.StatusCode())
		}
	}
}

// guarded runs a route's handler if the request may use it. A panic is our fault and ends this request alone.
func (s *Server) guarded(row route, c *fasthttp.RequestCtx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in a request", "path", row.path, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("panic")
		}
	}()
	if row.access == withKey || row.access == withMetrics && !s.config.OpenMetrics {
		if !s.authorized(&c.Request.Header) && !(row.method == "" && string(c.Method()) == "OPTIONS") {
			return errKey
		}
	}
	if row.method == "POST" && !mayBeJSON(&c.Request.Header) {
		return &apiError{status: 415, kind: kindRequest, code: "unsupported_media_type", message: "Content-Type must be application/json"}
	}
	return row.handle(s, c)
}

// errKey is what a request without a valid key is answered.
var errKey = &apiError{status: 401, kind: kindRequest, code: "invalid_api_key", message: "this server needs an API key: send it as Authorization: Bearer KEY"}

// metricMethod bounds the label: methods of unknown routes are the peer's choice.
func (r route) metricMethod() string {
	if r.method == "" {
		return "other"
	}
	return r.method
}

// admit counts a request for its key, which is nil where keys are not set.
func (s *Server) admit(from caller) (*allowance, error) {
	if s.config.Keys == nil {
		return nil, nil
	}
	key := s.config.Keys.of(from.authorization)
	if key == nil { // it was there a moment ago
		return nil, nil
	}
	v, refusal := s.config.Keys.enter(key, s.now(), from.tell)
	if refusal != nil {
		return nil, refusal
	}
	return v, nil
}

// authorized tells whether a request has a key, or needs none.
func (s *Server) authorized(h *fasthttp.RequestHeader) bool {
	return s.config.Keys == nil || s.config.Keys.accept(h.Peek("Authorization"))
}

// mayBeJSON refuses the types that web pages may send to foreign servers without asking (text/plain, forms). "curl -d" calls
// everything a form; it is told from a page by the header that browsers add to whatever a page sends.
func mayBeJSON(h *fasthttp.RequestHeader) bool {
	mediaType, _, _ := bytes.Cut(h.ContentType(), []byte(";"))
	mediaType = bytes.TrimSpace(mediaType)
	if bytes.EqualFold(mediaType, []byte("application/json")) {
		return true
	}
	fromPage := len(h.Peek("Origin")) > 0 || len(h.Peek("Sec-Fetch-Site")) > 0
	return !fromPage && (len(mediaType) == 0 || bytes.EqualFold(mediaType, []byte("application/x-www-form-urlencoded")))
}

// requestID returns the id that the client gave, if it is harmless, or a new one.
func (s *Server) requestID(c *fasthttp.RequestCtx) string {
	const longest = 128
	given := c.Request.Header.Peek("X-Request-Id")
	harmless := func(b byte) bool {
		return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_' || b == '.' || b == ':'
	}
	if len(given) > 0 && len(given) <= longest && !slices.ContainsFunc(given, func(b byte) bool { return !harmless(b) }) {
		return string(given)
	}
	return "req_" + s.newID()
}

// bodyLimits is asked when a header has been read: from then on the body has its own time, and a stranger's little room.
func (s *Server) bodyLimits(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	limits := fasthttp.RequestConfig{ReadTimeout: s.config.Limits.BodyTimeout, MaxRequestBodySize: s.bodyBytes()}
	if !s.authorized(h) {
		limits.MaxRequestBodySize = min(strangerBody, limits.MaxRequestBodySize)
	}
	return limits
}

// unreadable answers requests that could not be read. The connection is closed after it.
func (s *Server) unreadable(c *fasthttp.RequestCtx, err error) {
	answer := &apiError{status: 400, kind: kindRequest, code: "bad_request", message: "the request is not valid HTTP"}
	var tooSmall *fasthttp.ErrSmallBuffer
	var timeout net.Error
	switch {
	case errors.As(err, &tooSmall):
		answer.status, answer.code = 431, "header_too_large"
		answer.message = fmt.Sprintf("the header is larger than %d bytes", s.config.Limits.HeaderBytes)
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		answer.status, answer.code = 413, "body_too_large"
		answer.message = fmt.Sprintf("the body is larger than %d bytes", s.bodyBytes())
		if !s.authorized(&c.Request.Header) {
			answer.status, answer.code = errKey.status, errKey.code
			answer.message = fmt.Sprintf("without a valid API key, bodies larger than %d bytes are not read: send it as Authorization: Bearer KEY", strangerBody)
		}
	case errors.Is(err, errNoRoom):
		answer = &apiError{status: 503, kind: kindBusy, code: "busy", retry: time.Second, message: "too many large requests are being received; try again later"}
	case errors.As(err, &timeout) && timeout.Timeout():
		answer.status, answer.code = 408, "request_timeout"
		answer.message = "the request did not arrive in time"
	}
	lingerOn(c.Conn())
	c.Response.Header.Set("X-Request-Id", s.requestID(c))
	s.refuse(c, answer, nil)
	if s.config.Metrics != nil {
		s.config.Metrics.Answered("unreadable", "other", answer.status)
	}
}
