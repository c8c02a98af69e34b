package runtime

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"llmc/engine"
)

// held returns an engine whose steps wait for the test: each value sent lets one go.
func held(t *testing.T, m *echo, options Options) (*Engine, chan struct{}) {
	gate := make(chan struct{})
	m.before = func(int, *engine.Step, []engine.Sampled) error { <-gate; return nil }
	return start(t, m, options), gate
}

func finished(t *testing.T, g Generation) Event { return read(t, g).last }

// Cancelled requests end with the step in flight at the latest: a running one, one in the queue, one whose context ends.
func TestCancelTakesEffectWithinOneStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newEcho()
		m.limits.MaxSequences = 3
		e, gate := held(t, m, Options{})
		endless := scriptText("x")
		endless.IgnoreEOS = true
		running, stays := submit(t, e, endless), submit(t, e, scriptText("stays"))
		ctx, leave := context.WithCancel(t.Context())
		bound, err := e.Submit(ctx, endless)
		if err != nil {
			t.Fatal(err)
		}
		queued := submit(t, e, endless)
		gate <- struct{}{}
		gate <- struct{}{}
		synctest.Wait() // the third step is in flight
		running.Cancel()
		running.Cancel()
		queued.Cancel()
		leave()
		synctest.Wait()
		gate <- struct{}{}
		synctest.Wait() // the fourth is
		for name, g := range map[string]Generation{"running": running, "queued": queued, "bound": bound} {
			if last := finished(t, g); last.Finish != FinishAbort || last.Token != -1 {
				t.Errorf("%s: %+v", name, last)
			}
		}
		if s := e.Stats(); s.Running != 1 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		close(gate)
		if got := read(t, stays); got.text != "stays" {
			t.Errorf("%q", got.text)
		}
		running.Cancel() // long after the end
	})
}

// A failing step takes the requests in it along, by an error or a panic; the engine goes on.
func TestFailingSteps(t *testing.T) { bothWays(t, testFailingSteps) }

