package runtime

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"llmc/engine"
)

// machine is a clock by which steps take time: base, and more for each token beyond those that are free.
type machine struct {
	at     atomic.Int64
	base   time.Duration
	free   int
	more   time.Duration
	babble bool // the model that is served says anything, among it the same pairs of tokens again and again
}

func (m *machine) now() time.Time { return time.Unix(1_000_000, m.at.Load()) }

// drive makes the steps of a model take time.
func (m *machine) drive(e *echo, share float64) *echo {
	e.limits.MaxRows = 64
	e.before = func(_ int, st *engine.Step, out []engine.Sampled) error {
		took := m.base + time.Duration(max(0, st.T()-m.free))*m.more
		m.at.Add(int64(share * float64(took)))
		for i := range st.Rows {
			if m.babble && share == 1 && out[i].Token != idEOS {
				out[i].Token = 'a' + int32(uint32(st.Rows[i].Position)*2654435761>>16)%8
			}
		}
		return nil
	}
	return e
}

// memoryBound is a machine where a few tokens more are free.
func memoryBound() *machine {
	return &machine{base: 10 * time.Millisecond, free: 8, more: time.Millisecond}
}

// arithmeticBound is one where every token takes its time.
func arithmeticBound() *machine {
	return &machine{base: 10 * time.Millisecond, free: 1, more: 10 * time.Millisecond}
}

// drafted lists ways to guess on a machine, by name.
func drafted(m *machine) map[string]Drafting {
	wrong := m.drive(newEcho(), 0.1)
	timed := wrong.before
	wrong.before = func(n int, st *engine.Step, out []engine.Sampled) error {
		for i := range out {
			if n%3 == 0 {
				out[i].Token = (out[i].Token + 1) % vocab
			}
		}
		return timed(n, st, out)
	}
	few := m.drive(newEcho(), 0.1)
	few.pages = 40
	return map[string]Drafting{
		"n-grams":                {Tokens: 6},
		"a model":                {Tokens: 4, Model: m.drive(newEcho(), 0.1), Context: 4096, Share: 0.1},
		"a model that is wrong":  {Tokens: 4, Model: wrong, Context: 4096, Share: 0.1},
		"a model of few pages":   {Tokens: 4, Model: few, Context: 4096, Share: 0.1},
		"a model of few tokens":  {Tokens: 4, Model: m.drive(newEcho(), 0.1), Context: 60, Share: 0.1},
		"a model of no use":      {Tokens: 4, Model: m.drive(newEcho(), 3), Context: 4096, Share: 3},
		"n-grams, one at a time": {Tokens: 1},
	}
}

// speeches are requests whose outputs repeat themselves, in all ways that change what is handed out.
func speeches(seed uint64) []Request {
	random := rand.New(rand.NewPCG(seed, 3))
	var list []Request
	for i := range 14 {
		var ids []int32
		for len(ids) < 10+random.IntN(60) {
			if n := len(ids); n > 4 && random.IntN(3) > 0 {
				from := random.IntN(n - 3)
				ids = append(ids, ids[from:min(n, from+2+random.IntN(9))]...)
			} else {
				ids = append(ids, int32('a'+random.IntN(20)))
			}
		}
		r := script(ids...)
		r.ID = fmt.Sprint(i)
		r.Sampling.Logprobs = int32(random.IntN(3)) - 1
		r.MinTokens = random.IntN(2) * random.IntN(20)
		switch random.IntN(5) {
		case 0:
			r.MaxTokens = max(r.MinTokens, 1+random.IntN(30))
		case 1:
			r.Stop = []string{string(rune(ids[len(ids)/2])) + string(rune(ids[len(ids)/2+1]))}
		case 2:
			r.StopTokens = []int32{ids[len(ids)*2/3]}
		case 3:
			r.Sampling.FrequencyPenalty = 0.1
		}
		list = append(list, r)
	}
	return list
}

// TestGuessesChangeNothing wants every event of every request to be what it is without guesses, with preemptions and with steps ahead.
func TestGuessesChangeNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, newEcho func() *echo) {
		right := map[string]uint64{}
		for seed := range uint64(4) {
			requests := speeches(seed)
			want, _ := recite(t, memoryBound(), newEcho, requests, Options{})
			for name := range drafted(memoryBound()) {
				for _, every := range []int{0, 5} {
					m := memoryBound()
					got, stats := recite(t, m, newEcho, requests, Options{Drafting: drafted(m)[name], PreemptEvery: every, MaxSequences: 5})
					if !reflect.DeepEqual(got, want) {
						t.Fatalf("%s, seed %d, preempting every %d: %s", name, seed, every, difference(got, want))
					}
					right[name] += stats.AcceptedTokens
				}
			}
		}
		for name := range drafted(memoryBound()) {
			if right[name] == 0 && name != "a model of no use" {
				t.Errorf("%s: no guess was right", name)
			}
		}
	})
}

// difference describes the first event that is another one.
func difference(got, want []result) string {
	for i := range want {
		for j := range max(len(got[i].events), len(want[i].events)) {
			if j >= len(got[i].events) || j >= len(want[i].events) || !reflect.DeepEqual(got[i].events[j], want[i].events[j]) {
				return fmt.Sprintf("request %d: %d events, want %d; the first other one is %d", i, len(got[i].events), len(want[i].events), j)
			}
		}
	}
	return "nothing"
}

