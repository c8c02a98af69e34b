// Package retry says which failures of the network may be gone at the next try, and how long to wait before it. It owns no loop: who tries knows what counts as progress.
package retry

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Transient is an error that may be gone at the next try.
type Transient struct {
	Err   error
	Pause time.Duration // that the server asks for, -1 when it does not say
}

func (t *Transient) Error() string { return t.Err.Error() }
func (t *Transient) Unwrap() error { return t.Err }

// Backoff is the pause after so many failures in a row, at least one: first, doubled each time up to longest, and at random up to a quarter more, so that many who were cut off do not
// all come back at once.
func Backoff(failed int, first, longest time.Duration) time.Duration {
	pause := min(longest, first<<(failed-1))
	return pause + time.Duration(rand.Int64N(int64(pause)/4+1))
}

// Sleep waits, or returns why the context has ended.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var passing = []int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
	http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// Passing tells whether a later try may not get an answer of this status.
func Passing(status int) bool { return slices.Contains(passing, status) }

// AskedPause is how long the Retry-After header of a response (RFC 9110, 10.2.3) asks to wait, -1 when it does not say.
func AskedPause(resp *http.Response, now time.Time) time.Duration {
	after := resp.Header.Get("Retry-After")
	if n, err := strconv.ParseUint(after, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(after); err == nil {
		return max(0, at.Sub(now))
	}
	return -1
}
