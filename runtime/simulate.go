package runtime

import (
	"container/heap"
	"context"
	"fmt"
	"time"

	"llmc/engine"
	"llmc/runtime/sched"
)

// Simulation is a replay of requests on servers that are not there: the real scheduler and the real rules of the step loop for each, a device that takes as long as Cost
// says, and a clock of its own. Every request goes to the server that has the fewest.
type Simulation struct {
	Settings   engine.Settings // of each server; Threads and memory do not matter
	Pages      int             // KV pages of each
	Servers    int
	QueueLimit int // sequences that may wait at a server; 0: any number
	// Cost is what a step takes on the device. Host is what the loop takes between two steps: 0 where the next one is scheduled while the device works.
	Cost func(st *engine.Step) time.Duration
	Host time.Duration
}

// Arrival is a request of a simulation.
type Arrival struct {
	At             time.Duration // since the beginning; arrivals are in this order
	Prompt, Output int           // tokens
}

// Served is what became of an arrival.
type Served struct {
	Arrival
	First, End time.Duration // when its first and its last token were there, since the beginning
	Refused    error         // it was not served
	last       time.Duration
}

// Simulated is what servers have done.
type Simulated struct {
	Requests    []Served
	Gaps        []float32     // seconds between two tokens of the same request, in no order
	End         time.Duration // of the last step
	Busy        time.Duration // of all devices
	Steps       int
	MostWaiting int     // at one server
	MostPages   float64 // part of a server's pages that were held
	Preemptions uint64
}

// simulated is one server. Its scheduler has a step in flight until a time, or nothing to do.
type simulated struct {
	s         *sched.Scheduler
	pace      pace
	step      *engine.Step
	out       []engine.Sampled
	outputs   []sched.Output
	answering bool
	begun     time.Duration
	until     time.Duration
	live      int // requests
}

// epoch is when simulations begin.
var epoch = time.Unix(0, 0)

// Run replays arrivals.
func (c *Simulation) Run(ctx context.Context, arrivals []Arrival) (*Simulated, error) {
	if c.Servers < 1 {
		return nil, fmt.Errorf("a simulation needs a server")
	}
	servers := make([]*simulated, c.Servers)
	for i := range servers {
		v := &simulated{out: make([]engine.Sampled, c.Settings.MaxRows)}
		var err error
		v.s, err = sched.New(sched.Config{Settings: c.Settings, Pages: c.Pages, Vocab: 2, QueueLimit: c.QueueLimit, NoPrefixCache: true, PromptTokens: v.pace.promptTokens, Newcomers: v.pace.newcomers})
		if err != nil {
			return nil, err
		}
		servers[i] = v
	}
	r := &replaying{Simulation: c, all: servers, done: &Simulated{Requests: make([]Served, len(arrivals))}}
	for next := 0; next < len(arrivals) || len(r.working) > 0; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if next < len(arrivals) && (len(r.working) == 0 || arrivals[next].At <= r.working[0].until) {
			r.arrive(&r.done.Requests[next], arrivals[next])
			next++
			continue
		}
		r.complete(heap.Pop(&r.working).(*simulated))
	}
	for _, v := range servers {
		r.done.Preemptions += v.s.Stats().Preemptions
	}
	return r.done, nil
}

// replaying is a simulation under way.
type replaying struct {
	*Simulation
	all     []*simulated
	working byEnd // a heap, the one first whose step is done first
	done    *Simulated
	zeros   []int32 // prompts: nothing looks at tokens
}

// arrive gives a request to a server.
func (r *replaying) arrive(q *Served, a Arrival) {
	q.Arrival = a
	v := r.all[0]
	for _, other := range r.all[1:] {
		if other.live < v.live {
			v = other
		}
	}
	if a.Prompt < 1 || a.Output < 1 || a.Prompt+a.Output > v.s.MaxTokens() {
		q.Refused = ErrTooLong
		return
	}
	if len(r.zeros) < a.Prompt {
		r.zeros = make([]int32, a.Prompt)
	}
	if _, q.Refused = v.s.Add(sched.Request{Prompt: r.zeros[:a.Prompt], MaxTokens: a.Output, PromptLogprobs: -1, Owner: q}); q.Refused != nil {
		return
	}
	v.live++
	if v.step == nil {
		r.begin(v, a.At)
	}
	r.done.MostWaiting = max(r.done.MostWaiting, v.s.Stats().Waiting)
}

// begin schedules a server's next step, if there is one.
func (r *replaying) begin(v *simulated, now time.Duration) {
	st := v.s.Schedule(epoch.Add(now))
	v.s.TakeCopies(nil)
	r.take(v, now)
	if st.T() == 0 {
		v.step = nil
		return
	}
	took := max(r.Cost(st), time.Nanosecond) // or nothing would ever come in
	v.step, v.answering, v.begun, v.until = st, answers(st), now, now+took
	heap.Push(&r.working, v)
	r.done.Steps++
	r.done.Busy += took
	stats := v.s.Stats()
	r.done.MostPages = max(r.done.MostPages, float64(stats.PagesHeld)/float64(stats.Pages))
}

// complete hands out what a step has given, and begins the next one.
func (r *replaying) complete(v *simulated) {
	now := v.until
	v.pace.observe(v.step.T(), v.answering, (now - v.begun).Seconds())
	out := v.out[:len(v.step.Rows)]
	clear(out)
	v.s.Complete(out)
	r.take(v, now)
	r.done.End = max(r.done.End, now)
	r.begin(v, now+r.Host)
}

// take notes what requests got.
func (r *replaying) take(v *simulated, now time.Duration) {
	v.outputs = v.s.TakeOutputs(v.outputs[:0])
	for _, o := range v.outputs {
		q := o.Seq.Owner().(*Served)
		if o.Row >= 0 {
			if q.First == 0 {
				q.First = now
			} else {
				r.done.Gaps = append(r.done.Gaps, float32((now - q.last).Seconds()))
			}
			q.last = now
		}
		if o.Finish == sched.Running {
			continue
		}
		v.live--
		if q.End = now; o.Finish != sched.Length {
			q.Refused = fmt.Errorf("ended early (%d)", o.Finish)
		}
	}
}

// byEnd is a heap.Interface of servers whose steps end.
type byEnd []*simulated

func (h byEnd) Len() int           { return len(h) }
func (h byEnd) Less(i, j int) bool { return h[i].until < h[j].until }
func (h byEnd) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push appends a server.
func (h *byEnd) Push(x any) { *h = append(*h, x.(*simulated)) }

// Pop takes the last one away.
func (h *byEnd) Pop() any {
	v := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return v
}
