package gpu

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"llmc/engine"
	"llmc/runtime/comm"
)

// TestFerries wants each card's bytes of each step at the card of its number, whichever card of a side is steps ahead of the others.
func TestFerries(t *testing.T) {
	const cards, steps = 3, 200
	groups := comm.Local(2, time.Minute)
	gives, takes := newFerry(groups[0], 1, cards), newFerry(groups[1], 0, cards)
	results := make(chan error, 2*cards)
	bytesOf := func(card, step int) string { return fmt.Sprintf("card %d, step %3d", card, step) }
	for card := range cards {
		go func() {
			for step := 1; step <= steps; step++ {
				if err := gives.send(card, step, []byte(bytesOf(card, step))); err != nil {
					results <- err
					return
				}
			}
			results <- nil
		}()
		go func() {
			part := make([]byte, len(bytesOf(card, 1)))
			for step := 1; step <= steps; step++ {
				if err := takes.receive(card, step, part); err != nil || string(part) != bytesOf(card, step) {
					results <- fmt.Errorf("%s came as %s: %w", bytesOf(card, step), part, err)
					return
				}
			}
			results <- nil
		}()
	}
	for range 2 * cards {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// TestFerriesThatFail wants nobody to wait for a card, or a machine, that has failed.
func TestFerriesThatFail(t *testing.T) {
	groups := comm.Local(2, time.Minute)
	way := &far{ferry: newFerry(groups[0], 1, 2)}
	if err := way.send(0, 1, nil); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() { waited <- way.send(0, 2, nil) }() // card 1 is not as far
	failed := errors.New("failed")
	way.fail(failed)
	if err := <-waited; !errors.Is(err, engine.ErrDeviceLost) || !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if err := newFerry(groups[1], 0, 1).receive(0, 1, make([]byte, 4)); !errors.Is(err, engine.ErrDeviceLost) || !errors.Is(err, failed) {
		t.Errorf("the other machine got %v", err)
	}
}
