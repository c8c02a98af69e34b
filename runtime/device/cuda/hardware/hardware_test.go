//go:build cuda

package hardware_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/cuda/driver"
	"llmc/runtime/device/cuda/emulated"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// aimed is the GPU with a program of one target.
type aimed struct {
	cuda.Device
	target, persistent string
}

// Load implements engine.Device.
func (a aimed) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	settings.Target, settings.Persistent = a.target, a.persistent
	return a.Device.Load(plan, settings)
}

// cases are checkpoints in formats that the targets have.
var cases = []struct{ checkpoint, target, format string }{
	{"llama-yarn", "sm80", "bf16"}, {"mistral-v5", "sm80", "int4"}, {"qwen3-v5", "sm80", "int8-w8a8"}, {"qwen3-v5", "sm89", "fp8"},
	{"llama-yarn", "sm90", "bf16"}, {"mistral-v5", "sm90", "int4"}, {"qwen3-v5", "sm90", "fp8"}, {"llama-dynamic", "sm90", "int8"},
}

// onEmulator tells that the tests run on NVIDIA's driver over the emulator, to try them out without a GPU.
var onEmulator = os.Getenv("LLMC_DEVICE") == "emulated"

// theCard describes the GPU; without one the test is skipped.
func theCard(t *testing.T) gpu.Card {
	t.Helper()
	if onEmulator {
		card, err := emu.Impersonate("sm90", 13000)
		if err == nil {
			card.Memory, card.Cores = 4<<30, 3
			err = emulated.New(card).Install()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	card, err := cuda.Device{}.Card()
	if errors.Is(err, engine.ErrNoDevice) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return card
}

// TestCard says what there is, and wants the driver to have every call.
func TestCard(t *testing.T) {
	card := theCard(t)
	t.Logf("%v, driver of CUDA %v, %d MiB free", &card, card.Driver, card.Memory>>20)
	if !onEmulator {
		for _, name := range driver.Unresolved() {
			t.Errorf("the driver has no %s", name)
		}
	}
}

// TestGPU compares every layer with the reference interpreter, wants logits that depend on no schedule, to the bit, and tokens as the host samples them. On the
// emulator the last two are those of runtime/device/cuda, of which this takes what that does not have: persistent entries.
func TestGPU(t *testing.T) {
	card, rounds, ahead := theCard(t), 10, 4
	if onEmulator {
		rounds, ahead = 1, 1
	}
	for _, c := range cases {
		t.Run(c.target+"/"+c.format, func(t *testing.T) {
			if target, err := engine.FindTarget(c.target); err != nil || !target.RunsOn(card.Capability) {
				t.Skip("SKIPPED: this card does not run such programs")
			}
			dir := filepath.Join("../../../../testdata/checkpoints", c.checkpoint)
			plan := plantest.Build(t, filepath.Join("checkpoints", c.checkpoint), compiler.Options{Quant: c.format, Archs: []string{c.target}, NoFallback: true})
			if ptx, err := plan.Section(engine.KindPTX, c.target); err != nil {
				t.Fatal(err)
			} else if version, err := engine.VersionOfPTX(ptx); err != nil {
				t.Fatal(err)
			} else if oldest, _ := engine.DriverFor(version); oldest.CUDA > card.Driver {
				t.Skipf("SKIPPED: a driver of CUDA %v does not read PTX %v", card.Driver, version)
			}
			device := aimed{target: c.target}
			model, err := device.Load(plan, compiler.VerifySettings())
			if err != nil {
				t.Fatal(err)
			}
			before := free(t)
			t.Logf("in one launch, as faster: %v", model.(*gpu.Model).Persistent())
			v, err := compiler.Against(t.Context(), plan, model.(engine.Tracer), compiler.Original{Dir: dir})
			if after := free(t); after < before {
				t.Errorf("steps took %d bytes of device memory, if nobody else did", before-after)
			}
			if err := errors.Join(err, model.Close()); err != nil {
				t.Fatal(err)
			}
			if !v.OK {
				t.Errorf("against the reference: %+v", v)
			}
			vocab := plan.Info().Vocab
			if !onEmulator {
				devicetest.Schedules(t, device, plan, vocab, 128, rounds)
				devicetest.Sampling(t, device, plan, vocab, 128)
			}
			devicetest.Schedules(t, aimed{target: c.target, persistent: engine.PersistentOn}, plan, vocab, 128, rounds) // prompts by launches, tokens by persistent entries
			devicetest.Pages(t, device, plan)
			devicetest.Moves(t, device, plan)
			devicetest.Serve(t, device, plan)
			devicetest.Ahead(t, device, plan, vocab, 128, ahead)
		})
	}
}
