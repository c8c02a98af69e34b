package sched

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"llmc/engine"
)

// of is a request of a tenant.
func of(tenant string, share int, r Request) Request {
	r.Tenant, r.Share = tenant, share
	return r
}

// servedTokens counts what sequences have had by the weights of the line, as a test of it: prompts that have begun, and outputs.
func servedTokens(list []*Sequence) (sum int) {
	for _, q := range list {
		if q.begun {
			sum += promptWeight*(len(q.request.Prompt)-q.cached) + outputWeight*q.Outputs()
		}
	}
	return sum
}

// turn runs a step whose rows all have the same token.
func (h *harness) turn() {
	st := h.s.Schedule(h.now)
	h.s.Complete(make([]engine.Sampled, len(st.Rows)))
}

// While tenants have sequences that wait, what they have been served by their shares differs by no more than what can run at once, times two: theorem 4.8
// of the paper. It holds whatever the lengths, and whoever asks for more.
func TestBackloggedTenantsAreServedByTheirShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := config()
		c.MaxSequences, c.MaxStepTokens = rapid.IntRange(1, 4).Draw(t, "sequences"), 16
		h := newHarness(t, c)
		h.device = nil // what is computed does not matter here
		const longest = 24
		shares := map[string]int{"a": 1, "b": rapid.IntRange(1, 5).Draw(t, "share")}
		queued := map[string][]*Sequence{}
		for i := range 60 {
			name := []string{"a", "b", "b"}[i%3]
			r := request(int32(i), rapid.IntRange(1, longest).Draw(t, "prompt"), rapid.IntRange(1, longest).Draw(t, "output"))
			r.Salt = fmt.Sprint(i) // nothing is found in the cache
			queued[name] = append(queued[name], h.add(of(name, shares[name], r)))
		}
		backlog := func(name string) bool {
			return slices.ContainsFunc(queued[name], func(q *Sequence) bool { return !q.begun })
		}
		bound := 2 * c.MaxSequences * longest * (promptWeight + outputWeight)
		for backlog("a") && backlog("b") {
			h.turn()
			a, b := servedTokens(queued["a"]), servedTokens(queued["b"])/shares["b"]
			if max(a-b, b-a) > bound {
				t.Fatalf("served %d and %d by shares of 1 and %d, which may differ by %d", a, b, shares["b"], bound)
			}
		}
	})
}

// Shares of 1 and 3 give a quarter and three quarters.
func TestShares(t *testing.T) {
	c := config()
	c.MaxSequences = 2
	h := newHarness(t, c)
	var one, three []*Sequence
	for i := range 80 {
		one = append(one, h.add(of("one", 1, request(int32(i), 4, 6))))
		three = append(three, h.add(of("three", 3, request(int32(i), 4, 6))))
	}
	for range 120 {
		h.turn()
	}
	if a, b := servedTokens(one), servedTokens(three); b < 5*a/2 || b > 7*a/2 {
		t.Errorf("served %d and %d tokens, want three times as many", a, b)
	}
}

// Who was idle has saved up nothing: from when it comes, tenants take turns.
func TestIdleTenantsSaveUpNothing(t *testing.T) {
	c := config()
	c.MaxSequences = 1
	h := newHarness(t, c)
	for i := range 40 {
		h.add(of("busy", 1, request(int32(i), 4, 4)))
	}
	for range 80 {
		h.step(nil)
	}
	var order []byte
	for i := range 6 {
		h.add(of("idle", 1, request(int32(i), 4, 4)))
	}
	for range 32 {
		h.step(nil)
		for _, o := range h.outputs {
			if o.Finish != Running {
				order = append(order, o.Seq.request.Tenant[0])
			}
		}
	}
	if string(order) != "bibibibi" && string(order) != "bbibibib" {
		t.Errorf("ended in the order %s, want turns", order)
	}
}

// Nobody waits while there is a place, whatever tenants have had.
func TestFairShareIsWorkConserving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := config()
		c.MaxSequences = rapid.IntRange(1, 6).Draw(t, "sequences")
		h := newHarness(t, c)
		for i := range rapid.IntRange(1, 30).Draw(t, "requests") {
			r := request(int32(i), rapid.IntRange(1, 9).Draw(t, "prompt"), rapid.IntRange(1, 12).Draw(t, "output"))
			r.Priority = rapid.IntRange(0, 1).Draw(t, "priority")
			h.add(of(rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "tenant"), rapid.IntRange(0, 3).Draw(t, "share"), r))
			for range rapid.IntRange(0, 2).Draw(t, "steps") {
				st := h.s.Schedule(h.now)
				if now := h.s.Stats(); now.Waiting > 0 && now.Running < c.MaxSequences { // prompts are shorter than a step
					t.Fatalf("%+v with room for all", now)
				}
				if st.T() > 0 {
					h.s.Complete(make([]engine.Sampled, len(st.Rows)))
				}
			}
		}
	})
}

// Priorities go before shares, and who was preempted before who has not begun.
func TestOrderOfTheLine(t *testing.T) {
	c := config()
	c.MaxSequences = 1
	h := newHarness(t, c)
	running := h.add(of("a", 1, request(0, 4, 8)))
	h.step(nil)
	urgent := of("a", 1, request(1, 4, 1))
	urgent.Priority = -1
	list := []*Sequence{h.add(of("b", 9, request(2, 4, 1))), h.add(urgent), running}
	h.s.Preempt(1)
	var ended []int
	for h.s.HasWork() {
		h.step(nil)
		for _, o := range h.outputs {
			if o.Finish != Running {
				ended = append(ended, slices.Index(list, o.Seq))
			}
		}
	}
	if want := []int{1, 2, 0}; !slices.Equal(ended, want) {
		t.Errorf("ended in the order %v, want %v", ended, want)
	}
}

// Who fills the queue is refused; who has little in it is not.
func TestTheQueueIsShared(t *testing.T) {
	c := config()
	c.MaxSequences, c.QueueLimit = 1, 6
	h := newHarness(t, c)
	for range 7 { // one of them finds a place
		h.add(of("loud", 1, request(0, 4, 4)))
	}
	add := func(tenant string) error {
		_, err := h.s.Add(of(tenant, 1, request(0, 4, 4)))
		return err
	}
	for i, want := range []error{nil, nil, nil, ErrQueueFull} {
		if err := add("quiet"); !errors.Is(err, want) {
			t.Errorf("request %d of the quiet one: %v, want %v", i, err, want)
		}
	}
	if err := add("loud"); !errors.Is(err, ErrQueueFull) {
		t.Errorf("the loud one got in: %v", err)
	}
	for i := range 20 {
		_ = add(fmt.Sprint(i))
	}
	if n := h.s.Stats().Waiting; n > 2*c.QueueLimit+1 {
		t.Errorf("%d wait, with a limit of %d", n, c.QueueLimit)
	}
}

// Tenants that have gone are forgotten once others have been served as much.
func TestTenantsAreForgotten(t *testing.T) {
	c := config()
	c.NoPrefixCache = true
	h := newHarness(t, c)
	for i := range 5000 {
		h.add(of(fmt.Sprint(i), 1, request(0, 2, 1)))
		h.turn()
	}
	if n := len(h.s.waiting.tenants); n > 4*fewTenants {
		t.Errorf("%d tenants are remembered", n)
	}
}
