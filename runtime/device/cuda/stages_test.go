//go:build cuda

package cuda_test

import (
	"os"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/cuda/emulated"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// TestStages wants the bits of one GPU from stages that hand rows on by copies of the driver, whether the GPUs reach each other's memory or not.
func TestStages(t *testing.T) {
	for _, c := range []struct {
		name          string
		cards, stages int
		apart, long   bool
	}{{"two", 1, 2, true, false}, {"two of two", 2, 2, false, true}} {
		if c.long && os.Getenv("LLMC_LONG") == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			options := compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, NoFallback: true}
			if c.cards > 1 {
				options.Cards = []int{c.cards}
			}
			plan := plantest.Shared(t, options, nil)
			d := install(t, "sm80", 12040, c.cards*c.stages)
			d.Apart = c.apart
			devicetest.Stages(t, cuda.Device{}, plan, plan.Info().Vocab, 128, 1, c.cards, c.stages)
			returned(t, d)
			if counts := d.Counts(); counts.Handed == 0 || counts.Replays == 0 {
				t.Errorf("%d copies between cards, %d steps were replayed", counts.Handed, counts.Replays)
			}
			devicetest.Ahead(t, shared{cuda.Device{}, c.cards, c.stages}, plan, plan.Info().Vocab, 128, 1)
			returned(t, d)
		})
	}
}

// shared loads plans on stages of cards.
type shared struct {
	engine.Device
	cards, stages int
}

// Load implements engine.Device.
func (d shared) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	settings.Cards, settings.Stages = d.cards, d.stages
	return d.Device.Load(plan, settings)
}

// TestBrokenStages wants copies that nothing orders to be found, and a GPU that fails to end the model with its own reason.
func TestBrokenStages(t *testing.T) {
	plan := plantest.Shared(t, compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, NoFallback: true}, nil)
	for _, c := range []struct {
		name   string
		faults emulated.Faults
		says   string
	}{
		{"as it is", emulated.Faults{}, ""},
		{"nobody waits", emulated.Faults{Deaf: true}, ": race: "},
		{"a launch fails", emulated.Faults{Launch: 30, Failure: 719}, "CUDA_ERROR_LAUNCH_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := install(t, "sm80", 12040, 2)
			d.Faults, d.Options = c.faults, emu.Options{Races: true}
			model, err := cuda.Device{}.Load(plan, engine.Settings{Stages: 2, MaxContext: 64, MaxSequences: 2, MaxStepTokens: 8})
			if err == nil {
				err = model.Close()
			}
			if c.says == "" {
				if err != nil || d.Fault() != nil {
					t.Errorf("got %v, %v", err, d.Fault())
				}
				return
			}
			if err == nil {
				t.Fatal("it was loaded")
			}
			text := err.Error()
			if fault := d.Fault(); fault != nil {
				text += "; " + fault.Error()
			}
			if !strings.Contains(text, c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", text)
			}
		})
	}
}
