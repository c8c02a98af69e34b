package oci

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// schedule says how often something is tried and how long the pauses are.
type schedule struct {
	tries           int           // in a row that bring nothing
	first, longest  time.Duration // pauses, doubled each time
	patience, stall time.Duration // the longest pause that a server may ask for; the longest time without a byte
	piece           int64         // bytes that are sent at once: what is lost at most where a connection is
}

var usualSchedule = schedule{tries: 6, first: 500 * time.Millisecond, longest: 8 * time.Second, patience: 5 * time.Minute, stall: 90 * time.Second, piece: 16 << 20}

func (c *Client) times() *schedule {
	if c.schedule != nil {
		return c.schedule
	}
	return &usualSchedule
}

// transient is an error that may be gone at the next try.
type transient struct {
	err   error
	pause time.Duration // that the server asks for, -1 when it does not say
}

func (t *transient) Error() string { return t.err.Error() }
func (t *transient) Unwrap() error { return t.err }

// retry calls try until it succeeds, fails for good, or has failed too often in a row. try tells whether it brought something all the same.
func (c *Client) retry(ctx context.Context, try func() (progress bool, err error)) error {
	times := c.times()
	for failed := 0; ; {
		progress, err := try()
		var t *transient
		switch {
		case err == nil:
			return nil
		case context.Cause(ctx) != nil:
			return context.Cause(ctx)
		case !errors.As(err, &t):
			return err
		case progress:
			failed = 0
		}
		pause := t.pause
		if failed++; failed >= times.tries || pause > times.patience {
			return err
		}
		if pause < 0 {
			pause = min(times.longest, times.first<<(failed-1))
			pause += time.Duration(rand.Int64N(int64(pause)/4 + 1)) // so that many who were cut off do not all come back at once
		}
		if pause > times.longest {
			c.Progress.Say("the registry asks to wait for %s", pause.Round(time.Second))
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// passing are the answers that a later try may not get.
var passing = []int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
	http.StatusServiceUnavailable, http.StatusGatewayTimeout}

func isPassing(status int) bool { return slices.Contains(passing, status) }

// askedPause is how long a response asks to wait, -1 when it does not say.
func askedPause(resp *http.Response, now time.Time) time.Duration {
	after := resp.Header.Get("Retry-After")
	if n, err := strconv.ParseUint(after, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(after); err == nil {
		return max(0, at.Sub(now))
	}
	return -1
}

// errStalled is why a connection that brought nothing for long was given up.
var errStalled = errors.New("it has stopped sending")

// watchdog returns a context that ends when kick has not been called for a time.
func watchdog(ctx context.Context, after time.Duration) (watched context.Context, kick func(), stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(after, func() { cancel(errStalled) })
	return watched, func() { timer.Reset(after) }, func() { timer.Stop(); cancel(nil) }
}
