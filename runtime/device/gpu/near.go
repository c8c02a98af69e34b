package gpu

import (
	"errors"
	"fmt"
	"sync"

	"llmc/engine"
	"llmc/internal/sym"
)

// Signals of drivers, by what they say.
const (
	rowsGiven = iota
	rowsTaken
	tokensGiven
	tokensTaken
)

// near is a way between two cards of a process: the one that takes copies from the other's memory when that has given a signal. Only the queueing of signals is waited for here: what is queued
// is ordered by the cards.
type near struct {
	from, to     *Model
	buffers      []int
	gave, took   int // signals
	given, taken count
	gives, takes int // as each side counts them
	list         []Moved
}

func newNear(from, to *Model, buffers []int, gave, took int) *near {
	n := &near{from: from, to: to, buffers: buffers, gave: gave, took: took}
	n.given.init()
	n.taken.init()
	return n
}

// clear implements way.
func (n *near) clear() error {
	if n.gives == 0 {
		return nil
	}
	if err := n.taken.wait(n.gives); err != nil {
		return err
	}
	return n.from.driver.(Linked).WaitFor(n.to.driver, n.took)
}

// give implements way.
func (n *near) give(sym.Env) error {
	if err := n.from.driver.(Linked).Signal(n.gave); err != nil {
		return err
	}
	n.gives++
	n.given.add()
	return nil
}

// take implements way.
func (n *near) take(env sym.Env) (err error) {
	n.takes++
	if err := n.given.wait(n.takes); err != nil {
		return err
	}
	to := n.to.driver.(Linked)
	if err := to.WaitFor(n.from.driver, n.gave); err != nil {
		return err
	}
	if n.list, err = moved(n.to.function, n.from.function, n.buffers, env, n.list[:0]); err != nil {
		return err
	}
	if err := to.CopyFrom(n.from.driver, n.list); err != nil {
		return err
	}
	if err := to.Signal(n.took); err != nil {
		return err
	}
	n.taken.add()
	return nil
}

// fail implements way.
func (n *near) fail(err error) {
	n.given.fail(err)
	n.taken.fail(err)
}

// count is how often something has happened, for others to wait for.
type count struct {
	mu    sync.Mutex
	moved *sync.Cond
	n     int
	err   error
}

func (c *count) init() { c.moved = sync.NewCond(&c.mu) }

func (c *count) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	c.moved.Broadcast()
}

// wait waits until it has happened so often.
func (c *count) wait(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n < n && c.err == nil {
		c.moved.Wait()
	}
	if c.n < n {
		return fmt.Errorf("%w: %w: %w", engine.ErrDeviceLost, errWaited, c.err)
	}
	return nil
}

// errWaited is wrapped by what cards say that have waited for one that failed.
var errWaited = errors.New("another card has failed")

// fail ends all waiting, now and later; without a reason there is waiting again.
func (c *count) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil || err == nil {
		c.err = err
	}
	c.moved.Broadcast()
}
