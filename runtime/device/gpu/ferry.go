package gpu

import (
	"sync"

	"llmc/internal/sym"
	"llmc/runtime/comm"
)

// ferry carries what cards of one stage hand on to those of the next, on another machine, through the memory of both hosts. All cards of a stage share one: the bytes of each go in the order of
// their numbers, so that both sides know which are whose. A card that is a step ahead waits for the others.
type ferry struct {
	group *comm.Group
	peer  int // the other machine

	mu     sync.Mutex
	moved  *sync.Cond
	parts  [][]byte // by card, of the step at hand
	there  int      // parts that have come from a card here, or have not gone to one
	steps  int      // carried so far
	broken error
}

func newFerry(group *comm.Group, peer, cards int) *ferry {
	f := &ferry{group: group, peer: peer, parts: make([][]byte, cards)}
	f.moved = sync.NewCond(&f.mu)
	return f
}

// await waits until a condition holds, or the ferry is of no use any more. The caller holds the lock.
func (f *ferry) await(ready func() bool) error {
	for !ready() && f.broken == nil {
		f.moved.Wait()
	}
	return f.broken
}

// fail ends all waiting.
func (f *ferry) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken == nil {
		f.broken = err
	}
	f.moved.Broadcast()
}

// carry exchanges the parts of the next step with the other machine.
func (f *ferry) carry(part func(m comm.Message) (sends, receives []comm.Message)) error {
	f.steps++
	for card, data := range f.parts {
		sends, receives := part(comm.Message{Rank: f.peer, Data: data})
		if err := f.group.Exchange(uint64(f.steps)<<8|uint64(card), sends, receives); err != nil {
			f.broken = lostMachine(err)
			break
		}
	}
	f.moved.Broadcast()
	return f.broken
}

// send takes a card's part of a step; the last one that comes sends all.
func (f *ferry) send(card, step int, part []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.await(func() bool { return step == f.steps+1 }); err != nil {
		return err
	}
	f.parts[card] = part
	if f.there++; f.there < len(f.parts) {
		return nil
	}
	f.there = 0
	return f.carry(func(m comm.Message) (_, _ []comm.Message) { return []comm.Message{m}, nil })
}

// receive fills a card's part of a step, all of which have one size; the first one that comes receives all.
func (f *ferry) receive(card, step int, part []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.await(func() bool { return step == f.steps || f.there == 0 }); err != nil {
		return err
	}
	if step > f.steps {
		for i := range f.parts {
			f.parts[i] = append(f.parts[i][:0], part...) // as long
		}
		f.there = len(f.parts)
		if err := f.carry(func(m comm.Message) (_, _ []comm.Message) { return nil, []comm.Message{m} }); err != nil {
			return err
		}
	}
	copy(part, f.parts[card])
	if f.there--; f.there == 0 {
		f.moved.Broadcast()
	}
	return nil
}

// far is a way to or from another machine.
type far struct {
	*ferry
	model   *Model // the card that is here
	card    int    // its number in its stage
	buffers []int
	steps   int // that the card has given, or taken
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
	w.steps++
	return w.send(w.card, w.steps, w.bytes)
}

// take implements way: it waits for the other machine, but not for the card here.
func (w *far) take(env sym.Env) error {
	if err := w.lay(env); err != nil {
		return err
	}
	w.steps++
	if err := w.receive(w.card, w.steps, w.bytes); err != nil {
		return err
	}
	return w.each(Memory.Write)
}

// fail implements way.
func (w *far) fail(err error) {
	if err != nil {
		w.ferry.fail(lostMachine(w.group.Fail(err)))
	}
}
