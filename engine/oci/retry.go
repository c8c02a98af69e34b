package oci

import (
	"context"
	"errors"
	"time"

	"llmc/internal/retry"
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

// retry calls try until it succeeds, fails for good, or has failed too often in a row. try tells whether it brought something all the same.
func (c *Client) retry(ctx context.Context, try func() (progress bool, err error)) error {
	times := c.times()
	for failed := 0; ; {
		progress, err := try()
		var t *retry.Transient
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
		pause := t.Pause
		if failed++; failed >= times.tries || pause > times.patience {
			return err
		}
		if pause < 0 {
			pause = retry.Backoff(failed, times.first, times.longest)
		}
		if pause > times.longest {
			c.Progress.Say("the registry asks to wait for %s", pause.Round(time.Second))
		}
		if err := retry.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// errStalled is why a connection that brought nothing for long was given up.
var errStalled = errors.New("it has stopped sending")

// watchdog returns a context that ends when kick has not been called for a time.
func watchdog(ctx context.Context, after time.Duration) (watched context.Context, kick func(), stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(after, func() { cancel(errStalled) })
	return watched, func() { timer.Reset(after) }, func() { timer.Stop(); cancel(nil) }
}
