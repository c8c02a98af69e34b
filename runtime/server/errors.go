package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"llmc/runtime"
)

// Types of errors, in the words of the OpenAI API.
const (
	kindRequest   = "invalid_request_error"
	kindRateLimit = "rate_limit_error"
	kindBusy      = "service_unavailable_error"
	kindServer    = "server_error"
)

// statusClientGone is what proxies log for a client that left; nobody receives it.
const statusClientGone = 499

// apiError is an error as clients see it.
type apiError struct {
	status  int
	message string
	kind    string        // key "type"
	param   string        // field of the request; "" is null
	code    string        // "" is null
	retry   time.Duration // when to try again; 0: not said
}

func (e *apiError) Error() string { return e.message }

// MarshalJSON writes the object under the key "error", all four keys of it, as the specification requires.
func (e *apiError) MarshalJSON() ([]byte, error) {
	orNull := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return json.Marshal(struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}{e.message, e.kind, orNull(e.param), orNull(e.code)})
}

type errorBody struct {
	Error *apiError `json:"error"`
}

// invalid refuses a request because of one of its fields ("": of all of it).
func invalid(param, code, format string, args ...any) *apiError {
	return &apiError{status: 400, kind: kindRequest, param: param, code: code, message: fmt.Sprintf(format, args...)}
}

func missing(param string) *apiError {
	return invalid(param, "missing_required_parameter", "missing required parameter: %s", param)
}

// Reasons for which a context of a batch is cancelled.
var (
	errClientGone = errors.New("the client closed the connection")
	errStopping   = errors.New("the server is stopping")
)

// knownErrors says how errors of the runtime, and of contexts, look to clients. The first match counts; keep the message of
// err where it can help, and the fixed one where it would only show our inside.
var knownErrors = []struct {
	is      error
	answer  apiError
	message func(err error) string
}{
	{runtime.ErrQueueFull, apiError{status: 429, kind: kindRateLimit, code: "queue_full", retry: time.Second},
		fixed("too many requests are waiting; try again later")},
	{runtime.ErrDraining, apiError{status: 503, kind: kindBusy, code: "draining", retry: 5 * time.Second}, fixed("the server is shutting down")},
	{errStopping, apiError{status: 503, kind: kindBusy, code: "draining", retry: 5 * time.Second}, fixed("the server is shutting down")},
	{runtime.ErrAdapterGone, apiError{status: 404, kind: kindRequest, code: "model_not_found", param: "model"}, error.Error},
	{runtime.ErrTooLong, apiError{status: 400, kind: kindRequest, code: "context_length_exceeded"}, error.Error},
	{runtime.ErrPagesTaken, apiError{status: 503, kind: kindBusy, code: "busy", retry: time.Second}, error.Error},
	{runtime.ErrNoPages, apiError{status: 409, kind: kindRequest, code: "other_pages"}, error.Error},
	{runtime.ErrBadRequest, apiError{status: 400, kind: kindRequest, code: "invalid_value"}, error.Error},
	{runtime.ErrDeadEnd, apiError{status: 422, kind: kindRequest, code: "grammar_dead_end"}, error.Error},
	{errClientGone, apiError{status: statusClientGone, kind: kindRequest, code: "client_closed_request"}, error.Error},
	{runtime.ErrOverdue, apiError{status: 503, kind: kindBusy, code: "queue_timeout", retry: time.Second}, error.Error},
	{context.DeadlineExceeded, apiError{status: 504, kind: kindBusy, code: "deadline_exceeded"},
		fixed("the request's time was over before its answer was complete")},
}

func fixed(message string) func(error) string { return func(error) string { return message } }

// asAPIError returns err as clients see it. What is not known is a fault of ours: logged, not shown.
func (s *Server) asAPIError(err error) *apiError {
	if fault := s.asFault(err); fault != nil {
		return fault
	}
	var e *apiError
	if errors.As(err, &e) {
		return e
	}
	var repository *RepositoryError
	if errors.As(err, &repository) {
		return repository.refusal()
	}
	var field *runtime.FieldError
	if errors.As(err, &field) {
		return invalid(field.Field, "invalid_value", "%s", field.Error())
	}
	var late *runtime.LateError
	if errors.As(err, &late) {
		return &apiError{status: 503, kind: kindBusy, code: "deadline_unreachable", retry: late.Retry(), message: late.Error()}
	}
	for _, known := range knownErrors {
		if errors.Is(err, known.is) {
			answer := known.answer
			answer.message = known.message(err)
			return &answer
		}
	}
	s.log.Error("request failed", "err", err)
	return &apiError{status: 500, kind: kindServer, code: "internal_error", message: "the server had an internal error"}
}

// refuse answers with an error, in the words of an API.
func (s *Server) refuse(c *fasthttp.RequestCtx, err error, worded refusal) {
	e := s.asAPIError(err)
	c.Response.ResetBody()
	if e.retry > 0 {
		c.Response.Header.Set("Retry-After", strconv.Itoa(max(1, int(e.retry.Round(time.Second).Seconds()))))
		c.Response.Header.Set("Retry-After-Ms", strconv.FormatInt(e.retry.Milliseconds(), 10))
	}
	if e.status == 401 {
		c.Response.Header.Set("WWW-Authenticate", "Bearer")
	}
	if worded == nil {
		worded = inOpenAIWords
	}
	status, body := worded(e)
	c.SetStatusCode(status)
	writeJSON(c, body)
}

// refusal is how an API words an error: the status, and a value whose JSON is the body.
type refusal func(e *apiError) (status int, body any)

func inOpenAIWords(e *apiError) (int, any) { return e.status, errorBody{e} }

// writeJSON sets the body of an answer. The value is one of ours, so that it can be encoded is certain.
func writeJSON(c *fasthttp.RequestCtx, value any) {
	c.Response.ResetBody()
	c.SetContentType("application/json")
	enc := json.NewEncoder(c.Response.BodyWriter())
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic(err)
	}
}
