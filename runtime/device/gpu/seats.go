package gpu

import (
	"encoding/binary"
	"fmt"

	"llmc/engine"
)

// seats are the rows of the input "seen". A history that penalties look at keeps its seat from step to step, so that a step brings only the tokens that are
// new. Programs of earlier releases have none.
type seats struct {
	counter *auxiliary
	memory  Memory
	list    Memory // of changes
	vocab   int
	of      map[*engine.TokenHistory]*seat
	free    []uint32
	step    uint64
	changes []byte // of the step
}

// seat is what the device has counted of a history.
type seat struct {
	number  uint32
	outputs int    // tokens, those included that were not known when they were counted
	used    uint64 // step
}

// take allocates a row for each row that a step samples, and the list of changes.
func (s *seats) take(d allocator, rows, vocab int) (err error) {
	s.vocab, s.of = vocab, map[*engine.TokenHistory]*seat{}
	for i := range rows {
		s.free = append(s.free, uint32(rows-1-i))
	}
	if s.memory, err = d.Alloc("seen", int64(rows)*s.rowBytes()); err != nil {
		return err
	}
	s.list, err = d.Alloc("tokens to count", mostChanges*engine.SeenChangeBytes)
	return err
}

func (s *seats) rowBytes() int64 { return 4 * int64(s.vocab) }

// begin starts a step.
func (s *seats) begin() { s.step, s.changes = s.step+1, s.changes[:0] }

// sit gives a row's history a seat, and notes what is new in it: of the tokens that are known, and of one that is not, the cell of which may be given as an
// id below 0. A token to come that is known already is an id.
func (s *seats) sit(d Driver, h *engine.TokenHistory, next *int32) (uint32, error) {
	t := s.of[h]
	known := len(h.Outputs())
	if t == nil || t.outputs > known+1 {
		var err error
		if t, err = s.seat(d, h, t); err != nil {
			return 0, err
		}
	}
	t.used = s.step
	for ; t.outputs < known; t.outputs++ {
		if err := s.change(t.number<<1, h.Outputs()[t.outputs]); err != nil {
			return 0, err
		}
	}
	if next != nil && t.outputs == known {
		t.outputs++
		s.put(t.number<<1, *next)
	}
	return t.number, nil
}

// seat empties a seat for a history: its own, a free one, or the one that has been used least recently.
func (s *seats) seat(d Driver, h *engine.TokenHistory, t *seat) (*seat, error) {
	if t == nil {
		t = &seat{}
		if n := len(s.free); n > 0 {
			t.number, s.free = s.free[n-1], s.free[:n-1]
		} else {
			t.number = s.evict()
		}
		s.of[h] = t
	}
	t.outputs = 0
	if err := d.Clear(s.memory, int64(t.number)*s.rowBytes(), s.rowBytes()); err != nil {
		return nil, err
	}
	var err error
	h.Each(func(token, _ int32, prompt bool) {
		if prompt && err == nil {
			err = s.change(t.number<<1|1, token)
		}
	})
	return t, err
}

// evict takes the seat of a history that this step does not have: there are as many seats as rows.
func (s *seats) evict() uint32 {
	var oldest *engine.TokenHistory
	for h, t := range s.of {
		if oldest == nil || t.used < s.of[oldest].used {
			oldest = h
		}
	}
	number := s.of[oldest].number
	delete(s.of, oldest)
	return number
}

func (s *seats) change(row uint32, token int32) error {
	if token < 0 || int(token) >= s.vocab {
		return fmt.Errorf("token %d is outside the vocabulary of %d", token, s.vocab)
	}
	s.put(row, token)
	return nil
}

func (s *seats) put(row uint32, token int32) {
	s.changes = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(s.changes, row), uint32(token))
}

// mostChanges is how many changes are counted at a time: the list has that much room on the device.
const mostChanges = 1 << 13

// newCounter binds the entry that counts changes; nil where the program needs none. See engine.CountTokens.
func (m *Model) newCounter(code Code) (*auxiliary, error) {
	seen := m.arrays.memory["seen"]
	if seen == nil {
		return nil, nil
	}
	a := m.program.FindAuxiliary(engine.CountTokens)
	if a == nil {
		return nil, fmt.Errorf("the program reads counts of tokens and has no entry %s that counts them; build the plan again", engine.CountTokens)
	}
	return newAuxiliary(code, a, seen.Addr(), m.found(), m.sampling.seats.list.Addr(), 0, uint64(m.info.Vocab))
}

// count queues what the step changes.
func (s *seats) count(d Driver) error {
	for changes := s.changes; len(changes) > 0; {
		n := min(len(changes), mostChanges*engine.SeenChangeBytes)
		if err := s.list.Write(0, changes[:n]); err != nil {
			return err
		}
		entries := n / engine.SeenChangeBytes
		s.counter.call.Args[3] = uint64(entries)
		if err := s.counter.queue(d, int64(entries)); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}
