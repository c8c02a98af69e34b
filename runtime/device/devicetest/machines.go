package devicetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"llmc/engine"
	"llmc/runtime/comm"
)

// Machines loads plans on cards of several machines, all of them in this process. Whoever asks for no cards gets the model on One device.
type Machines struct {
	T                     *testing.T
	One                   engine.Device
	On                    func(g *comm.Group) Machine // the device of a machine
	Cards, Stages, Number int
	Timeout               time.Duration

	First  *comm.Group // of the model that was loaded last
	others sync.WaitGroup
	mu     sync.Mutex
	ended  []error // of the other machines, of all models
}

// Machine is a device that is one of several machines.
type Machine interface {
	engine.Device
	Follow(ctx context.Context, plan *engine.Plan) error
}

// Name implements engine.Device.
func (*Machines) Name() string { return "machines" }

// Load implements engine.Device.
func (d *Machines) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	if settings.Cards == 0 {
		return d.One.Load(plan, settings)
	}
	groups := comm.Local(d.Number, d.Timeout)
	d.First = groups[0]
	for _, g := range groups[1:] {
		d.others.Go(func() {
			defer g.Close()
			err := d.On(g).Follow(d.T.Context(), plan)
			d.mu.Lock()
			defer d.mu.Unlock()
			d.ended = append(d.ended, err)
		})
	}
	settings.Cards, settings.Stages = d.Cards, d.Stages
	return d.On(groups[0]).Load(plan, settings)
}

// Join waits for the other machines of all models.
func (d *Machines) Join() error {
	d.others.Wait()
	return errors.Join(d.ended...)
}

// Always loads on several machines, whoever asks.
type Always struct{ *Machines }

// Load implements engine.Device.
func (d Always) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	settings.Cards = d.Cards
	return d.Machines.Load(plan, settings)
}
