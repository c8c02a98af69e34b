package compiler_test

import (
	"path/filepath"
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/internal/golden"
	"llmc/runtime/device/emu"
)

// recordedEmulated are the checkpoints whose GPU programs are compared with what transformers recorded, beside the interpreter that all are compared with:
// those whose kernels, but for products, are no other family's.
var recordedEmulated = []string{"mamba", "deepseek-v3"}

// TestGoldensEmulated wants of GPU programs what TestGoldensBF16 wants, and the same of prompts that come in steps of a few tokens. In plain runs each
// checkpoint goes to one target.
func TestGoldensEmulated(t *testing.T) {
	for n, name := range recordedEmulated {
		g := readGolden(t, filepath.Join(golden.Shared(t), "checkpoints", name))
		for i, target := range emulatedTargets {
			if i != n && !thorough() {
				continue
			}
			t.Run(target+"/"+name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "engine.plan")
				_, err := compiler.Build(t.Context(), compiler.Options{Model: g.dir, Out: path, Quant: "bf16", Archs: []string{target}, Check: true})
				check(t, err)
				plan, err := engine.Open(path)
				check(t, err)
				defer plan.Close()
				var logits [2][][]float32
				for i, tokens := range []int{64, 5} {
					model, err := emu.Device{}.Load(plan, engine.Settings{MaxStepTokens: tokens, MaxSequences: 1, MaxRows: tokens, MaxContext: 64, PageSize: 16})
					check(t, err)
					logits[i] = forward(t, model, plan.Info().Vocab, g.Prompts[2].IDs, true)
					check(t, model.Close())
				}
				g.sameBF16(t, logits[0])
				if !slices.EqualFunc(logits[0], logits[1], slices.Equal[[]float32]) {
					t.Error("steps of a few tokens give other bits")
				}
			})
		}
	}
}
