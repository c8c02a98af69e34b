// Package devicetest holds what every device has to pass: tests that take an engine.Device.
package devicetest

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"llmc/engine"
	"llmc/runtime/sched"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// schedule is one way to run the same requests.
type schedule struct {
	settings engine.Settings
	pages    int // fewer than the sequences want together force preemption
	chunk    int
	noPrefix bool
	seed     uint64 // of arrival times and order
	adapters []*engine.Plan
	relieved int       // after so many steps, each time, memory is given back; 0: never
	drafts   [][]int32 // outputs of the requests, which are guessed, now and then wrongly; nil: no guesses
}

// trace holds, for each request and each position that it sampled, a hash over the bits of all logits.
type trace map[[2]int]uint64

// served is what became of requests.
type served struct {
	trace   trace
	outputs [][]int32
	stats   sched.Stats
}

// Schedules serves a few requests on a device under rounds random schedules (batches, chunks, page sizes, arrivals, preemptions, prefix cache,
// threads, memory given back, guesses of the next tokens) and wants the bits of every logit to be those of a plain run. The model of the plan has a vocabulary of vocab, context positions
// are used. Requests have no adapter and the given ones in turn.
func Schedules(t *testing.T, device engine.Device, plan *engine.Plan, vocab, context, rounds int, adapters ...*engine.Plan) {
	t.Helper()
	requests := metamorphicRequests(vocab, context)
	for i := range requests {
		place := i % (len(adapters) + 1)
		requests[i].Adapter = sched.Adapter{Place: int32(place), Serial: uint64(place)}
	}
	one := plainSchedule(context)
	one.adapters = adapters
	plain := run(t, device, plan, vocab, requests, one)
	want := plain.trace
	if len(want) < len(requests) {
		t.Fatalf("the plain run gave %d rows", len(want))
	}
	var preemptions, reused, accepted uint64
	guesses := takesGuesses(t, plan)
	for i := range rounds {
		sc := randomSchedule(uint64(i), context)
		sc.adapters = adapters
		if !guesses {
			sc.settings.Drafts = 0
		}
		if sc.settings.Drafts > 0 {
			sc.drafts = plain.outputs
		}
		got := run(t, device, plan, vocab, requests, sc)
		sameBits(t, want, got.trace, i, sc)
		preemptions, reused, accepted = preemptions+got.stats.Preemptions, reused+got.stats.PrefixHits, accepted+got.stats.AcceptedTokens
	}
	if few := 20; rounds >= few && (preemptions == 0 || reused == 0 || guesses && accepted == 0) {
		t.Errorf("%d preemptions, %d prefix tokens, %d right guesses: the schedules prove less than they should", preemptions, reused, accepted)
	}
}

// plainSchedule runs one request after the other.
func plainSchedule(context int) schedule {
	return schedule{settings: engine.Settings{MaxStepTokens: 400, MaxSequences: 1, MaxContext: context, PageSize: 16, Threads: 1}, pages: context / 16, noPrefix: true}
}

// sameBits wants the logits of a plain run from schedule number i.
func sameBits(t *testing.T, want, got trace, i int, sc schedule) {
	t.Helper()
	for key, hash := range want {
		if got[key] != hash {
			t.Fatalf("schedule %d (%+v): request %d has other logits at position %d", i, sc, key[0], key[1])
		}
	}
}

// takesGuesses tells whether guesses may be verified, and pages shared that are not full: of plans that keep states they may not.
func takesGuesses(t *testing.T, plan *engine.Plan) bool {
	t.Helper()
	program, err := plan.Program(engine.StepFunc, plan.Targets(engine.StepFunc)[0])
	check(t, err)
	return !program.KeepsState()
}

// splitLength is the positions that attention computes together, on every device.
const splitLength = 256

// metamorphicRequests are a few prompts with beginnings in common.
func metamorphicRequests(vocab, context int) []sched.Request {
	random := rand.New(rand.NewPCG(1, 2))
	shared := make([]int32, 40)
	for i := range shared {
		shared[i] = random.Int32N(int32(vocab))
	}
	var requests []sched.Request
	for i := range 6 {
		prompt := append([]int32{}, shared[:[]int{0, 40, 33, 16, 40, 5}[i]]...)
		for range 1 + random.IntN(30) {
			prompt = append(prompt, random.Int32N(int32(vocab)))
		}
		sampling := engine.Sampling{Logprobs: -1}
		requests = append(requests, sched.Request{Prompt: prompt, MaxTokens: 4 + random.IntN(20), Sampling: sampling, PromptLogprobs: -1, Owner: i})
	}
	// One that crosses the parts in which long contexts are attended, where the context has room for it.
	if long := context - 100; long > splitLength {
		prompt := make([]int32, long)
		for i := range prompt {
			prompt[i] = random.Int32N(int32(vocab))
		}
		requests = append(requests, sched.Request{Prompt: prompt, MaxTokens: 12, Sampling: engine.Sampling{Logprobs: -1}, PromptLogprobs: -1, Owner: len(requests)})
	}
	return requests
}

