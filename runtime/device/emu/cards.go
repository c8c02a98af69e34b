package emu

import (
	"fmt"
	"sync/atomic"
	"time"
)

// bus connects the memories of several cards: all reach the memory of all, at addresses that do not overlap. Their launches run at the same time, each card's in
// the goroutine that launches it.
type bus struct {
	cards  []*Memory
	failed atomic.Pointer[error] // what went wrong on a card, for which others wait in vain
	writes atomic.Uint64         // by strong accesses, of all cards: as long as there are some, somebody is at work
}

// cardSpan is what addresses a card has.
const cardSpan = 1 << 40

// NewCards returns the memories of cards that reach each other's.
func NewCards(n int) []*Memory {
	b := &bus{}
	for i := range n {
		start := uint64(globalStart + i*cardSpan)
		m := newMemory(start, start+cardSpan)
		m.bus = b
		b.cards = append(b.cards, m)
	}
	return b.cards
}

// owner is the memory whose address it is.
func (m *Memory) owner(addr uint64) *Memory {
	if m.bus == nil {
		return m
	}
	if i := (addr - globalStart) / cardSpan; addr >= globalStart && i < uint64(len(m.bus.cards)) {
		return m.bus.cards[i]
	}
	return m
}

// fail tells the other cards that this one has nothing more to say.
func (m *Memory) fail(err error) {
	if m.bus != nil && err != nil {
		m.bus.failed.CompareAndSwap(nil, &err)
	}
}

const (
	// hurried is how many turns a CTA looks for what other cards write before it leaves the processor to them.
	hurried         = 4
	defaultPatience = 5 * time.Minute
)

// awaitCards lets other cards work for which a CTA may be waiting. Where one has failed, or none does anything any more, the launch fails.
func (l *launch) awaitCards(c *cta) {
	b := l.mem.bus
	if c.polls++; b == nil || c.polls < hurried {
		return
	}
	why := ""
	if err := b.failed.Load(); err != nil {
		why = fmt.Sprintf("it waits for another card, which has failed: %v", *err)
	} else if l.waitedTooLong() {
		why = "it waits for another card, and none does anything"
	}
	if why != "" {
		l.stop(c.stuck(why))
		c.ended = true
		return
	}
	time.Sleep(idleSleep)
}

// waitedTooLong tells whether nobody has written anything that others look for in a long time.
func (l *launch) waitedTooLong() bool {
	patience := l.opt.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.mem.bus.writes.Load(); l.since.IsZero() || now != l.writes {
		l.writes, l.since = now, time.Now()
	}
	return time.Since(l.since) > patience
}
