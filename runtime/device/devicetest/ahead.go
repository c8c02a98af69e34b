package devicetest

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"llmc/engine"
	"llmc/runtime/sched"
)

// Ahead serves requests with steps that are started before the one before is done, and wants the tokens and log-probabilities of steps one after the other.
// The device must foresee.
func Ahead(t *testing.T, device engine.Device, plan *engine.Plan, vocab, context, rounds int) {
	t.Helper()
	for round := range rounds {
		settings := engine.Settings{MaxStepTokens: 24, MaxSequences: 3 + round, MaxContext: context, PageSize: 16, Threads: 2}
		var outputs [2]map[int][]engine.Sampled
		for i := range outputs {
			model, err := device.Load(plan, settings)
			check(t, err)
			starter, ok := model.(engine.Starter)
			if !ok || !starter.Foresees() {
				t.Fatal("the device takes no step ahead")
			}
			a := newAhead(t, starter, vocab, aheadRequests(vocab, uint64(round)))
			if a.serve(i == 1); i == 1 && a.guessed < a.steps/2 {
				t.Errorf("of %d steps %d were started ahead", a.steps, a.guessed)
			}
			outputs[i] = a.got
			check(t, model.Close())
		}
		if !reflect.DeepEqual(outputs[0], outputs[1]) {
			t.Errorf("round %d: steps ahead sample %v, others %v", round, outputs[1], outputs[0])
		}
	}
}

// aheadRequests sample in all ways.
func aheadRequests(vocab int, seed uint64) []sched.Request {
	random := rand.New(rand.NewPCG(seed, 5))
	allowed := make([]uint32, (vocab+31)/32)
	for i := range allowed {
		allowed[i] = 0x5555ffff
	}
	if rest := vocab % 32; rest != 0 {
		allowed[len(allowed)-1] &= 1<<rest - 1
	}
	var requests []sched.Request
	for i, s := range []engine.Sampling{
		{Logprobs: -1},
		{Temperature: 1, TopP: 0.95, Logprobs: -1},
		{Temperature: 0.9, TopK: 30, Logprobs: 2},
		{Bias: []engine.TokenBias{{Token: 3, Bias: 2}}, Logprobs: 1},
		{Allowed: allowed, Logprobs: -1},
		{Temperature: 0.8, RepetitionPenalty: 1.3, FrequencyPenalty: 0.2, Logprobs: -1},
		{RepetitionPenalty: 1.5, PresencePenalty: 0.4, Logprobs: 2},
		{Temperature: 1, TopP: 0.8, RepetitionPenalty: 1.2, Bias: []engine.TokenBias{{Token: 5, Bias: 1}}, Banned: []int32{9}, Logprobs: 1},
		{Temperature: 1.1, Allowed: allowed, Banned: []int32{1, 2}, Logprobs: 0},
	} {
		prompt := make([]int32, 1+random.IntN(40))
		for j := range prompt {
			prompt[j] = random.Int32N(int32(vocab))
		}
		s.Seed = seed + uint64(i)
		requests = append(requests, sched.Request{Prompt: prompt, MaxTokens: 3 + random.IntN(10), Sampling: s, PromptLogprobs: -1, Owner: i,
			StopTokens: []int32{random.Int32N(int32(vocab)), random.Int32N(int32(vocab))}})
	}
	return requests
}

// ahead is the owner of a scheduler whose steps may be started ahead.
type ahead struct {
	t              *testing.T
	model          engine.Starter
	s              *sched.Scheduler
	got            map[int][]engine.Sampled // by request
	flights        [][]engine.Sampled
	steps, guessed int
}

func newAhead(t *testing.T, model engine.Starter, vocab int, requests []sched.Request) *ahead {
	t.Helper()
	limits, pages := model.Limits()
	s, err := sched.New(sched.Config{Settings: limits, Pages: pages, Vocab: vocab})
	check(t, err)
	for _, r := range requests {
		_, err := s.Add(r)
		check(t, err)
	}
	return &ahead{t: t, model: model, s: s, got: map[int][]engine.Sampled{}}
}

func (a *ahead) start(st *engine.Step) {
	out := make([]engine.Sampled, len(st.Rows))
	check(a.t, a.model.Start(st, out))
	a.flights = append(a.flights, out)
	a.steps++
}

func (a *ahead) serve(guess bool) {
	now := time.Unix(1, 0)
	for a.s.HasWork() {
		if len(a.flights) == 0 {
			if st := a.s.Schedule(now); st.T() > 0 {
				a.start(st)
			}
		}
		if guess && len(a.flights) == 1 {
			if st := a.s.Ahead(now); st != nil {
				a.guessed++
				a.start(st)
			}
		}
		if len(a.flights) > 0 {
			check(a.t, a.model.Wait())
			out := a.flights[0]
			a.flights = a.flights[1:]
			a.s.Complete(out)
			for _, o := range a.s.TakeOutputs(nil) {
				if o.Row >= 0 {
					id := o.Seq.Owner().(int)
					a.got[id] = append(a.got[id], out[o.Row])
				}
			}
		}
	}
}
