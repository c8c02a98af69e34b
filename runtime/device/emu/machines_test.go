package emu_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/comm"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// machinesOf are emulated.
func machinesOf(t *testing.T, cards, stages, machines int, timeout time.Duration) *devicetest.Machines {
	on := func(g *comm.Group) devicetest.Machine {
		return emu.Device{Machines: &gpu.Machines{Group: g, Transport: gpu.TransportAuto}}
	}
	return &devicetest.Machines{T: t, One: emu.Device{}, On: on, Cards: cards, Stages: stages, Number: machines, Timeout: timeout}
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
			d := machinesOf(t, c.cards, c.stages, c.machines, time.Minute)
			devicetest.Cards(t, d, plan, plan.Info().Vocab, 128, 1, c.cards)
			if err := d.Join(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMachinesServe runs what every device has to pass on two machines.
func TestMachinesServe(t *testing.T) {
	plan := plantest.Shared(t, optionsOf("sm80", "bf16", 1), nil)
	d := machinesOf(t, 1, 2, 2, time.Minute)
	devicetest.Pages(t, devicetest.Always{Machines: d}, plan)
	devicetest.Moves(t, devicetest.Always{Machines: d}, plan)
	if err := d.Join(); err != nil {
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
		d := machinesOf(t, 1, 2, 2, 2*time.Second)
		model, err := d.Load(plan, settings)
		if err != nil {
			t.Fatal(err)
		}
		lost := errors.New("somebody pulled the plug")
		_ = d.First.Fail(lost)
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
		if err := d.Join(); err == nil || !strings.Contains(err.Error(), lost.Error()) {
			t.Errorf("the other machine says %v", err)
		}
		model.Close()
	})
}
