package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

// traffic is clients that ask questions and misbehave until they are told to end.
type traffic struct {
	url, addr string
	client    *http.Client
	questions []*question
	comes     string // the model that comes and goes: it may not be there

	pausing sync.RWMutex // held by what is asked; whoever wants quiet takes it alone

	mu     sync.Mutex
	errs   []error
	failed int
	counts map[string]int
	gaps   []gap     // between events of plain streams
	firsts []float64 // until their first
}

// gap is the time between two events of a stream.
type gap struct {
	end     time.Time // of the second
	seconds float64
}

func newTraffic(p *process, clients int) *traffic {
	return &traffic{url: p.url, addr: p.addr, client: newClient(clients), counts: map[string]int{}}
}

// any draws a question.
func (t *traffic) any(r *rand.Rand) *question { return t.questions[r.IntN(len(t.questions))] }

// mischiefPart is how much of what clients do is mischief.
const mischiefPart = 0.3

// run is one client.
func (t *traffic) run(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		t.pausing.RLock()
		if r.Float64() < mischiefPart {
			m := &mischief[r.IntN(len(mischief))]
			t.note(m.name, m.do(ctx, t, r))
		} else {
			q, stream := t.any(r), r.IntN(3) > 0
			t.ask(ctx, q, stream && q.dialect.stream != "")
		}
		t.pausing.RUnlock()
	}
}

// ask asks a question and notes what came of it.
func (t *traffic) ask(ctx context.Context, q *question, stream bool) {
	r, err := check(ctx, t.client, t.url, q, stream, nil)
	name := q.dialect.name
	if stream {
		name += " streamed"
	}
	t.note(name, t.excuse(q, err))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times(&r)
}

// times keeps the times of a stream. The caller holds the lock.
func (t *traffic) times(r *reading) {
	for i, at := range r.times {
		if i == 0 {
			t.firsts = append(t.firsts, at.Seconds())
		} else {
			t.gaps = append(t.gaps, gap{r.began.Add(at), (at - r.times[i-1]).Seconds()})
		}
	}
}

// errAbsent: the model that comes and goes was not there.
var errAbsent = errors.New("absent")

// excuse lets the model that comes and goes be absent.
func (t *traffic) excuse(q *question, err error) error {
	if err != nil && q.model == t.comes && errors.Is(err, errStatus) && strings.Contains(err.Error(), ": 404 ") {
		return errAbsent
	}
	return err
}

// keptErrors bounds the errors that are kept; all are counted.
const keptErrors = 20

// note counts what was done. What ends with the traffic is no error.
func (t *traffic) note(name string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.counts[name]++
	case errors.Is(err, errAbsent):
		t.counts["model is not there"]++
	case errors.Is(err, context.Canceled):
	default:
		if t.failed++; len(t.errs) < keptErrors {
			t.errs = append(t.errs, fmt.Errorf("%s: %w", name, err))
		}
	}
}

// quietLimit is how long a server may take to come to rest.
const quietLimit = 30 * time.Second

// quiet waits until nothing is asked, then until the server is at rest, and looks at it. In the meantime nothing begins.
func (t *traffic) quiet(p *process, rested func(s state) bool) (s state, err error) {
	t.pausing.Lock()
	defer t.pausing.Unlock()
	for end := time.Now().Add(quietLimit); ; time.Sleep(50 * time.Millisecond) {
		t.client.CloseIdleConnections()
		if s, err = p.look(); err != nil {
			return s, err
		}
		if s.running == 0 && s.waiting == 0 && s.pages == 0 && rested(s) {
			return s, nil
		}
		if time.Now().After(end) {
			return s, fmt.Errorf("the server does not come to rest: %d running, %d waiting, %.3f of the pages held, %d goroutines, %d descriptors",
				s.running, s.waiting, s.pages, s.goroutines, s.descriptors)
		}
	}
}

// result is what the traffic came to.
func (t *traffic) result() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == 0 {
		return nil
	}
	return fmt.Errorf("%d errors, of which: %w", t.failed, errors.Join(t.errs...))
}

// percentile returns a part of sorted seconds, in milliseconds.
func percentile(sorted []float64, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return 1000 * sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

// latencies says how streams were.
func (t *traffic) latencies() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	gaps := make([]float64, len(t.gaps))
	for i, g := range t.gaps {
		gaps[i] = g.seconds
	}
	sort.Float64s(gaps)
	sort.Float64s(t.firsts)
	return fmt.Sprintf("first text after %.1f ms (p99 %.1f), between tokens %.2f ms (p99 %.1f, longest %.1f)", percentile(t.firsts, 0.5), percentile(t.firsts, 0.99),
		percentile(gaps, 0.5), percentile(gaps, 0.99), percentile(gaps, 1))
}
