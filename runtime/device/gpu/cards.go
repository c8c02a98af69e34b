package gpu

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"llmc/engine"
	"llmc/runtime/device/wire"
)

// Cards is a model that several cards share: each has parts of the weights and of the KV cache, and computes its part of every step. It implements engine.Model.
//
// Every card has a Model of its own, which runs the same steps as the others'; what they need of each other crosses between launches, without the host (see engine.Peers). Cards of a stage
// have the same layers, those of the next stage the layers behind: rows are handed on from each card to the one of its number in the next stage, see way. All cards of the last stage
// sample the same tokens from the same logits, so ids that the next step takes from the one before are on every one of them; its first one's are what is answered.
type Cards struct {
	models   []*Model  // stage by stage
	answer   int       // the one that answers
	stages   int       // of all machines
	machines *Machines // nil: there is this one
	pages    []int     // bytes of a page that each machine has, those of this one first
	tasks    []chan task
	done     chan ended   // of the task at hand, or one that was not waited for
	errs     []error      // of it, by card
	slots    [2]cardSteps // of steps that have been started, in turn
	start    int          // steps started so far
	told     []byte       // what other machines are told of a step
	turn     sync.Mutex   // of who has the cards do something
	lost     error        // after which cards are no longer at one
	closed   bool
}

// ended is what came of a task.
type ended struct {
	card int
	err  error
}

// patience is how long cards may take to end what they do once one has failed. It is more than what code waits for other cards.
var patience = 30 * time.Second

// task is what every card is to do at the same time.
type task func(card int, m *Model) error

// cardSteps is a step as cards other than the first have it: rows that ask for no logits, and answers that nobody reads.
type cardSteps struct {
	step engine.Step
	rows []engine.Row
	out  [][]engine.Sampled // by card
	ids  []int32            // what those become that stand for rows of the step before, by row
}

// work is the life of the goroutine that uses a card: what waits for other cards waits in no other card's way.
func (c *Cards) work(card int) {
	for t := range c.tasks[card] {
		err := t(card, c.models[card])
		if err != nil {
			c.models[card].stage.fail(fmt.Errorf("card %d: %w", card, err))
		}
		c.done <- ended{card, err}
	}
}

// all has every card do something, and waits for all: once one has failed, for some time, for a device may wait for what the one that failed should have given.
func (c *Cards) all(t task) {
	clear(c.errs)
	for _, tasks := range c.tasks {
		tasks <- t
	}
	var enough <-chan time.Time
	for range c.tasks {
		select {
		case e := <-c.done:
			if c.errs[e.card] = e.err; e.err != nil && enough == nil {
				enough = time.After(patience)
			}
		case <-enough:
			return
		}
	}
}

// together has every card do something in which they may need each other. Where only some fail, or one is lost, all are: the others wait for what will not come.
func (c *Cards) together(t task) error { return c.everywhere(0, nil, t) }

// everywhere is together, which other machines are told of first.
func (c *Cards) everywhere(tell uint32, data []byte, t task) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.closed {
		return errClosed
	}
	if c.lost != nil {
		return c.lost
	}
	if tell != 0 {
		if c.lost = c.machines.tell(tell, data); c.lost != nil {
			return c.lost
		}
	}
	c.all(t)
	if err := c.judge(); err != nil || !c.machines.networked() {
		return err
	}
	if err := c.machines.Group.Err(); err != nil { // what the network has brought since means nothing
		c.lost = lostMachine(err)
	}
	return c.lost
}

// judge tells what errors of the cards mean.
func (c *Cards) judge() error {
	failed, first, lost := 0, error(nil), c.machines != nil
	for card, err := range c.errs {
		if err == nil {
			continue
		}
		failed++
		lost = lost || errors.Is(err, engine.ErrDeviceLost)
		if first == nil || errors.Is(first, errWaited) {
			first = fmt.Errorf("card %d: %w", card, err)
		}
	}
	switch {
	case failed == 0:
		return nil
	case failed == len(c.models) && !lost: // they refuse it alike
		for _, m := range c.models {
			m.stage.fail(nil)
		}
		return c.errs[0]
	case errors.Is(first, engine.ErrDeviceLost):
		c.lost = first
	default:
		c.lost = fmt.Errorf("%w: %w", engine.ErrDeviceLost, first)
	}
	c.machines.Fail(c.lost)
	return c.lost
}

