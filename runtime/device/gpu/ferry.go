package gpu

import (
	"sync"

	"llmc/internal/sym"
	"llmc/runtime/comm"
)

// ferry carries what cards of one stage hand on to those of the next, on another machine, through the memory of both hosts. All cards of a stage share one: the bytes of each go in the order of
// their numbers, so that both sides know which are whose.
type ferry struct {
	group *comm.Group
	peer  int // the other machine

	mu     sync.Mutex
	parts  [][]byte // by card, of the step at hand
	there  int      // parts that there are
	steps  uint64   // carried so far
	broken error
}

func newFerry(group *comm.Group, peer, cards int) *ferry {
	return &ferry{group: group, peer: peer, parts: make([][]byte, cards)}
}

// tag is what both sides know a part by.
func (f *ferry) tag(card int) uint64 { return f.steps<<8 | uint64(card) }

// send takes a card's part; the last one that comes sends all.
func (f *ferry) send(card int, part []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parts[card] = part
	if f.there++; f.there < len(f.parts) {
		return nil
	}
	f.there = 0
	f.steps++
	for i, data := range f.parts {
		if err := f.group.Exchange(f.tag(i), []comm.Message{{Rank: f.peer, Data: data}}, nil); err != nil {
			return lostMachine(err)
		}
	}
	return nil
}

// receive fills a card's part, all of which have one size; the first one that comes receives all.
func (f *ferry) receive(card int, part []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return f.broken
	}
	if f.there == 0 {
		f.steps++
		for i := range f.parts {
			if cap(f.parts[i]) < len(part) {
				f.parts[i] = make([]byte, len(part))
			}
			f.parts[i] = f.parts[i][:len(part)]
			if err := f.group.Exchange(f.tag(i), nil, []comm.Message{{Rank: f.peer, Data: f.parts[i]}}); err != nil {
				f.broken = lostMachine(err)
				return f.broken
			}
		}
		f.there = len(f.parts)
	}
	f.there--
	copy(part, f.parts[card])
	return nil
}

// far is a way to or from another machine.
type far struct {
	*ferry
	model   *Model // the card that is here
	card    int    // its number in its stage
	buffers []int
	list    []Moved
	bytes   []byte
}

// lay finds where the buffers of a step lie, and makes room for all of them.
func (w *far) lay(env sym.Env) (err error) {
	if w.list, err = moved(w.model.function, w.model.function, w.buffers, env, w.list[:0]); err != nil {
		return err
	}
	total := int64(0)
	for _, r := range w.list {
		total += r.Bytes
	}
	if int64(cap(w.bytes)) < total {
		w.bytes = make([]byte, total)
	}
	w.bytes = w.bytes[:total]
	return nil
}

// each visits the places of the step with their bytes.
func (w *far) each(do func(m Memory, offset int64, bytes []byte) error) error {
	rest := w.bytes
	for _, r := range w.list {
		if err := do(r.To, r.Offset, rest[:r.Bytes]); err != nil {
			return err
		}
		rest = rest[r.Bytes:]
	}
	return nil
}

// clear implements way: bytes that have been given are the host's.
func (*far) clear() error { return nil }

// give implements way: it waits for what is queued.
func (w *far) give(env sym.Env) error {
	if err := w.lay(env); err != nil {
		return err
	}
	if err := w.each(Memory.Read); err != nil {
		return err
	}
	return w.send(w.card, w.bytes)
}

// take implements way: it waits for the other machine, but not for the card here.
func (w *far) take(env sym.Env) error {
	if err := w.lay(env); err != nil {
		return err
	}
	if err := w.receive(w.card, w.bytes); err != nil {
		return err
	}
	return w.each(Memory.Write)
}

// fail implements way.
func (w *far) fail(err error) {
	if err != nil {
		_ = w.group.Fail(err)
	}
}
