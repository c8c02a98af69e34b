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
var recordedEmulated = []string{"mamba"}

// TestGoldensEmulated wants of GPU programs what TestGoldensBF16 wants, and the same of prompts that come in steps of a few tokens.
func TestGoldensEmulated(t *testing.T) {
	for _, name := range recordedEmulated {
		g := readGolden(t, filepath.Join(golden.Shared(t), "checkpoints", name))
		for _, target := range emulatedTargets {
			t.Run(target+"/"+name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "engine.plan")
				_, err := compiler.Build(t.Context(), compiler.Options{Model: g.dir, Out: path, Quant: "bf16", Archs: []string{target}, Check: true})
				check(t, err)
				plan, err := engine.Open(path)
				check(t, err)
				defer plan.Close()
				var logits [2][]float32
				for i, tokens := range []int{64, 5} {
					model, err := emu.Device{}.Load(plan, engine.Settings{MaxStepTokens: tokens, MaxSequences: 1, MaxRows: tokens, MaxContext: 160, PageSize: 16})
					check(t, err)
					logits[i] = slices.Concat(forward(t, model, plan.Info().Vocab, g.Prompts[2].IDs, true)...)
					check(t, model.Close())
				}
				_, rms := relative(logits[0], g.tensor(t, "p33.logits_all"))
				if allowed := 3 * g.Difference["bfloat16"].RMS; !(rms <= allowed) {
					t.Errorf("rms %.3g, %.3g is allowed", rms, allowed)
				}
				if !slices.Equal(logits[0], logits[1]) {
					t.Error("steps of a few tokens give other bits")
				}
			})
		}
	}
}
