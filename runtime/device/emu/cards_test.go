package emu_test

import (
	"path/filepath"
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/runtime/device/devicetest"
	"llmc/runtime/device/emu"
)

// TestCardsShareModels wants the bits of one card from several, of models whose products, heads and experts they share.
func TestCardsShareModels(t *testing.T) {
	for _, c := range []struct {
		checkpoint, target, format string
		cards                      int
	}{
		{"demo", "sm80", "bf16", 2},
		{"demo", "sm90", "bf16", 2},
	} {
		t.Run(c.target+"/"+c.format+"/"+filepath.Base(c.checkpoint), func(t *testing.T) {
			plan := plantest.Build(t, c.checkpoint, compiler.Options{Quant: c.format, Archs: []string{c.target}, Check: true, Cards: []int{c.cards}})
			devicetest.Cards(t, emu.Device{}, plan, plan.Info().Vocab, 128, 1, c.cards)
		})
	}
}