func testFailingSteps(t *testing.T, newEcho func() *echo) {
	failure := errors.New("device lost")
	for _, c := range []struct {
		name string
		fail func() error
		want string
	}{
		{"error", func() error { return failure }, "device lost"},
		{"panic", func() error { panic("index out of range") }, "panic in a step: index out of range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newEcho()
			m.before = func(step int, _ *engine.Step, _ []engine.Sampled) error {
				if step == 3 {
					return c.fail()
				}
				return nil
			}
			e := start(t, m, Options{})
			r := read(t, submit(t, e, scriptText("hello")))
			if r.text != "he" || r.last.Finish != FinishError || r.last.Err == nil || r.last.Err.Error() != c.want {
				t.Errorf("%q, %+v", r.text, r.last)
			}
			if err := e.Health(); err != nil {
				t.Errorf("unhealthy after one failure: %v", err)
			}
			if got := read(t, submit(t, e, scriptText("again"))); got.text != "again" {
				t.Errorf("%q after the failure", got.text)
			}
			if s := e.Stats(); s.Failures != 1 || s.PagesHeld != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestHealthAfterFailuresInARow(t *testing.T) {
	synctest.Test(t, testFailuresInARow)
}

func testFailuresInARow(t *testing.T) {
	m := newEcho()
	broken := true
	m.before = func(int, *engine.Step, []engine.Sampled) error {
		if broken {
			return errors.New("device lost")
		}
		return nil
	}
	e := start(t, m, Options{})
	for range failuresInRow {
		if err := e.Health(); err != nil {
			t.Fatalf("too early: %v", err)
		}
		finished(t, submit(t, e, scriptText("a")))
		synctest.Wait() // a failure is counted after its events have been put
	}
	if err := e.Health(); err == nil || !strings.Contains(err.Error(), "device lost") {
		t.Errorf("health: %v", err)
	}
	broken = false
	finished(t, submit(t, e, scriptText("a")))
	synctest.Wait()
	if err := e.Health(); err != nil {
		t.Errorf("health after a good step: %v", err)
	}
}

func TestHealthOfAHangingStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, gate := held(t, newEcho(), Options{StallAfter: time.Minute})
		time.Sleep(time.Hour)
		if err := e.Health(); err != nil {
			t.Errorf("idle: %v", err)
		}
		g := submit(t, e, scriptText("a"))
		time.Sleep(59 * time.Second)
		if err := e.Health(); err != nil {
			t.Errorf("slow: %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := e.Health(); err == nil || err.Error() != "a step has been running for 1m1s" {
			t.Errorf("hanging: %v", err)
		}
		close(gate)
		finished(t, g)
		synctest.Wait()
		if err := e.Health(); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// Faults that concern one request end that one.
func TestFaultsOfOneRequest(t *testing.T) { bothWays(t, testFaultsOfOneRequest) }

func testFaultsOfOneRequest(t *testing.T, newEcho func() *echo) {
	m := newEcho()
	m.breaks = true
	e := start(t, m, Options{})
	for _, c := range []struct {
		name  string
		token int32
		want  string
	}{
		{"no token", idBroken, "the model's logits are not numbers"},
		{"token without text", 400, "token 400 has no text: no such token"},
	} {
		other := submit(t, e, scriptText(strings.Repeat("y", 40)))
		got := read(t, submit(t, e, script('a', c.token, 'b')))
		if got.text != "a" || got.last.Finish != FinishError || got.last.Err == nil || got.last.Err.Error() != c.want {
			t.Errorf("%s: %q, %+v", c.name, got.text, got.last)
		}
		if r := read(t, other); len(r.text) != 40 || r.last.Finish != FinishStop {
			t.Errorf("%s: the other request got %q, %+v", c.name, r.text, r.last)
		}
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newEcho()
		m.limits.MaxSequences = 1
		m.before = func(int, *engine.Step, []engine.Sampled) error { time.Sleep(time.Second); return nil }
		e := start(t, m, Options{})
		first := scriptText(strings.Repeat("x", 100))
		first.Deadline = time.Now().Add(4500 * time.Millisecond)
		second := scriptText("y")
		second.FirstToken = time.Now().Add(2 * time.Second)
		a, b := submit(t, e, first), submit(t, e, second)
		for g, want := range map[Generation]struct {
			tokens int
			err    error
		}{a: {4, ErrDeadline}, b: {0, ErrOverdue}} {
			got := read(t, g) // the prompt takes two steps of five seconds
			if got.last.Finish != FinishAbort || !errors.Is(got.last.Err, want.err) || len(got.tokens) != want.tokens {
				t.Errorf("%d tokens, %+v, want %+v", len(got.tokens), got.last, want)
			}
		}
	})
}

// A request whose deadline can not be met is refused at once once steps have been measured, with the time that it would take; one that can is taken.
func TestRequestsThatWouldBeLateAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newEcho()
		m.limits.MaxSequences = 1
		m.before = func(int, *engine.Step, []engine.Sampled) error { time.Sleep(time.Second); return nil }
		e := start(t, m, Options{QueueTimeout: 100 * time.Second})
		read(t, submit(t, e, scriptText(strings.Repeat("w", 9)))) // outputs usually have ten tokens
		running := submit(t, e, scriptText(strings.Repeat("x", 50)))
		waiting := submit(t, e, scriptText("y"))
		time.Sleep(2500 * time.Millisecond)
		ask := func(first, end time.Duration) error {
			r := scriptText("z")
			if first > 0 {
				r.FirstToken = time.Now().Add(first)
			}
			if end > 0 {
				r.Deadline = time.Now().Add(end)
			}
			g, err := e.Submit(context.Background(), r)
			if err == nil {
				g.Cancel()
			}
			return err
		}
		for _, c := range []struct {
			first, end time.Duration
			late       bool
		}{{first: 3 * time.Second, late: true}, {end: 3 * time.Second, late: true}, {first: 40 * time.Second}, {end: 40 * time.Second}, {}, {end: -1}} {
			var late *LateError
			if err := ask(c.first, c.end); errors.As(err, &late) != c.late || c.late && (!errors.Is(err, ErrLate) || late.Retry() < 5*time.Second || late.Retry() > 40*time.Second) {
				t.Errorf("within %v and %v: %v", c.first, c.end, err)
			}
		}
		running.Cancel()
		read(t, waiting)
		// An idle engine believes what it knows, but not for ever.
		for i, want := range []error{ErrLate, ErrLate, ErrLate, ErrLate, ErrLate, nil} { // two were refused before
			if err := ask(0, time.Millisecond); !errors.Is(err, want) {
				t.Errorf("request %d of an idle engine: %v, want %v", i, err, want)
			}
		}
	})
}

func TestQueueTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newEcho()
		m.limits.MaxSequences = 1
		m.before = func(int, *engine.Step, []engine.Sampled) error { time.Sleep(time.Second); return nil }
		e := start(t, m, Options{QueueTimeout: 3 * time.Second})
		long, other := submit(t, e, scriptText(strings.Repeat("x", 20))), submit(t, e, scriptText("y"))
		if got := read(t, other); !errors.Is(got.last.Err, ErrOverdue) {
			t.Errorf("%+v", got.last)
		}
		if got := read(t, long); got.last.Finish != FinishStop || len(got.text) != 20 {
			t.Errorf("what has begun is not bounded: %q, %+v", got.text, got.last)
		}
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, gate := held(t, newEcho(), Options{})
		g := submit(t, e, scriptText("ab"))
		drained := make(chan error, 2)
		for range 2 {
			go func() { drained <- e.Drain(context.Background()) }()
		}
		synctest.Wait()
		if _, err := e.Submit(t.Context(), scriptText("c")); !errors.Is(err, ErrDraining) {
			t.Errorf("submission while draining: %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain with work left: %v", err)
		}
		if len(drained) != 0 {
			t.Error("drained with work left")
		}
		close(gate)
		if got := read(t, g); got.text != "ab" {
			t.Errorf("%q", got.text)
		}
		if err := errors.Join(<-drained, <-drained); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseAbortsAll(t *testing.T) { bothWays(t, testCloseAbortsAll) }

func testCloseAbortsAll(t *testing.T, newEcho func() *echo) {
	synctest.Test(t, func(t *testing.T) {
		m := newEcho()
		m.limits.MaxSequences = 2
		e, gate := held(t, m, Options{})
		var all []Generation
		for range 4 {
			all = append(all, submit(t, e, scriptText("abc")))
		}
		gate <- struct{}{}
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- e.Close() }()
		synctest.Wait()
		close(gate)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		for i, g := range all {
			if last := finished(t, g); last.Finish != FinishAbort {
				t.Errorf("request %d: %+v", i, last)
			}
		}
		if _, err := e.Submit(t.Context(), scriptText("c")); !errors.Is(err, ErrDraining) {
			t.Errorf("submission after the end: %v", err)
		}
		if e.Health() == nil {
			t.Error("a closed engine calls itself healthy")
		}
	})
}

// observer records what it is told.
type observer struct {
	tokens []int
	phases [][3]time.Duration
	times  [][2]time.Duration
}

func (o *observer) Step(tokens int) { o.tokens = append(o.tokens, tokens) }
func (o *observer) Phases(q, p, d time.Duration) {
	o.phases = append(o.phases, [3]time.Duration{q, p, d})
}
func (o *observer) StepTimes(dev, hst time.Duration) {
	o.times = append(o.times, [2]time.Duration{dev, hst})
}

func TestObserverAndStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newEcho()
		m.limits.MaxSequences, m.limits.MaxStepTokens = 1, 4
		m.before = func(int, *engine.Step, []engine.Sampled) error { time.Sleep(time.Second); return nil }
		var o observer
		e := start(t, m, Options{Observer: &o})
		a, b := submit(t, e, scriptText("abcd")), submit(t, e, scriptText("abcd"))
		read(t, a)
		read(t, b)
		synctest.Wait()
		// Five prompt tokens in two steps, then four more for the five output tokens; the second prompt begins with a known page.
		if want := []int{4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}; !slices.Equal(o.tokens, want) {
			t.Errorf("tokens of the steps: %v", o.tokens)
		}
		s := time.Second
		if want := [][3]time.Duration{{0, 2 * s, 4 * s}, {6 * s, s, 4 * s}}; !slices.Equal(o.phases, want) {
			t.Errorf("phases %v, want %v", o.phases, want)
		}
		if len(o.times) != 11 || o.times[3] != [2]time.Duration{s, 0} {
			t.Errorf("times %v", o.times)
		}
		if got := b.Usage(); got != (Usage{PromptTokens: 5, CachedTokens: 4, OutputTokens: 5}) {
			t.Errorf("usage %+v", got)
		}
		st := e.Stats()
		if st.Steps != 11 || st.DeviceTime != 11*s || st.HostTime != 0 || st.Computed != 14 || st.Sampled != 10 ||
			st.PrefixQueries != 10 || st.PrefixHits != 4 || st.PageSize != 4 || st.KVUsage() != 0 || !st.LastStep.Equal(time.Now()) {
			t.Errorf("%+v", st)
		}
	})
}
