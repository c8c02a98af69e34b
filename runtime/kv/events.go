package kv

import "slices"

// Event is a full page that can be found from now on, or no longer.
type Event struct {
	Removed bool
	Page    uint64 // its name, which no other page of the pool ever has
	Parent  uint64 // that of the page before it; 0: it is the first of a sequence
	Tokens  []int32
	Adapter uint64 // Key.Adapter
}

// tellStored notes that a page can be found, if it is full.
func (p *Pool) tellStored(n int32, adapter uint64) {
	pg := &p.pages[n]
	if !p.told || pg.state != indexed {
		return
	}
	p.named++
	p.names[n] = p.named
	e := Event{Page: p.named, Tokens: slices.Clone(p.pageTokens(n)), Adapter: adapter}
	if pg.parent != none {
		e.Parent = p.names[pg.parent]
	}
	p.events = append(p.events, e)
}

// tellRemoved notes that a page can not be found any more.
func (p *Pool) tellRemoved(n int32) {
	if p.told && p.pages[n].state == indexed {
		p.events = append(p.events, Event{Removed: true, Page: p.names[n]})
	}
}

// TakeEvents returns what has happened since the last call, in order; nil: nothing.
func (p *Pool) TakeEvents() []Event {
	events := p.events
	p.events = nil
	return events
}
