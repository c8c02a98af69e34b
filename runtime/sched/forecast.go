package sched

import (
	"container/heap"
	"iter"
	"slices"

	"llmc/runtime/kv"
)

// Forecast is what a request finds before it, as far as can be told: how long outputs get that may end early is not known, nor is who comes later.
type Forecast struct {
	Prompt   int // tokens that are computed until its first one is sampled: of its own prompt what is not cached, and those of others that go first
	Rounds   int // tokens that others get before it has a place
	Decoding int // sequences that are being answered meanwhile
	Outputs  int // tokens that its own output has at least
	Idle     bool
}

// Forecast says what a request would find if it were added now. It changes nothing but the order in which cached pages are given up.
func (s *Scheduler) Forecast(r *Request) Forecast {
	own := len(r.Prompt) + len(r.Source) - s.found(r)
	f := Forecast{Prompt: own, Outputs: 1, Idle: len(s.running)+s.waiting.count == 0}
	if f.Outputs += r.MinTokens; len(r.StopTokens) == 0 && r.Constraint == nil {
		f.Outputs = s.limitOf(r) - len(r.Prompt)
	}
	for i, q := range s.running {
		switch n := q.behind(); {
		case n <= 1:
			f.Decoding++
		case i == 0: // gets half of each step
			f.Prompt += min(n, own)
		case n <= own:
			f.Prompt += n
		}
	}
	ahead := s.ahead(r)
	for _, q := range ahead {
		f.Prompt += q.behind()
	}
	f.Rounds = s.rounds(ahead, s.places(r))
	f.Decoding = min(f.Decoding+len(ahead), s.config.MaxSequences)
	return f
}

// found returns how many tokens of a request's prompt are cached.
func (s *Scheduler) found(r *Request) int {
	if r.PromptLogprobs >= 0 || len(r.Images) > 0 { // all logits are needed, or what images stand for is not known by their tokens
		return 0
	}
	var t kv.Table
	t.Init(kv.Key{Salt: r.Salt, Variant: s.regime(len(r.Prompt)), Adapter: r.Adapter.Serial}, 0)
	n := s.pool.Match(&t, r.Prompt[:len(r.Prompt)-1], false)
	s.pool.Release(&t)
	return n
}

// all are the sequences that have not ended.
func (s *Scheduler) all() iter.Seq[*Sequence] {
	return func(yield func(*Sequence) bool) {
		for _, q := range s.running {
			if !yield(q) {
				return
			}
		}
		s.waiting.all()(yield)
	}
}

// ahead returns the waiting sequences that run before a new one, as far as the present order and what they are expected to be served tell.
func (s *Scheduler) ahead(r *Request) (list []*Sequence) {
	own := s.waiting.tenants[r.Tenant]
	turn := s.waiting.least() // what the new one's tenant has been served when its turn comes
	if own != nil {
		turn = s.waiting.joining(own)
		for _, q := range own.waiting {
			if q.request.Priority <= r.Priority {
				turn += s.service(q)
				list = append(list, q)
			}
		}
	}
	for _, t := range s.waiting.active {
		if t == own {
			continue
		}
		order := slices.SortedFunc(slices.Values(t.waiting), func(a, b *Sequence) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		served := t.served
		for _, q := range order {
			if p := q.request.Priority; p > r.Priority || p == r.Priority && !q.goesOn() && served > turn {
				break
			}
			served += s.service(q)
			list = append(list, q)
		}
	}
	return list
}

// service returns what a sequence that waits is expected to be served.
func (s *Scheduler) service(q *Sequence) float64 {
	return float64(q.behind()*promptWeight+s.remaining(q)*outputWeight) / q.tenant.share
}

// remaining returns how many tokens the output is expected to get yet: all that it may where nothing else ends it, otherwise what outputs had lately.
func (s *Scheduler) remaining(q *Sequence) int {
	left := q.Remaining()
	if len(q.stops) > 0 || q.request.Constraint != nil {
		left = min(left, max(1, int(s.usual)-q.Outputs()))
	}
	return max(left, 1)
}

// places returns how many sequences are expected to run at once, as far as there are pages for them.
func (s *Scheduler) places(r *Request) int {
	pages, n := s.pool.PagesFor(len(r.Prompt)+1), 1
	for q := range s.all() {
		pages, n = pages+s.pool.PagesFor(q.total()+s.remaining(q)), n+1
	}
	return max(1, min(s.config.MaxSequences, s.config.Pages*n/pages))
}

// rounds returns how many tokens running sequences get until there is a place behind those ahead.
func (s *Scheduler) rounds(ahead []*Sequence, places int) int {
	var ends rounds
	for _, q := range s.running {
		ends = append(ends, s.remaining(q))
	}
	heap.Init(&ends)
	for _, q := range ahead {
		heap.Push(&ends, ends.free(places)+s.remaining(q))
	}
	return ends.free(places)
}

// rounds is a heap of the times, in tokens, at which places become free. It implements heap.Interface.
type rounds []int

func (r rounds) Len() int           { return len(r) }
func (r rounds) Less(i, j int) bool { return r[i] < r[j] }
func (r rounds) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }

// Push is heap.Interface's.
func (r *rounds) Push(x any) { *r = append(*r, x.(int)) }

// Pop is heap.Interface's.
func (r *rounds) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// free takes the next place and returns when it is free.
func (r *rounds) free(places int) (at int) {
	for len(*r) >= places {
		at = heap.Pop(r).(int)
	}
	return at
}

// usualWeight is that of one output in the usual length.
const usualWeight = 1.0 / 16

// learn takes in how long an output was that ended by itself.
func (s *Scheduler) learn(outputs int) {
	if s.usual == 0 {
		s.usual = float64(outputs)
	}
	s.usual += (float64(outputs) - s.usual) * usualWeight
}
