package sched

import "testing"

// serve runs one request after the others and returns how much of its prompt was cached.
func serve(h *harness, r Request) int {
	h.t.Helper()
	q := h.add(r)
	h.drain(100)
	h.expect(q, alone(h.s.config, r))
	return q.Cached()
}

func TestPrefixReuse(t *testing.T) {
	h := newHarness(t, config()) // pages of 4
	r := request(5, 21, 8)
	if got := serve(h, r); got != 0 {
		t.Errorf("first time: %d tokens cached", got)
	}
	if got := serve(h, r); got != 20 {
		t.Errorf("second time: %d tokens cached, want 20", got)
	}
	next := r
	next.Prompt = append(append([]int32(nil), r.Prompt...), alone(h.s.config, r).output...)
	if got := serve(h, next); got != 28 {
		t.Errorf("continued: %d tokens cached, want 28: all full pages but none with the last token", got)
	}
	short := r
	short.Prompt = r.Prompt[:8]
	if got := serve(h, short); got != 4 {
		t.Errorf("prompt of two full pages: %d tokens cached, want 4: the last token is always computed", got)
	}
	salted := r
	salted.Salt = "tenant"
	if got := serve(h, salted); got != 0 {
		t.Errorf("other salt: %d tokens cached", got)
	}
	st := h.s.Stats()
	if st.PrefixHits != 20+28+4 || st.PrefixQueries != 21+21+29+8+21 {
		t.Errorf("%d hits of %d queries", st.PrefixHits, st.PrefixQueries)
	}
}

// Where pages can be copied all but the last token of what has been there is found: in place by the first that goes on, in copies by the others.
func TestTailsOfPrefixes(t *testing.T) {
	c := config() // pages of 4
	c.CopyPages = true
	h := newHarness(t, c)
	r := request(5, 21, 8)
	serve(h, r)
	next := r
	next.Prompt = append(append([]int32(nil), r.Prompt...), alone(h.s.config, r).output...)
	next.Prompt = next.Prompt[:28:28] // the last output was not computed
	var queued []*Sequence
	for i := range 3 {
		branch := next
		branch.Prompt = append(next.Prompt[:28:28], int32(i))
		queued = append(queued, h.add(branch))
	}
	steps := 0
	for ; h.s.HasWork(); steps++ {
		h.step(nil)
	}
	for _, q := range queued {
		h.expect(q, alone(h.s.config, q.request))
		if q.Cached() != 28 {
			t.Errorf("%d tokens cached, want all but the last", q.Cached())
		}
	}
	next.Prompt = append(next.Prompt[:26:26], 90, 91, 92, 93) // leaves in the middle of the page: it is found up to where a sequence ended
	if got := serve(h, next); got != 24 {
		t.Errorf("%d tokens cached, want the full pages", got)
	}
}

// A tail that somebody goes on in is copied, its holder undisturbed.
func TestTailsOfRunningSequencesAreCopied(t *testing.T) {
	c := config()
	c.CopyPages = true
	h := newHarness(t, c)
	serve(h, request(5, 22, 1))
	a := request(5, 22, 30)
	b := request(5, 22, 30)
	b.Sampling.Seed = 1
	first := h.add(a)
	h.step(nil)
	second := h.add(b)
	h.drain(60)
	h.expect(first, alone(h.s.config, a))
	h.expect(second, alone(h.s.config, b))
	if first.Cached() != 20 || second.Cached() != 20 || h.copies != 0 {
		t.Errorf("%d and %d tokens cached, %d copies", first.Cached(), second.Cached(), h.copies)
	}
	long := request(5, 24, 30)
	x, y := h.add(long), h.add(long)
	h.drain(60)
	h.expect(x, alone(h.s.config, long))
	h.expect(y, alone(h.s.config, long))
	if x.Cached() < 22 || y.Cached() < 22 || h.copies == 0 {
		t.Errorf("%d and %d tokens cached, %d copies", x.Cached(), y.Cached(), h.copies)
	}
}

