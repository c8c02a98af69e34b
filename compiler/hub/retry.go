package hub

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"llmc/internal/cli"
	"llmc/internal/retry"
)

// Tries in a row that bring nothing before it is given up, of a question and of a file, and the pauses between them: the first, the longest, the longest that
// a server may ask for.
const (
	askTries     = 4
	fileTries    = 7
	firstPause   = 500 * time.Millisecond
	longestPause = 8 * time.Second
	patience     = 5 * time.Minute
)

// attempts counts tries of one thing.
type attempts struct {
	client *Client
	most   int
	failed int
}

// progress forgets the failures so far: the last try brought something.
func (a *attempts) progress() { a.failed = 0 }

// again waits before the next try; it returns the error if there is to be none.
func (a *attempts) again(ctx context.Context, err error) error {
	var t *retry.Transient
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if !errors.As(err, &t) {
		return err
	}
	if a.failed++; a.failed >= a.most {
		return t.Err
	}
	pause := t.Pause
	if pause < 0 {
		pause = retry.Backoff(a.failed, firstPause, longestPause)
	}
	if pause > patience {
		return t.Err
	}
	if pause > longestPause {
		a.client.Progress.Say("the Hub asks to wait for %s", pause.Round(time.Second))
	}
	return a.client.wait(ctx, pause)
}

// resetIn finds the seconds until a limit is lifted in a RateLimit header, such as "api";r=0;t=55.
var resetIn = regexp.MustCompile(`;\s*t=(\d{1,9})\b`)

// askedPause is how long a response asks to wait, -1 when it does not say.
func askedPause(resp *http.Response, now time.Time) time.Duration {
	if pause := retry.AskedPause(resp, now); pause >= 0 {
		return pause
	}
	if m := resetIn.FindStringSubmatch(resp.Header.Get("RateLimit")); m != nil && resp.StatusCode == http.StatusTooManyRequests {
		n, _ := strconv.Atoi(m[1])
		return time.Duration(n) * time.Second
	}
	return -1
}

// unreached makes an error of one that came without an answer; the context's own end is not for another try.
func (r *repo) unreached(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, ErrAnswer) {
		return r.errorf(ErrAnswer, "%s is %v", r.client.Endpoint.Host, err)
	}
	return &retry.Transient{Err: r.errorf(ErrServer, "no answer from %s: %v; try again, what is there is kept%s", r.client.Endpoint.Host, innermost(err), r.cachedHint()), Pause: -1}
}

// innermost drops the address, which may be signed, and what wraps the cause.
func innermost(err error) error {
	for next := errors.Unwrap(err); next != nil && !errors.Is(err, errStalled); next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// freeText is how messages give sizes.
func freeText(n int64) string { return cli.FormatBytes(n) }
