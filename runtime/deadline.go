package runtime

import (
	"fmt"
	"time"

	"llmc/runtime/sched"
)

// LateError refuses a request at once, because what is known of the queue and of how long steps take says that its deadline will pass. It wraps ErrLate.
type LateError struct {
	What  string        // that is late
	Takes time.Duration // that it is expected to take
	Left  time.Duration // that it may take
}

func (e *LateError) Error() string {
	return fmt.Sprintf("%s is expected in %v, but wanted within %v", e.What, e.Takes.Round(time.Millisecond), e.Left.Round(time.Millisecond))
}

// Unwrap makes errors.Is(err, ErrLate) true.
func (e *LateError) Unwrap() error { return ErrLate }

// Retry returns after how long the same request may succeed.
func (e *LateError) Retry() time.Duration { return max(e.Takes-max(e.Left, 0), time.Second) }

// deadline says to the scheduler by when a request has to have come how far.
func (e *Engine) deadline(r *Request, arrived time.Time) sched.Deadline {
	d := sched.Deadline{First: r.FirstToken, End: r.Deadline}
	if e.options.QueueTimeout > 0 {
		d.Start = arrived.Add(e.options.QueueTimeout)
	}
	return d
}

const (
	// certain is the share of an estimate that has to be too long before a request is refused: a wrong refusal is worse than work in vain.
	certain = 0.8
	// probeEvery is how many requests an idle engine refuses before it tries one: what it believes of its steps may be old, and only steps can tell.
	probeEvery = 8
)

// inTime refuses a request whose deadline can not be met. The caller holds the lock.
func (e *Engine) inTime(r *sched.Request, now time.Time) error {
	if r.Deadline.First.IsZero() && r.Deadline.End.IsZero() {
		return nil
	}
	f := e.sched.Forecast(r)
	first, whole := e.pace.estimate(f, e.limits.MaxStepTokens)
	for _, c := range []struct {
		what  string
		by    time.Time
		takes time.Duration
	}{{"the first token", r.Deadline.First, first}, {"the end of the output", r.Deadline.End, whole}} {
		left := c.by.Sub(now)
		if c.by.IsZero() || left > 0 && float64(left) >= certain*float64(c.takes) {
			continue
		}
		if e.pace.refused++; left > 0 && f.Idle && e.pace.refused%probeEvery == 0 {
			return nil
		}
		return &LateError{What: c.what, Takes: c.takes, Left: left}
	}
	return nil
}

// estimate returns how long it takes to the first token and to the last of the shortest output; 0 while nothing is known of steps.
func (p *pace) estimate(f sched.Forecast, stepTokens int) (first, whole time.Duration) {
	round := p.costs.Of(max(1, f.Decoding))
	if round == 0 {
		return 0, 0
	}
	chunk := max(1, min(f.Prompt, stepTokens))
	if f.Decoding > 0 {
		chunk = min(chunk, p.promptTokens(f.Decoding, 1))
	}
	each := max(0, p.costs.Of(f.Decoding+chunk)-p.costs.Of(f.Decoding)) / float64(chunk)
	if f.Decoding == 0 {
		each = p.costs.Of(chunk) / float64(chunk)
	}
	seconds := float64(f.Rounds)*round + float64(f.Prompt)*each
	rest := float64(f.Outputs-1) * p.costs.Of(f.Decoding+1)
	return duration(seconds), duration(seconds + rest)
}

// duration makes seconds a time, of which there are no longer ones than about 300 years.
func duration(seconds float64) time.Duration {
	const most = 1 << 33 // seconds
	return time.Duration(min(seconds, most) * float64(time.Second))
}
