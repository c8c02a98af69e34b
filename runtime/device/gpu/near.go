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
)

// near is a way between two cards of a process: the one that takes copies from the other's memory when that has given a signal. Only the queueing of signals is waited for here: what is queued
// is ordered by the cards.
type near struct {
	copies
	given, taken count
	gives, takes int // steps, as each side counts them
}

func newNear(from, to *Model, buffers []int) *near {
	n := &near{copies: copies{from: from, to: to, buffers: buffers}}
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
	return n.from.driver.(Linked).WaitFor(n.to.driver, rowsTaken)
}

// give implements way.
func (n *near) give(sym.Env) error {
	if err := n.from.driver.(Linked).Signal(rowsGiven); err != nil {
		return err
	}
	n.gives++
	n.given.add()
	return nil
}

// take implements way.
func (n *near) take(env sym.Env) error {
	n.takes++
	if err := n.given.wait(n.takes); err != nil {
		return err
	}
	if err := n.copy(rowsGiven, env); err != nil {
		return err
	}
	if err := n.to.driver.(Linked).Signal(rowsTaken); err != nil {
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

// sampled is the way back of tokens. Nobody counts: a step takes those of the step before, which has been queued on all cards, and the card that gives them next has rows of this step first,
// which come behind.
type sampled struct{ copies }

// clear implements way.
func (*sampled) clear() error { return nil }

// give implements way.
func (s *sampled) give(sym.Env) error { return s.from.driver.(Linked).Signal(tokensGiven) }

// take implements way.
func (s *sampled) take(env sym.Env) error { return s.copy(tokensGiven, env) }

// fail implements way.
func (*sampled) fail(error) {}

// copies are bytes of buffers that lie in two cards' slots alike.
type copies struct {
	from, to *Model
	buffers  []int
	list     []Moved
}

// copy queues them behind a signal.
func (c *copies) copy(signal int, env sym.Env) (err error) {
	to := c.to.driver.(Linked)
	if err := to.WaitFor(c.from.driver, signal); err != nil {
		return err
	}
	if c.list, err = moved(c.to.function, c.from.function, c.buffers, env, c.list[:0]); err != nil {
		return err
	}
	return to.CopyFrom(c.from.driver, c.list)
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