// Limits implements engine.Model: they are the same on all cards.
func (c *Cards) Limits() (engine.Settings, int) { return c.models[c.answer].Limits() }

// Foresees implements engine.Starter. Without a network other machines are told steps whose tokens are known.
func (c *Cards) Foresees() bool {
	return (c.machines == nil || c.machines.networked()) && c.models[c.answer].Foresees()
}

// Step implements engine.Model.
func (c *Cards) Step(step *engine.Step, out []engine.Sampled) error {
	if err := c.Start(step, out); err != nil {
		return err
	}
	return c.Wait()
}

// Start implements engine.Starter.
func (c *Cards) Start(step *engine.Step, out []engine.Sampled) error {
	s := &c.slots[c.start%len(c.slots)]
	if len(c.models[0].flights) < len(c.slots) {
		var err error
		if s.ids, err = c.models[c.answer].successors(s.ids[:0]); err != nil {
			return err
		}
		s.rows = append(s.rows[:0], step.Rows...)
		for i := range s.rows {
			s.rows[i].Logits = nil
		}
		s.step = *step
		s.step.Rows = s.rows
	}
	if c.machines != nil {
		if err := c.models[c.answer].checkStep(step, out, len(s.ids)); err != nil {
			return err
		}
		c.told = wire.AppendStep(wire.AppendInts(c.told[:0], s.ids), step)
	}
	err := c.everywhere(tellRun, c.told, func(card int, m *Model) error {
		if card == c.answer {
			return m.Start(step, out)
		}
		m.stage.cells = s.ids
		if len(s.out[card]) < len(out) {
			s.out[card] = make([]engine.Sampled, len(out))
		}
		return m.Start(&s.step, s.out[card][:len(out)])
	})
	if err == nil {
		c.start++
	}
	return err
}

// Wait implements engine.Starter.
func (c *Cards) Wait() error {
	defer c.machines.patience()()
	return c.together(func(_ int, m *Model) error { return m.Wait() })
}

// Functions implements engine.Runner.
func (c *Cards) Functions() []string { return c.models[0].Functions() }

// Results implements engine.Runner.
func (c *Cards) Results(function string) []engine.Buffer { return c.models[0].Results(function) }

// Run implements engine.Runner.
func (c *Cards) Run(function string, step *engine.Step, out [][]float32) error {
	return c.together(func(card int, m *Model) error {
		if card == c.answer {
			return m.Run(function, step, out)
		}
		return m.Run(function, step, nil)
	})
}

// KeepsState implements engine.StateKeeper.
func (c *Cards) KeepsState() bool { return c.models[0].KeepsState() }

// Memory implements engine.MemoryReporter: what the card takes that takes most.
func (c *Cards) Memory() engine.MemoryUse {
	most := c.models[0].Memory()
	for _, m := range c.models[1:] {
		if use := m.Memory(); use.Total() > most.Total() {
			most = use
		}
	}
	most.Device = fmt.Sprintf("each of %d GPUs, the first %s", len(c.models), most.Device)
	if c.stages > 1 {
		most.Device += fmt.Sprintf(", in %d stages, the fullest", c.stages)
	}
	return most
}

// PadSteps is Model.PadSteps of all cards.
func (c *Cards) PadSteps() {
	for _, m := range c.models {
		m.PadSteps()
	}
}

// Close gives everything back.
func (c *Cards) Close() error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.machines.leads() {
		c.machines.Group.Close()
	}
	ended := make(chan struct{})
	go func() {
		c.all(func(_ int, m *Model) error { return m.Close() })
		for _, tasks := range c.tasks {
			close(tasks)
		}
		close(ended)
	}()
	if c.lost == nil {
		<-ended
		return errors.Join(c.errs...)
	}
	select { // a card that waits for one that is lost may not end
	case <-ended:
		return errors.Join(c.errs...)
	case <-time.After(closePatience):
		return nil
	}
}

// closePatience is how long cards may take to give back what they have once one is lost. The driver takes the rest when the process ends.
const closePatience = 5 * time.Second

var (
	_ engine.Starter        = (*Cards)(nil)
	_ engine.Runner         = (*Cards)(nil)
	_ engine.PageCopier     = (*Cards)(nil)
	_ engine.PageMover      = (*Cards)(nil)
	_ engine.StateKeeper    = (*Cards)(nil)
	_ engine.MemoryReporter = (*Cards)(nil)
)
