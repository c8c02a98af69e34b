package gpu

import (
	"errors"
	"fmt"
	"sync"

	"llmc/engine"
)

// Cards is a model that several cards share: each has parts of the weights and of the KV cache, and computes its part of every step. It implements engine.Model.
//
// Every card has a Model of its own, which runs the same steps as the others'; what they need of each other crosses between launches, without the host (see engine.Peers). All
// sample the same tokens from the same logits, so ids that the next step takes from the one before are on every card; the first one's are what is answered.
type Cards struct {
	models []*Model
	tasks  []chan task
	done   sync.WaitGroup // of the task at hand
	errs   []error        // of it, by card
	slots  [2]cardSteps   // of steps that have been started, in turn
	start  int            // steps started so far
	turn   sync.Mutex     // of who has the cards do something
	lost   error          // after which cards are no longer at one
	closed bool
}

// task is what every card is to do at the same time.
type task func(card int, m *Model) error

// cardSteps is a step as cards other than the first have it: rows that ask for no logits, and answers that nobody reads.
type cardSteps struct {
	step engine.Step
	rows []engine.Row
	out  [][]engine.Sampled // by card
}

// LoadCards loads a plan's programs for as many cards as there are drivers, which the model owns.
func LoadCards(plan *engine.Plan, drivers []Driver, settings engine.Settings) (*Cards, error) {
	if settings.MaxAdapters > 0 {
		return nil, errors.Join(errors.New("adapters beside a model that several GPUs share are not there yet: merge one with llmc build --lora, or serve without --tp"), closeAll(drivers))
	}
	settings.Cards = len(drivers)
	if _, err := Choose(plan, drivers[0].Card(), settings); err != nil {
		return nil, errors.Join(err, closeAll(drivers))
	}
	c, meeting := &Cards{errs: make([]error, len(drivers))}, newMeeting(len(drivers))
	for i := range drivers {
		c.models = append(c.models, &Model{driver: drivers[i], info: plan.Info(), plan: plan, peers: peers{card: i, meeting: meeting}})
		c.tasks = append(c.tasks, make(chan task))
		for s := range c.slots {
			c.slots[s].out = append(c.slots[s].out, nil)
		}
	}
	for i := range drivers {
		go c.work(i)
	}
	c.all(func(card int, m *Model) error {
		err := m.load(plan, settings)
		if err != nil {
			meeting.fail(fmt.Errorf("card %d: %w", card, err))
		}
		return err
	})
	if err := meeting.err; err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func closeAll(drivers []Driver) error {
	var errs []error
	for _, d := range drivers {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// work is the life of the goroutine that uses a card: what waits for other cards waits in no other card's way.
func (c *Cards) work(card int) {
	for t := range c.tasks[card] {
		c.errs[card] = t(card, c.models[card])
		c.done.Done()
	}
}

// all has every card do something, and waits for all.
func (c *Cards) all(t task) {
	c.done.Add(len(c.tasks))
	for _, tasks := range c.tasks {
		tasks <- t
	}
	c.done.Wait()
}

// together has every card do something in which they may need each other. Where only some fail, or one is lost, all are: the others wait for what will not come.
func (c *Cards) together(t task) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.closed {
		return errClosed
	}
	if c.lost != nil {
		return c.lost
	}
	c.all(t)
	failed, first, lost := 0, error(nil), false
	for card, err := range c.errs {
		if err == nil {
			continue
		}
		failed++
		lost = lost || errors.Is(err, engine.ErrDeviceLost)
		if first == nil {
			first = fmt.Errorf("card %d: %w", card, err)
		}
	}
	switch {
	case failed == 0:
		return nil
	case failed == len(c.models) && !lost:
		return c.errs[0] // they refuse it alike
	case lost:
		c.lost = first
	default:
		c.lost = fmt.Errorf("%w: %w", engine.ErrDeviceLost, first)
	}
	return c.lost
}

// Limits implements engine.Model: they are the same on all cards.
func (c *Cards) Limits() (engine.Settings, int) { return c.models[0].Limits() }

// Foresees implements engine.Starter.
func (c *Cards) Foresees() bool { return c.models[0].Foresees() }

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
		s.rows = append(s.rows[:0], step.Rows...)
		for i := range s.rows {
			s.rows[i].Logits = nil
		}
		s.step = *step
		s.step.Rows = s.rows
	}
	err := c.together(func(card int, m *Model) error {
		if card == 0 {
			return m.Start(step, out)
		}
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
	return c.together(func(_ int, m *Model) error { return m.Wait() })
}

// Functions implements engine.Runner.
func (c *Cards) Functions() []string { return c.models[0].Functions() }

// Results implements engine.Runner.
func (c *Cards) Results(function string) []engine.Buffer { return c.models[0].Results(function) }

// Run implements engine.Runner.
func (c *Cards) Run(function string, step *engine.Step, out [][]float32) error {
	return c.together(func(card int, m *Model) error {
		if card == 0 {
			return m.Run(function, step, out)
		}
		return m.Run(function, step, nil)
	})
}

// CopyPage implements engine.Model.
func (c *Cards) CopyPage(dst, src int32) error {
	return c.together(func(_ int, m *Model) error { return m.CopyPage(dst, src) })
}

// CopyPages implements engine.PageCopier.
func (c *Cards) CopyPages(list []engine.PageCopy) error {
	return c.together(func(_ int, m *Model) error { return m.CopyPages(list) })
}

// PageFormat implements engine.PageMover: a page is the parts of all cards, in their order.
func (c *Cards) PageFormat() string {
	return fmt.Sprintf("%s, of %d cards", c.models[0].PageFormat(), len(c.models))
}

// PageBytes implements engine.PageMover.
func (c *Cards) PageBytes() int { return len(c.models) * c.models[0].PageBytes() }

// ReadPage implements engine.PageMover.
func (c *Cards) ReadPage(page int32, to []byte) error { return c.movePage(page, to, (*Model).ReadPage) }

// WritePage implements engine.PageMover.
func (c *Cards) WritePage(page int32, from []byte) error {
	return c.movePage(page, from, (*Model).WritePage)
}

func (c *Cards) movePage(page int32, moved []byte, move func(m *Model, page int32, part []byte) error) error {
	if len(moved) != c.PageBytes() {
		return fmt.Errorf("page %d in %d bytes: pages have %d", page, len(moved), c.PageBytes())
	}
	n := c.models[0].PageBytes()
	return c.together(func(card int, m *Model) error { return move(m, page, moved[card*n:(card+1)*n]) })
}

// KeepsState implements engine.StateKeeper.
func (c *Cards) KeepsState() bool { return c.models[0].KeepsState() }

// Memory implements engine.MemoryReporter: what one card takes, which is the same on all.
func (c *Cards) Memory() engine.MemoryUse {
	use := c.models[0].Memory()
	use.Device = fmt.Sprintf("each of %d GPUs, the first %s", len(c.models), use.Device)
	return use
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
	c.all(func(_ int, m *Model) error { return m.Close() })
	for _, tasks := range c.tasks {
		close(tasks)
	}
	return errors.Join(c.errs...)
}

var (
	_ engine.Starter        = (*Cards)(nil)
	_ engine.Runner         = (*Cards)(nil)
	_ engine.PageCopier     = (*Cards)(nil)
	_ engine.PageMover      = (*Cards)(nil)
	_ engine.StateKeeper    = (*Cards)(nil)
	_ engine.MemoryReporter = (*Cards)(nil)
)
