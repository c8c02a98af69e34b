package emu

import (
	"fmt"
	"maps"
	"sync"

	"llmc/runtime/device/gpu"
)

// Clock is what the launches of a card that begin now know of what CTAs of all cards, and copies between cards, have done.
type Clock map[uint32]uint32

// Clock tells what the card knows.
func (m *Memory) Clock() Clock { return maps.Clone(m.known) }

// Learn adds what another one knew.
func (m *Memory) Learn(c Clock) {
	known := maps.Clone(m.known)
	joinClock(&known, c)
	m.known = known
}

// copies is the linear number that copies from other cards have, which is that of no CTA.
func (m *Memory) copies() uint32 {
	if m.bus == nil {
		return 1<<32 - 1
	}
	return (1<<32-1)/uint32(len(m.bus.cards)) - 1
}

// copier is copies among those of all cards.
func (m *Memory) copier() uint32 { return m.copies()*uint32(len(m.bus.cards)) + uint32(m.card) }

// CopyFrom copies bytes of another card of the bus. With races it is a Fault where nothing orders the copy and what CTAs have done to either memory; nothing orders what comes behind with it
// but the card's own launches, and those of who learns of it.
func (m *Memory) CopyFrom(other *Memory, to, from uint64, bytes int64, races bool) error {
	if m.bus == nil || other.bus != m.bus {
		return fmt.Errorf("copy of %d bytes from %#x to %#x: the cards do not reach each other", bytes, from, to)
	}
	read, write := other.bytes(from, bytes), m.bytes(to, bytes)
	if read == nil || write == nil {
		return fmt.Errorf("copy of %d bytes from %#x to %#x: no buffers have all of them", bytes, from, to)
	}
	if races {
		order := ctaOrder{self: m.copier(), before: m.known}
		order.epoch = m.known[order.self] + 1
		for _, side := range []struct {
			addr  uint64
			write bool
		}{{from, false}, {to, true}} {
			if addr, by := m.bus.races.markRange(&order, side.addr, bytes, side.write); by.cta != 0 {
				linear, card := m.numberOf(by.cta - 1)
				return m.Fail(&Fault{Kind: Race, Kernel: fmt.Sprintf("copy to card %d", m.card), Whole: true, Addr: addr, HasA: true,
					Msg: fmt.Sprintf("CTA number %d%s touched it too, and nothing orders the two", linear, card)})
			}
		}
		m.Learn(Clock{order.self: order.epoch})
	}
	copy(write, read)
	return nil
}

// bytes are those of a buffer, nil where none has all of them.
func (m *Memory) bytes(addr uint64, n int64) []byte {
	b := m.find(addr)
	if b == nil || uint64(n) > uint64(len(b.data))-(addr-b.addr) {
		return nil
	}
	return b.data[addr-b.addr:][:n]
}

// markRange leaves marks on the words of a range. It returns the first whose mark is in conflict and that mark, one of no CTA if none is.
func (r *globalRaces) markRange(o *ctaOrder, addr uint64, bytes int64, write bool) (at uint64, other mark) {
	end := (addr + uint64(bytes) + 3) &^ 3
	for from := addr &^ 3; from < end; {
		next := min(end, from/racePageBytes*racePageBytes+racePageBytes)
		if at, other = r.markWords(o, from, next, accessKind{write: write}); other.cta != 0 {
			return at, other
		}
		from = next
	}
	return 0, mark{}
}

// signals are what a driver has said so far.
type signals struct {
	mu    sync.Mutex
	given [gpu.MostSignals]Clock
}

// Signal implements gpu.Linked: what has been launched is done.
func (d *driver) Signal(n int) error {
	d.signals.mu.Lock()
	defer d.signals.mu.Unlock()
	d.signals.given[n] = d.memory.Clock()
	return nil
}

// WaitFor implements gpu.Linked.
func (d *driver) WaitFor(other gpu.Driver, n int) error {
	from := &other.(*driver).signals
	from.mu.Lock()
	defer from.mu.Unlock()
	d.memory.Learn(from.given[n])
	return nil
}

// CopyFrom implements gpu.Linked.
func (d *driver) CopyFrom(other gpu.Driver, list []gpu.Moved) error {
	for _, c := range list {
		from, to := c.From.Addr()+uint64(c.Offset), c.To.Addr()+uint64(c.Offset)
		if err := d.memory.CopyFrom(other.(*driver).memory, to, from, c.Bytes, d.options.Races); err != nil {
			return err
		}
	}
	return nil
}

var _ gpu.Linked = (*driver)(nil)