func randomSchedule(seed uint64, context int) schedule {
	random := rand.New(rand.NewPCG(seed, 7))
	page := []int{16, 32, 64}[random.IntN(3)]
	sc := schedule{seed: seed, chunk: random.IntN(40), noPrefix: random.IntN(3) == 0}
	sc.settings = engine.Settings{
		MaxStepTokens: 8 + random.IntN(120), MaxSequences: 1 + random.IntN(6), MaxContext: context, PageSize: page, Threads: 1 + random.IntN(2),
	}
	sc.pages = context/page + random.IntN(context/page)
	sc.settings.Drafts = max(0, random.IntN(12)-4)
	sc.relieved = random.IntN(5)
	return sc
}

// run serves the requests and records the logits of every sampled row.
func run(t *testing.T, device engine.Device, plan *engine.Plan, vocab int, requests []sched.Request, sc schedule) served {
	t.Helper()
	perToken := int64(1 << 20) // more than a position of the tiny model takes
	sc.settings.KVBytes = int64(sc.pages*sc.settings.PageSize) * perToken
	sc.settings.MaxAdapters = len(sc.adapters)
	model, err := device.Load(plan, sc.settings)
	check(t, err)
	defer model.Close()
	for i, adapter := range sc.adapters {
		check(t, model.(engine.AdapterModel).LoadAdapter(i+1, adapter))
	}
	limits, _ := model.Limits()
	s, err := sched.New(sched.Config{Settings: limits, Pages: sc.pages, Vocab: vocab, ChunkTokens: sc.chunk, NoPrefixCache: sc.noPrefix, CopyPages: takesGuesses(t, plan)})
	check(t, err)
	d := driver{t: t, model: model, s: s, pages: sc.pages, vocab: vocab, got: trace{}, outputs: make([][]int32, len(requests))}
	if sc.drafts != nil {
		d.guesses = newGuesses(sc, vocab)
	}
	random := rand.New(rand.NewPCG(sc.seed, 11))
	for _, i := range random.Perm(len(requests)) {
		_, err := s.Add(requests[i])
		check(t, err)
		for range random.IntN(4) {
			d.step()
			d.relieve(sc.relieved)
		}
	}
	for s.HasWork() {
		d.step()
		d.relieve(sc.relieved)
	}
	return served{d.got, d.outputs, s.Stats()}
}

// driver is the owner of a scheduler: it runs steps and keeps what they gave.
type driver struct {
	t       *testing.T
	model   engine.Model
	s       *sched.Scheduler
	pages   int
	vocab   int
	got     trace
	outputs [][]int32
	guesses *guesses // nil: none
	steps   int
	logits  [][]float32
	out     []engine.Sampled
	now     time.Time
}

func (d *driver) schedule() *engine.Step {
	d.now = d.now.Add(time.Millisecond)
	if d.guesses != nil {
		d.guesses.propose(d.s)
	}
	st := d.s.Schedule(d.now)
	for _, c := range d.s.TakeCopies(nil) {
		check(d.t, d.model.CopyPage(c.To, c.From))
	}
	return st
}

// relieve has the model give back what nothing is kept in, after every so many steps.
func (d *driver) relieve(every int) {
	d.steps++
	if m, ok := d.model.(engine.Reliever); ok && every > 0 && d.steps%every == 0 {
		m.RelieveSteps()
		_, pages := m.(engine.Model).Limits()
		m.RelievePages(0, pages, func(page int32) bool { return int(page) < d.pages && !d.s.PageFree(page) })
	}
}

func (d *driver) step() {
	st := d.schedule()
	if st.T() == 0 {
		d.s.TakeOutputs(nil)
		return
	}
	for i := range st.Rows {
		if i == len(d.logits) {
			d.logits = append(d.logits, make([]float32, d.vocab))
			d.out = append(d.out, engine.Sampled{})
		}
		st.Rows[i].Logits = d.logits[i]
	}
	positions := make([]int, len(st.Rows))
	for i := range st.Rows {
		positions[i] = int(st.Rows[i].Position)
	}
	check(d.t, d.model.Step(st, d.out[:len(st.Rows)]))
	d.s.Complete(d.out[:len(positions)])
	for _, o := range d.s.TakeOutputs(nil) {
		if o.Row >= 0 {
			id := o.Seq.Owner().(int)
			d.got[[2]int{id, positions[o.Row]}] = hashBits(d.logits[o.Row])
			if d.outputs != nil {
				d.outputs[id] = append(d.outputs[id], o.Token)
			}
		}
	}
}

func hashBits(logits []float32) uint64 {
	h := fnv.New64a()
	var b [4]byte
	for _, f := range logits {
		if f != f {
			panic(fmt.Sprint("logits are not numbers: ", f))
		}
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(f))
		h.Write(b[:])
	}
	return h.Sum64()
}
