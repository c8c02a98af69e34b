package gpu

import "sync"

// meeting is where cards that are loaded side by side tell each other numbers. Each waits until all have come, or one has failed.
type meeting struct {
	mu    sync.Mutex
	moved *sync.Cond
	told  [][]uint64 // by card, of the round under way
	count int
	round int
	last  [][]uint64 // of the round before
	err   error
}

func newMeeting(cards int) *meeting {
	m := &meeting{told: make([][]uint64, cards)}
	m.moved = sync.NewCond(&m.mu)
	return m
}

// exchange gives what each card tells in this round.
func (m *meeting) exchange(card int, own []uint64) ([][]uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	round := m.round
	m.told[card] = own
	if m.count++; m.count == len(m.told) {
		m.last, m.told, m.count = m.told, make([][]uint64, len(m.told)), 0
		m.round++
		m.moved.Broadcast()
	}
	for m.round == round && m.err == nil {
		m.moved.Wait()
	}
	if m.round == round {
		return nil, m.err
	}
	return m.last, nil // the next round does not end before this card has come to it
}

// fail ends all waiting, now and later.
func (m *meeting) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
	m.moved.Broadcast()
}