func TestPrefixOfARunningSequence(t *testing.T) {
	h := newHarness(t, config())
	a := h.add(request(5, 21, 30))
	h.step(nil)
	b := h.add(request(5, 21, 2))
	h.step(nil)
	if b.Cached() != 20 {
		t.Errorf("%d tokens taken from a running sequence", b.Cached())
	}
	h.drain(50)
	h.expect(a, alone(h.s.config, a.request))
}

// Memory for little more than one such prompt: the second gets in because it needs few pages of its own.
func TestSharedPrefixCountsOnceInMemory(t *testing.T) {
	c := config()
	c.Pages, c.MaxContext = 30, 100 // pages of 4
	h := newHarness(t, c)
	first := h.add(request(5, 80, 20))
	h.step(nil)
	h.step(nil)
	second := request(5, 80, 4)
	second.Prompt = append(second.Prompt, 1, 2, 3)
	q := h.add(second)
	h.step(nil)
	if q.state != running && q.state != ended || q.Cached() != 80 {
		t.Errorf("state %d, %d tokens cached", q.state, q.Cached())
	}
	h.drain(60)
	h.expect(q, alone(c, second))
	h.expect(first, alone(c, first.request))
}

// Prompts that arrive together compute what they have in common once, in steps that hold them all or only a part.
func TestCommonPrefixIsComputedOnce(t *testing.T) {
	for _, stepTokens := range []int{16, 40, 500} {
		c := config()
		c.MaxStepTokens = stepTokens
		h := newHarness(t, c)
		var queued []*Sequence
		for i := range 6 {
			r := request(5, 32, 1)
			r.Prompt = append(r.Prompt, int32(i), 9, 9)
			queued = append(queued, h.add(r))
		}
		h.drain(40)
		if computed, want := h.s.Stats().Computed, uint64(35+5*3); computed != want {
			t.Errorf("steps of %d: %d tokens computed, want %d", stepTokens, computed, want)
		}
		for _, q := range queued {
			h.expect(q, alone(c, q.request))
		}
	}
}

func TestRopeRegimesShareOnlyWhatIsTheSame(t *testing.T) {
	for _, c := range []struct {
		salt          string
		first, second int // prompt lengths
		cached        int // of the second
	}{
		{"", 24, 40, 24},
		{"longrope:30", 20, 30, 20},
		{"longrope:30", 24, 40, 0},
		{"longrope:30", 40, 44, 40},
		{"dynamic:30", 20, 30, 20},
		{"dynamic:30", 40, 44, 0},
		{"dynamic:30", 41, 41, 40},
	} {
		limits := config()
		limits.RopeSalt = c.salt
		h := newHarness(t, limits)
		serve(h, request(5, c.first, 1))
		if got := serve(h, request(5, c.second, 1)); got != c.cached {
			t.Errorf("%q: %d of %d tokens cached after a prompt of %d, want %d", c.salt, got, c.second, c.first, c.cached)
		}
	}
}

func TestUnknownRopeSalt(t *testing.T) {
	for _, salt := range []string{"x", "longrope:", "longrope:-1", "dynamic:1e3"} {
		c := config()
		c.RopeSalt = salt
		if _, err := New(c); err == nil {
			t.Errorf("%q accepted", salt)
		}
	}
}

func TestLimitsThatAllowNothing(t *testing.T) {
	for _, spoil := range []func(*Config){
		func(c *Config) { c.Pages = 0 },
		func(c *Config) { c.MaxStepTokens = 0 },
		func(c *Config) { c.MaxRows = -1 },
		func(c *Config) { c.Vocab = 0 },
	} {
		c := config()
		spoil(&c)
		if _, err := New(c); err == nil {
			t.Errorf("accepted %+v", c)
		}
	}
}

// Log-probabilities of a prompt need the logits of all its tokens, so nothing is taken from the cache.
func TestPromptLogprobsComputeThePrompt(t *testing.T) {
	h := newHarness(t, config())
	r := request(5, 21, 2)
	serve(h, r)
	r.PromptLogprobs = 0
	if got := serve(h, r); got != 0 {
		t.Errorf("%d tokens taken from the cache", got)
	}
}
