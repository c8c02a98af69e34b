//go:build cuda

package hardware_test

import (
	"errors"
	"fmt"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/devicetest"
)

// TestSharing wants the bits of one GPU from as many as there are that can share a model: four or two.
func TestSharing(t *testing.T) {
	card, rounds := theCard(t), 10
	if onEmulator {
		t.Skip("SKIPPED: the emulated driver has one card here; see runtime/device/cuda")
	}
	for _, target := range []string{"sm80", "sm90"} {
		for _, cards := range []int{2, 4} {
			for _, format := range []string{"bf16", "int8-w8a8", "int4"} {
				t.Run(target+"/"+format, func(t *testing.T) {
					if row, err := engine.FindTarget(target); err != nil || !row.RunsOn(card.Capability) {
						t.Skip("SKIPPED: this card does not run such programs")
					}
					plan := plantest.Shared(t, compiler.Options{Quant: format, Archs: []string{target}, NoFallback: true, Cards: []int{cards}}, nil)
					loadsHere(t, plan, engine.Settings{Cards: cards, MaxContext: 64})
					devicetest.Cards(t, cuda.Device{}, plan, plan.Info().Vocab, 128, rounds, cards)
				})
			}
		}
	}
}

// TestStaging wants the bits of one GPU from as many as there are in stages: four in two of two, or two.
func TestStaging(t *testing.T) {
	card, rounds := theCard(t), 10
	if onEmulator {
		t.Skip("SKIPPED: the emulated driver has one card here; see runtime/device/cuda")
	}
	for _, target := range []string{"sm80", "sm90"} {
		for _, cards := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", target, cards), func(t *testing.T) {
				if row, err := engine.FindTarget(target); err != nil || !row.RunsOn(card.Capability) {
					t.Skip("SKIPPED: this card does not run such programs")
				}
				options := compiler.Options{Quant: "bf16", Archs: []string{target}, NoFallback: true}
				if cards > 1 {
					options.Cards = []int{cards}
				}
				plan := plantest.Shared(t, options, nil)
				loadsHere(t, plan, engine.Settings{Cards: cards, Stages: 2, MaxContext: 64})
				devicetest.Stages(t, cuda.Device{}, plan, plan.Info().Vocab, 128, rounds, cards, 2)
			})
		}
	}
}

// loadsHere skips a test where there are too few GPUs for the settings.
func loadsHere(t *testing.T, plan *engine.Plan, settings engine.Settings) {
	t.Helper()
	model, err := cuda.Device{}.Load(plan, settings)
	if errors.Is(err, engine.ErrNoDevice) {
		t.Skip("SKIPPED: ", err)
	}
	if err == nil {
		err = model.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
