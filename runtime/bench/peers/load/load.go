package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Prompts are windows of a text of token ids at ever other places, so that no cache of prefixes helps. They may be taken from several goroutines.
type Prompts struct {
	ids []int32
	at  atomic.Int64
}

// stride is how far windows are apart: a prime, so that they meet again late.
const stride = 1009

// NewPrompts returns windows of ids, of which there must be one.
func NewPrompts(ids []int32) *Prompts { return &Prompts{ids: ids} }

// Take returns the next window of n tokens. The text goes round.
func (p *Prompts) Take(n int) []int32 {
	at := int(p.at.Add(stride))
	window := make([]int32, n)
	for i := range window {
		window[i] = p.ids[(at+i)%len(p.ids)]
	}
	return window
}

// Level is a load of so many clients, each of which sends its next request when its last one was answered.
type Level struct {
	Clients  int
	Requests int // of each client
	Prompt   int // tokens
	Tokens   int
}

// Result is what the clients of a level saw.
type Result struct {
	PerSecond float64   // tokens, all clients together
	Tokens    int       // in all
	First     []float64 // seconds to the first token of each request
	Between   []float64 // seconds between the events of each stream
}

// Run puts the load on the server. A request that fails fails the level.
func (l Level) Run(ctx context.Context, s *Server, prompts *Prompts) (*Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make([][]*Answer, l.Clients)
	failures := make([]error, l.Clients)
	var clients sync.WaitGroup
	began := time.Now()
	for c := range l.Clients {
		clients.Go(func() {
			for range l.Requests {
				a, err := s.Stream(ctx, Request{prompts.Take(l.Prompt), l.Tokens}, nil)
				if err != nil {
					failures[c] = err
					cancel() // the others need not go on
					return
				}
				answers[c] = append(answers[c], a)
			}
		})
	}
	clients.Wait()
	took := time.Since(began).Seconds()
	if err := firstFailure(failures); err != nil {
		return nil, err
	}
	r := &Result{}
	for _, a := range slices.Concat(answers...) {
		r.Tokens += a.Tokens
		r.First, r.Between = append(r.First, a.First.Seconds()), append(r.Between, a.Gaps()...)
	}
	if r.PerSecond = float64(r.Tokens) / took; len(r.Between) == 0 {
		return nil, fmt.Errorf("answers came in one piece each: %s does not stream", s.URL)
	}
	return r, nil
}

// firstFailure prefers an error that is no consequence of another's.
func firstFailure(failures []error) error {
	var ended error
	for _, err := range failures {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			ended = err
		}
	}
	return ended
}

// Arrival is a long prompt that arrives while streams are running.
type Arrival struct {
	Streams int
	Prompt  int // tokens of each stream's prompt
	Tokens  int // of each stream at most: more than are made until the long prompt is done
	Begin   int // tokens that each stream has when all are taken to run alike
	Settle  int // tokens that each stream has at least when the long prompt arrives
	Long    int // tokens of the prompt that arrives
}

// Arrived is what the streams and the newcomer saw.
type Arrived struct {
	Before  []float64 // seconds between the events of the streams while they were alone and all had begun
	Between []float64 // seconds between the events of the streams, of which at least one is after the arrival and one before the newcomer's first token
	First   float64   // seconds to the newcomer's first token
}

// Run measures one arrival.
func (l Arrival) Run(ctx context.Context, s *Server, prompts *Prompts) (*Arrived, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	times := make([][]time.Time, l.Streams)
	failures := make([]error, l.Streams)
	var settled, streams sync.WaitGroup
	settled.Add(l.Streams)
	for i := range l.Streams {
		streams.Go(func() {
			settle := sync.OnceFunc(settled.Done)
			defer settle() // one that fails keeps nobody waiting
			_, failures[i] = s.Stream(ctx, Request{prompts.Take(l.Prompt), l.Tokens}, func(a *Answer) {
				if times[i] = append(times[i], time.Now()); len(times[i]) == l.Settle {
					settle()
				}
			})
			if failures[i] != nil && ctx.Err() == nil {
				cancel()
			}
		})
	}
	settled.Wait()
	arrived := time.Now()
	answer, err := s.Stream(ctx, Request{prompts.Take(l.Long), 2}, nil)
	cancel()
	streams.Wait()
	if err != nil {
		if other := firstFailure(failures); other != nil && !errors.Is(other, context.Canceled) {
			err = other
		}
		return nil, err
	}
	done := arrived.Add(answer.First)
	r := &Arrived{First: answer.First.Seconds()}
	var alone time.Time // when the last stream had begun
	for _, stream := range times {
		if at := stream[min(max(l.Begin, 1), len(stream))-1]; at.After(alone) {
			alone = at
		}
	}
	for i, stream := range times {
		if failures[i] == nil && stream[len(stream)-1].Before(done) {
			return nil, fmt.Errorf("a stream of %d tokens ended before the prompt of %d was done: it needs more", l.Tokens, l.Long)
		}
		r.Before = append(r.Before, inside(stream, alone, arrived)...)
		r.Between = append(r.Between, meanwhile(stream, arrived, done)...)
	}
	if len(r.Before) == 0 {
		return nil, fmt.Errorf("streams of %d tokens had none between the %d-th of all and the prompt's arrival", l.Settle, l.Begin)
	}
	return r, nil
}

// inside returns the gaps between events, in seconds, that lie between two times.
func inside(events []time.Time, from, to time.Time) []float64 {
	var gaps []float64
	for i := 1; i < len(events); i++ {
		if !events[i-1].Before(from) && !events[i].After(to) {
			gaps = append(gaps, events[i].Sub(events[i-1]).Seconds())
		}
	}
	return gaps
}

// meanwhile returns the gaps between events, in seconds, that lie in part between two times. A stream that stood still until the end has one more, its last.
func meanwhile(events []time.Time, from, to time.Time) []float64 {
	var gaps []float64
	for i := 1; i < len(events); i++ {
		if events[i].After(from) && events[i-1].Before(to) {
			gaps = append(gaps, events[i].Sub(events[i-1]).Seconds())
		}
	}
	if last := events[len(events)-1]; last.Before(to) {
		gaps = append(gaps, to.Sub(last).Seconds())
	}
	return gaps
}