// recite returns all that requests are told, without the times.
func recite(t *testing.T, m *machine, newEcho func() *echo, requests []Request, o Options) (all []result, stats Stats) {
	t.Helper()
	o.Now = m.now
	e := start(t, m.drive(newEcho(), 1), o)
	var running []Generation
	for _, r := range requests {
		running = append(running, submit(t, e, r))
	}
	for _, g := range running {
		r := read(t, g)
		for i := range r.events {
			r.events[i].Time = time.Time{}
			r.events[i].Logprob.Top = append([]engine.TokenLogprob{}, r.events[i].Logprob.Top...) // none is none
		}
		r.last = r.events[len(r.events)-1]
		all = append(all, r)
		if u := g.Usage(); u.AcceptedTokens > u.DraftTokens || u.OutputTokens != len(r.tokens) {
			t.Errorf("%d tokens, said to be %+v", len(r.tokens), u)
		}
	}
	return all, e.Stats()
}

// TestGuessesSaveTime wants texts that repeat themselves to take half the time at most where rows are free, and no text to take a twentieth
// longer where guesses are wrong or rows are not free.
func TestGuessesSaveTime(t *testing.T) {
	for _, c := range []struct {
		name    string
		machine func() *machine
		babble  bool
		most    float64            // time, of that without guesses
		ways    map[string]float64 // other limits
	}{
		{"repetition, free rows", memoryBound, false, 1.05, map[string]float64{"n-grams": 0.3, "a model": 0.5, "n-grams, one at a time": 0.6}},
		{"repetition, no free rows", arithmeticBound, false, 1.05, nil},
		{"babble, free rows", memoryBound, true, 1.05, nil},
		{"babble, no free rows", arithmeticBound, true, 1.05, nil},
	} {
		took := func(m *machine, o Options) float64 {
			ids := make([]int32, 400)
			for i := range ids {
				ids[i] = int32('a' + i%17)
			}
			m.babble = c.babble
			begin := m.now()
			recite(t, m, newEcho, []Request{script(ids...)}, o)
			return m.now().Sub(begin).Seconds()
		}
		without := took(c.machine(), Options{})
		for name := range drafted(c.machine()) {
			m := c.machine()
			with, most := took(m, Options{Drafting: drafted(m)[name]}), c.most
			if limit, ok := c.ways[name]; ok {
				most = limit
			}
			if with > most*without {
				t.Errorf("%s, %s: %.2f of the time without guesses, at most %.2f", c.name, name, with/without, most)
			}
		}
	}
}

// TestShortAnswersLoseLittle wants no answer to take a twentieth longer, however few tokens it has and whatever they seem to repeat, in a process that
// knows nothing yet and in one that has answered others.
func TestShortAnswersLoseLittle(t *testing.T) {
	for _, share := range []time.Duration{10, 20, 25} { // percent of a step that a token more takes
		machine := func() *machine {
			return &machine{base: 10 * time.Millisecond, free: 1, more: share * 100 * time.Microsecond}
		}
		random, before := rand.New(rand.NewPCG(uint64(share), 5)), machine()
		old := start(t, before.drive(newEcho(), 1), Options{Drafting: Drafting{Tokens: 6}, Now: before.now})
		for range 60 {
			ids := make([]int32, 4+random.IntN(36))
			for i := range ids {
				ids[i] = int32('a' + random.IntN(5))
			}
			plain, cold := machine(), machine()
			without := decoding(t, start(t, plain.drive(newEcho(), 1), Options{Now: plain.now}), ids)
			for name, e := range map[string]*Engine{"new": start(t, cold.drive(newEcho(), 1), Options{Drafting: Drafting{Tokens: 6}, Now: cold.now}), "old": old} {
				if with := decoding(t, e, ids); with > 1.05*without {
					t.Errorf("%d tokens, %d %%, a process that is %s: %.3f of the time without guesses", len(ids), share, name, with/without)
				}
			}
		}
	}
}

// decoding is the time between the first and the last token of an answer.
func decoding(t *testing.T, e *Engine, ids []int32) float64 {
	t.Helper()
	events := read(t, submit(t, e, script(ids...))).events
	return events[len(events)-1].Time.Sub(events[0].Time).Seconds()
}

// TestAModelThatFailsIsLeft wants generations to go on without guesses when the model that makes them fails.
func TestAModelThatFailsIsLeft(t *testing.T) {
	m := memoryBound()
	broken := m.drive(newEcho(), 0.1)
	broken.before = func(n int, _ *engine.Step, _ []engine.Sampled) error {
		if n > 3 {
			return errors.New("out of order")
		}
		return nil
	}
	requests := speeches(9)
	want, _ := recite(t, memoryBound(), newEcho, requests, Options{})
	got, stats := recite(t, m, newEcho, requests, Options{Drafting: Drafting{Tokens: 4, Model: broken, Context: 4096, Share: 0.1}})
	if !reflect.DeepEqual(got, want) || stats.Failures != 0 {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n := broken.steps.Load(); n != 4 {
		t.Errorf("%d steps of the broken model", n)
	}
}
