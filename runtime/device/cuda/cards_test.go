//go:build cuda

package cuda_test

import (
	"errors"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/cuda/emulated"
	"llmc/runtime/device/devicetest"
)

// TestCards wants the bits of one GPU from several that share a model, whose steps are replayed.
func TestCards(t *testing.T) {
	for _, c := range []struct {
		target string
		cards  int
	}{{"sm80", 2}} {
		t.Run(c.target, func(t *testing.T) {
			plan := plantest.Shared(t, compiler.Options{Quant: "bf16", Archs: []string{c.target}, NoFallback: true, Cards: []int{c.cards}}, map[string]any{"num_hidden_layers": 1})
			d := install(t, c.target, 12040, c.cards)
			devicetest.Cards(t, cuda.Device{}, plan, plan.Info().Vocab, 128, 1, c.cards)
			returned(t, d)
			if counts := d.Counts(); counts.Peers != c.cards*(c.cards-1) || counts.Replays == 0 {
				t.Errorf("%d pairs of cards reach each other, %d steps were replayed", counts.Peers, counts.Replays)
			}
		})
	}
}

// TestCardsAreRefused where there are too few, or they do not reach each other.
func TestCardsAreRefused(t *testing.T) {
	plan := plantest.Shared(t, compiler.Options{Quant: "bf16", Archs: []string{"sm80"}, Cards: []int{2}}, map[string]any{"num_hidden_layers": 1})
	for _, c := range []struct {
		name    string
		cards   int
		devices int
		change  func(d *emulated.Driver)
		is      error
		says    string
	}{
		{"too few", 4, 2, func(*emulated.Driver) {}, engine.ErrNoDevice, "4 GPUs are to share the model (--tp, --pp), and the NVIDIA driver shows 2"},
		{"apart", 2, 2, func(d *emulated.Driver) { d.Apart = true }, nil, "GPU 0 does not reach the memory of GPU 1"},
		{"not built", 3, 3, func(*emulated.Driver) {}, nil, "sm80 is built for one GPU alone, 2 together, not for 3; build it with llmc build --arch sm80 --tp 3"},
		{"a launch fails", 2, 2, func(d *emulated.Driver) { d.Faults = emulated.Faults{Launch: 30, Failure: 719} }, engine.ErrDeviceLost, "CUDA_ERROR_LAUNCH_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := install(t, "sm80", 12040, c.devices)
			c.change(d)
			model, err := cuda.Device{}.Load(plan, engine.Settings{Cards: c.cards, MaxContext: 64, MaxSequences: 2, MaxStepTokens: 8})
			if err == nil {
				model.Close()
				t.Fatal("it was loaded")
			}
			if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}
