package gpu

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"llmc/engine"
)

// newIdleCards are cards without models, to see what becomes of what they answer.
func newIdleCards(t *testing.T, n int) *Cards {
	t.Helper()
	c := &Cards{errs: make([]error, n), done: make(chan ended, n)}
	for range n {
		c.models, c.tasks = append(c.models, &Model{driver: &hostOnly{}}), append(c.tasks, make(chan task))
	}
	for i := range n {
		go c.work(i)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// hostOnly is a driver that can be closed.
type hostOnly struct{ Driver }

// Close implements Driver.
func (*hostOnly) Close() error { return nil }

// Cards that refuse something alike go on; cards of which only some fail are no longer at one, and the model is lost.
func TestCardsThatDisagree(t *testing.T) {
	refused := errors.New("no such page")
	c := newIdleCards(t, 3)
	if err := c.together(func(int, *Model) error { return refused }); err != refused {
		t.Errorf("what all refuse: %v", err)
	}
	if err := c.together(func(int, *Model) error { return nil }); err != nil {
		t.Errorf("behind that: %v", err)
	}
	err := c.together(func(card int, _ *Model) error {
		if card == 1 {
			return refused
		}
		return nil
	})
	if !errors.Is(err, engine.ErrDeviceLost) || !errors.Is(err, refused) || !strings.Contains(err.Error(), "card 1") {
		t.Errorf("what one refuses: %v", err)
	}
	if later := c.together(func(int, *Model) error { return nil }); later != err {
		t.Errorf("behind that: %v", later)
	}
}

// TestCardsThatHang wants a card that waits on its device for one that has failed to be given up, with the reason of the one that failed, and nobody to wait for it when all is closed.
func TestCardsThatHang(t *testing.T) {
	defer func(was time.Duration) { patience = was }(patience)
	patience = 20 * time.Millisecond
	c, failed, never := newIdleCards(t, 3), errors.New("failed"), make(chan struct{})
	err := c.together(func(card int, _ *Model) error {
		if card == 1 {
			return failed
		}
		<-never
		return nil
	})
	if !errors.Is(err, engine.ErrDeviceLost) || !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	close(never)
	c.Close()
}

// TestStagesThatWait wants whoever waits for a card's queueing to be told why that does not come, and to wait again where cards refuse something alike.
func TestStagesThatWait(t *testing.T) {
	var n count
	n.init()
	failed := errors.New("failed")
	n.fail(failed)
	if err := n.wait(1); !errors.Is(err, failed) || !errors.Is(err, errWaited) || !errors.Is(err, engine.ErrDeviceLost) {
		t.Errorf("got %v", err)
	}
	n.fail(nil)
	waited := make(chan error)
	go func() { waited <- n.wait(1) }()
	n.add()
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

// TestMeeting wants each card to learn what all tell, round after round, and none to wait for one that has failed.
func TestMeeting(t *testing.T) {
	const cards, rounds = 3, 50
	m, failed := newMeeting(cards), errors.New("failed")
	results := make(chan error, cards)
	for card := range cards {
		go func() {
			for round := range rounds {
				all, err := m.exchange(card, []uint64{uint64(card), uint64(round)})
				if err != nil {
					results <- err
					return
				}
				for other, told := range all {
					if !slices.Equal(told, []uint64{uint64(other), uint64(round)}) {
						results <- errors.New("another card's round")
						return
					}
				}
			}
			if card == 0 {
				m.fail(failed)
				results <- nil
				return
			}
			if _, err := m.exchange(card, nil); err != failed {
				results <- errors.New("it met a card that has failed")
				return
			}
			results <- nil
		}()
	}
	for range cards {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}
