package gpu

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"llmc/engine"
	"llmc/engine/partition"
)

// Cards is a model that several cards share: each has parts of the weights and of the KV cache, and computes its part of every step. It implements engine.Model.
//
// Every card has a Model of its own, which runs the same steps as the others'; what they need of each other crosses between launches, without the host (see engine.Peers). Cards of a stage
// have the same layers, those of the next stage the layers behind: rows are handed on from each card to the one of its number in the next stage, see way. All cards of the last stage
// sample the same tokens from the same logits, so ids that the next step takes from the one before are on every one of them; its first one's are what is answered.
type Cards struct {
	models []*Model // stage by stage
	answer int      // the one that answers
	stages int
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
	ids  []int32            // what those become that stand for rows of the step before, by row
}

// LoadCards loads a plan's programs for as many cards as there are drivers, which the model owns.
func LoadCards(plan *engine.Plan, drivers []Driver, settings engine.Settings) (*Cards, error) {
	if settings.MaxAdapters > 0 {
		return nil, errors.Join(errors.New("adapters beside a model that several GPUs share are not there yet: merge one with llmc build --lora, or serve without --tp"), closeAll(drivers))
	}
	settings.Stages = max(settings.Stages, 1)
	settings.Cards = len(drivers) / settings.Stages
	programs, stages, err := chooseStages(plan, drivers, settings)
	if err != nil {
		return nil, errors.Join(err, closeAll(drivers))
	}
	settings.Target = programs[0].Target
	c, meeting := &Cards{errs: make([]error, len(drivers)), answer: len(drivers) - settings.Cards, stages: settings.Stages}, newMeeting(len(drivers))
	for i := range drivers {
		at := stage{number: i / settings.Cards}
		c.models = append(c.models, &Model{driver: drivers[i], info: plan.Info(), plan: plan, peers: peers{card: i, rank: i % settings.Cards, meeting: meeting}, stage: at})
		c.tasks = append(c.tasks, make(chan task))
		for s := range c.slots {
			c.slots[s].out = append(c.slots[s].out, nil)
		}
	}
	if err := c.link(stages, settings.Cards); err != nil {
		return nil, errors.Join(err, closeAll(drivers))
	}
	for i := range drivers {
		go c.work(i)
	}
	c.all(func(card int, m *Model) error {
		err := m.load(plan, settings)
		if err != nil {
			err = fmt.Errorf("card %d: %w", card, err)
			meeting.fail(err)
			m.stage.fail(err)
		}
		return err
	})
	if err := meeting.err; err != nil {
		closed := c.Close()
		if errors.Is(err, engine.ErrDeviceLost) {
			closed = nil // which says it again
		}
		return nil, errors.Join(err, closed)
	}
	return c, nil
}

// chooseStages chooses the programs that the first card runs, and takes them apart where there are several stages.
func chooseStages(plan *engine.Plan, drivers []Driver, settings engine.Settings) ([]*engine.Program, []*partition.Stage, error) {
	programs, _, err := choose(plan, drivers[0].Card(), settings, 0)
	if err != nil || settings.Stages == 1 {
		return programs, nil, err
	}
	whole, err := plan.CardsPrograms(programs[0].Target, settings.Cards)
	if err != nil {
		return nil, nil, err
	}
	stages, err := Stages(plan, whole, settings.Stages)
	return programs, stages, err
}

// link makes the ways between cards of one number in stages that follow each other.
func (c *Cards) link(stages []*partition.Stage, cards int) error {
	for i, m := range c.models {
		if stages == nil {
			break
		}
		if _, ok := m.driver.(Linked); !ok {
			return fmt.Errorf("%s hands nothing on to other cards: take --tp without --pp", m.driver.Card().Name)
		}
		if i+cards < len(c.models) {
			next := c.models[i+cards]
			way := newNear(m, next, stages[i/cards].Gives)
			m.stage.after, next.stage.before = way, way
			continue
		}
		first := c.models[i%cards]
		way := &sampled{copies{from: m, to: first, buffers: []int{stages[0].Found}}}
		m.stage.tokens, first.stage.tokens = way, way
	}
	return nil
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
		if c.errs[card] = t(card, c.models[card]); c.errs[card] != nil {
			c.models[card].stage.fail(fmt.Errorf("card %d: %w", card, c.errs[card]))
		}
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
	case lost:
		c.lost = first
	default:
		c.lost = fmt.Errorf("%w: %w", engine.ErrDeviceLost, first)
	}
	return c.lost
}

// Limits implements engine.Model: they are the same on all cards.
func (c *Cards) Limits() (engine.Settings, int) { return c.models[c.answer].Limits() }

// Foresees implements engine.Starter.
func (c *Cards) Foresees() bool { return c.models[c.answer].Foresees() }

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
	err := c.together(func(card int, m *Model) error {
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
	format := fmt.Sprintf("%s, of %d cards", c.models[0].PageFormat(), len(c.models))
	if c.stages > 1 {
		format += fmt.Sprintf(" in %d stages", c.stages)
	}
	return format
}

// PageBytes implements engine.PageMover.
func (c *Cards) PageBytes() int { return c.pageBytes(len(c.models)) }

// pageBytes is what the first cards have of a page.
func (c *Cards) pageBytes(cards int) (n int) {
	for _, m := range c.models[:cards] {
		n += m.PageBytes()
	}
	return n
}

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
	return c.together(func(card int, m *Model) error { return move(m, page, moved[c.pageBytes(card):c.pageBytes(card+1)]) })
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
const closePatience = 10 * time.Second

var (
	_ engine.Starter        = (*Cards)(nil)
	_ engine.Runner         = (*Cards)(nil)
	_ engine.PageCopier     = (*Cards)(nil)
	_ engine.PageMover      = (*Cards)(nil)
	_ engine.StateKeeper    = (*Cards)(nil)
	_ engine.MemoryReporter = (*Cards)(nil)
)
