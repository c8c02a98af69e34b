package server

import (
	"context"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"llmc/runtime/server/strictjson"
)

// timeouts are how long a request may take from its arrival; 0: as long as it takes.
type timeouts struct {
	first time.Duration // to its first token
	whole time.Duration
}

// Headers by which clients of any API bound a request, in seconds, decimals allowed. Triton's clients have "timeout" in their parameters, in microseconds.
const (
	headerTimeout      = "X-Request-Timeout"
	headerFirstTimeout = "X-First-Token-Timeout"
)

// longestTimeout is more than anybody waits.
const longestTimeout = 365 * 24 * time.Hour

// readTimeouts reads the headers of a request.
func readTimeouts(h *fasthttp.RequestHeader) (t timeouts, err error) {
	for _, row := range []struct {
		name string
		to   *time.Duration
	}{{headerTimeout, &t.whole}, {headerFirstTimeout, &t.first}} {
		given := h.Peek(row.name)
		if len(given) == 0 {
			continue
		}
		seconds, err := strconv.ParseFloat(string(given), 64)
		if err != nil || !(seconds > 0 && seconds <= longestTimeout.Seconds()) {
			return t, invalid(row.name, "invalid_value", "%s: %.32q is no number of seconds above 0", row.name, given)
		}
		*row.to = max(1, time.Duration(seconds*float64(time.Second)))
	}
	return t, nil
}

// readMicroseconds is the rule of Triton's "timeout"; 0 is none, and so is null.
func readMicroseconds(r *request, v strictjson.Value) *apiError {
	if v.Kind() == "null" {
		return nil
	}
	n, ok := v.Int()
	if !ok || n < 0 || n > longestTimeout.Microseconds() {
		return invalid("", "invalid_value", "must be a whole number of microseconds")
	}
	r.timeouts.whole = time.Duration(n) * time.Microsecond
	return nil
}

// tighter takes the shorter ones of two.
func (t timeouts) tighter(u timeouts) timeouts {
	shorter := func(a, b time.Duration) time.Duration {
		if a == 0 || b > 0 && b < a {
			return b
		}
		return a
	}
	return timeouts{shorter(t.first, u.first), shorter(t.whole, u.whole)}
}

// from returns when they are over for a request that arrived at some time.
func (t timeouts) from(arrived time.Time) (first, whole time.Time) {
	if t.first > 0 {
		first = arrived.Add(t.first)
	}
	if t.whole > 0 {
		whole = arrived.Add(t.whole)
	}
	return first, whole
}

// bound ends a context with what there is of them.
func (t timeouts) bound(ctx context.Context, arrived time.Time) (context.Context, context.CancelFunc) {
	if t.whole == 0 {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, arrived.Add(t.whole))
}
