package gpu

import (
	"errors"
	"fmt"

	"llmc/engine"
	"llmc/engine/partition"
)

// LoadCards loads a plan's programs for as many cards as there are drivers, which the model owns: all that share it, or those of a machine where there are several.
func LoadCards(plan *engine.Plan, drivers []Driver, settings engine.Settings, machines *Machines) (*Cards, error) {
	c, err := loadCards(plan, drivers, settings, machines)
	if err != nil {
		machines.Fail(err)
	}
	return c, err
}

func loadCards(plan *engine.Plan, drivers []Driver, settings engine.Settings, machines *Machines) (*Cards, error) {
	if settings.MaxAdapters > 0 {
		return nil, errors.Join(errors.New("adapters beside a model that several GPUs share are not there yet: merge one with llmc build --lora, or serve without --tp"), closeAll(drivers))
	}
	settings.Stages = max(settings.Stages, 1)
	here := settings.Stages / machines.size()
	settings.Cards = len(drivers) / here
	programs, stages, err := chooseStages(plan, drivers, settings, machines.first(here))
	if err != nil {
		return nil, errors.Join(err, closeAll(drivers))
	}
	settings.Target = programs[0].Target
	if err := machines.agree(settings, drivers); err != nil {
		return nil, errors.Join(err, closeAll(drivers))
	}
	c, meeting := &Cards{errs: make([]error, len(drivers)), done: make(chan ended, len(drivers)), answer: len(drivers) - settings.Cards, stages: settings.Stages, machines: machines}, newMeeting(len(drivers))
	for i := range drivers {
		at := stage{number: machines.first(here) + i/settings.Cards}
		c.models = append(c.models, &Model{driver: drivers[i], info: plan.Info(), plan: plan, peers: peers{card: i, rank: i % settings.Cards, meeting: meeting, machines: machines}, stage: at})
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
	machines.watch(drivers)
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
		if errors.Is(err, engine.ErrDeviceLost) {
			c.lost = err
			_ = c.Close() // which says it again
			return nil, err
		}
		return nil, errors.Join(err, c.Close())
	}
	c.pages = []int{c.pageBytes(len(c.models))}
	if machines.leads() {
		if c.pages, err = machines.ready(c.pages[0]); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// chooseStages chooses the programs that the first card runs, and takes them apart where there are several stages.
func chooseStages(plan *engine.Plan, drivers []Driver, settings engine.Settings, first int) ([]*engine.Program, []*partition.Stage, error) {
	programs, _, err := choose(plan, drivers[0].Card(), settings, first)
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
	if stages == nil {
		return nil
	}
	for i, m := range c.models {
		if _, ok := m.driver.(Linked); !ok && len(c.models) > cards {
			return fmt.Errorf("%s hands nothing on to other cards: take --tp without --pp", m.driver.Card().Name)
		}
		if i+cards < len(c.models) {
			next := c.models[i+cards]
			way := newNear(m, next, stages[m.stage.number].Gives, rowsGiven, rowsTaken)
			m.stage.after, next.stage.before = way, way
		}
	}
	if c.machines != nil {
		c.linkMachines(stages, cards)
		return nil
	}
	for i, m := range c.models[c.answer:] {
		first := c.models[i]
		way := newNear(m, first, []int{stages[0].Found}, tokensGiven, tokensTaken)
		m.stage.tokens, first.stage.tokens = way, way
	}
	return nil
}

// linkMachines makes the ways from the machine with the stages before, and to the one with those behind: in networks where there are such, else through the hosts' memory. Then tokens come back to the
// first stage with the next step.
func (c *Cards) linkMachines(stages []*partition.Stage, cards int) {
	m := c.machines
	before, after := newFerry(m.Group, m.neighbour(-1), cards), newFerry(m.Group, m.neighbour(1), cards)
	for card := range cards {
		first, last := c.models[card], c.models[c.answer+card]
		takes, gives := stages[first.stage.number].Takes, stages[last.stage.number].Gives
		w := newWires(m, card, first, last)
		if takes != nil {
			first.stage.before = &far{ferry: before, model: first, card: card, buffers: takes}
			if w != nil {
				first.stage.before = w.from(first, w.block-1, takes)
			}
		}
		if gives != nil {
			last.stage.after = &far{ferry: after, model: last, card: card, buffers: gives}
			if w != nil {
				last.stage.after = w.to(last, w.block+1, gives)
			}
		}
		if w == nil {
			continue
		}
		found := []int{stages[0].Found}
		if m.leads() {
			last.stage.tokens = w.to(last, 0, found)
		} else if w.block == 0 {
			first.stage.tokens = w.from(first, m.size()-1, found)
		}
	}
}

func closeAll(drivers []Driver) error {
	var errs []error
	for _, d := range drivers {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
