package emu

import (
	"fmt"
	"sync/atomic"
	"time"

	"llmc/runtime/device/gpu"
)

// bus connects the memories of several cards: all reach the memory of all, at addresses that do not overlap. Their launches run at the same time, each card's in
// the goroutine that launches it.
type bus struct {
	cards  []*Memory
	failed atomic.Pointer[error] // what went wrong on a card, for which others wait in vain
	races  *globalRaces          // of the launches of all cards, from the first one on
	writes atomic.Uint64         // by strong accesses, of all cards: as long as there are some, somebody is at work
}

// cardSpan is what addresses a card has.
const cardSpan = 1 << 40

// NewCards returns the memories of cards that reach each other's.
func NewCards(n int) []*Memory {
	b := &bus{races: newGlobalRaces()}
	for i := range n {
		start := uint64(globalStart + i*cardSpan)
		m := newMemory(start, start+cardSpan)
		m.bus, m.card = b, i
		b.cards = append(b.cards, m)
	}
	return b.cards
}

// begin gives a CTA its number among those of all cards. The card's launches follow one another, so it knows what those before have done and seen.
func (m *Memory) begin(o *ctaOrder, linear uint32) {
	if m.bus == nil {
		o.reset(linear)
		return
	}
	self := linear*uint32(len(m.bus.cards)) + uint32(m.card)
	o.reset(self)
	o.epoch, o.before = m.known[self]+1, m.known
}

// ended makes what the CTAs of a launch have done known to the card's next ones.
func (m *Memory) ended(l *launch) {
	if l.ended == nil {
		return
	}
	joinClock(&l.ended, m.known)
	m.known = l.ended
}

// numberOf undoes what begin does to the number of a CTA.
func (m *Memory) numberOf(self uint32) (linear uint32, card string) {
	if m.bus == nil {
		return self, ""
	}
	n := uint32(len(m.bus.cards))
	return self / n, fmt.Sprintf(" of card %d", self%n)
}

// OpenCards returns drivers of so many cards that reach each other's memory, for kernels alone.
func OpenCards(options Options, cards int) (drivers []gpu.Driver) {
	for _, m := range NewCards(cards) {
		drivers = append(drivers, &driver{options: options, card: ownCard(), memory: m})
	}
	return drivers
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

// Fail tells the other cards that this one has nothing more to say. It returns what went wrong first, on whichever card.
func (m *Memory) Fail(err error) error {
	if m.bus == nil || err == nil || m.bus.failed.CompareAndSwap(nil, &err) {
		return err
	}
	return *m.bus.failed.Load()
}

const defaultPatience = 5 * time.Minute

// awaitCards lets other cards work for which a CTA may be waiting. Where one has failed, or none does anything any more, the launch fails.
func (l *launch) awaitCards(c *cta) {
	b := l.mem.bus
	if b == nil {
		return
	}
	idle, since := l.looked(b.writes.Load())
	if !idle {
		return
	}
	patience, why := l.opt.Patience, ""
	if patience == 0 {
		patience = defaultPatience
	}
	if err := b.failed.Load(); err != nil {
		why = fmt.Sprintf("it waits for another card, which has failed: %v", *err)
	} else if time.Since(since) > patience {
		why = "it waits for another card, and none does anything"
	}
	if why != "" {
		l.stop(c.stuck(why))
		c.ended = true
		return
	}
	time.Sleep(idleSleep)
}

// looked notes that a CTA has looked for what other cards write, of which there is so much by now. It is idle once all have looked since something was written, which
// was at that time.
func (l *launch) looked(writes uint64) (idle bool, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.looks++; l.since.IsZero() || writes != l.writes {
		l.writes, l.since, l.looks = writes, time.Now(), 0
	}
	if idle = l.looks > l.open; idle {
		l.looks = 0
	}
	return idle, l.since
}
