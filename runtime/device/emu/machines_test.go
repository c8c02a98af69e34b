package emu_test

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/comm"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// machines loads plans on cards of several machines, all of them in this process.
type machines struct {
	t             *testing.T
	emu           emu.Device
	cards, stages int
	machines      int
	timeout       time.Duration
	others        *sync.WaitGroup
	ended         []error // of the other machines
	first         *comm.Group
}

// Name implements engine.Device.
func (*machines) Name() string { return "machines" }

// Load implements engine.Device: whoever asks for no cards gets the model on one.
func (d *machines) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	if settings.Cards == 0 {
		return d.emu.Load(plan, settings)
	}
	groups := comm.Local(d.machines, d.timeout)
	d.first = groups[0]
	d.others, d.ended = &sync.WaitGroup{}, make([]error, d.machines)
	for i, g := range groups[1:] {
		d.others.Go(func() {
			defer g.Close()
			device := d.emu
			device.Machines = &gpu.Machines{Group: g}
			d.ended[i+1] = device.Follow(d.t.Context(), plan)
		})
	}
	settings.Cards, settings.Stages = d.cards, d.stages
	first := d.emu
	first.Machines = &gpu.Machines{Group: groups[0]}
	return first.Load(plan, settings)
}

// join waits for the other machines.
func (d *machines) join() error {
	d.others.Wait()
	return errors.Join(d.ended...)
}

// always loads on cards, whoever asks.
type always struct{ *machines }

// Load implements engine.Device.
func (d always) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	settings.Cards = d.cards
	return d.machines.Load(plan, settings)
}

// TestMachinesShareModels wants the bits of one card from pipelines on several machines.
func TestMachinesShareModels(t *testing.T) {
	for _, c := range []struct {
		name                    string
		cards, stages, machines int
		long                    bool
	}{{"two", 1, 2, 2, false}, {"two of two each", 2, 4, 2, true}, {"three", 1, 3, 3, true}} {
		if c.long && os.Getenv("LLMC_LONG") == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			plan := plantest.Shared(t, optionsOf("sm80", "bf16", c.cards), map[string]any{"num_hidden_layers": c.stages})
			d := &machines{t: t, cards: c.cards, stages: c.stages, machines: c.machines, timeout: time.Minute}
			devicetest.Cards(t, d, plan, plan.Info().Vocab, 128, 1, c.cards)
			if err := d.join(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMachinesServe runs what every device has to pass on two machines.
func TestMachinesServe(t *testing.T) {
	plan := plantest.Shared(t, optionsOf("sm80", "bf16", 1), nil)
	d := &machines{t: t, cards: 1, stages: 2, machines: 2, timeout: time.Minute}
	devicetest.Pages(t, always{d}, plan)
	devicetest.Moves(t, always{d}, plan)
	if err := d.join(); err != nil {
		t.Error(err)
	}
}

// TestMachinesThatFail wants all to end with one line that says why.
func TestMachinesThatFail(t *testing.T) {
	plan := plantest.Shared(t, optionsOf("sm80", "bf16", 1), nil)
	settings := engine.Settings{Cards: 1, MaxContext: 64, MaxSequences: 2, MaxStepTokens: 8, KVBytes: 1 << 20}
	t.Run("loading", func(t *testing.T) {
		groups := comm.Local(2, time.Minute)
		other := make(chan error)
		go func() {
			small := emu.Device{Card: gpu.Card{Name: "a small card", Capability: 80, Driver: 13000, Memory: 1 << 10, SharedMemory: 1 << 17}, Machines: &gpu.Machines{Group: groups[1]}}
			other <- small.Follow(t.Context(), plan)
		}()
		staged := settings
		staged.Stages = 2
		_, err := emu.Device{Machines: &gpu.Machines{Group: groups[0]}}.Load(plan, staged)
		for _, err := range []error{err, <-other} {
			if err == nil || !strings.Contains(err.Error(), "a small card") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("lost", func(t *testing.T) {
		d := &machines{t: t, cards: 1, stages: 2, machines: 2, timeout: 2 * time.Second}
		model, err := d.Load(plan, settings)
		if err != nil {
			t.Fatal(err)
		}
		lost := errors.New("somebody pulled the plug")
		_ = d.first.Fail(lost)
		step := &engine.Step{}
		step.Reset()
		step.IDs, step.Pages = append(step.IDs, 1), append(step.Pages, 0)
		step.EndSequence(0, 1, 16)
		step.Rows = append(step.Rows, step.NextRow())
		for range 2 {
			if err := model.Step(step, make([]engine.Sampled, 1)); !errors.Is(err, engine.ErrDeviceLost) || !strings.Contains(err.Error(), lost.Error()) {
				t.Errorf("got %v", err)
			}
		}
		if err := d.join(); err == nil || !strings.Contains(err.Error(), lost.Error()) {
			t.Errorf("the other machine says %v", err)
		}
		model.Close()
	})
}
