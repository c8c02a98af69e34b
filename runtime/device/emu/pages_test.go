package emu_test

import (
	"slices"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/emu"
)

// nextLogits runs one token behind a sequence of 32 that lies in the first two of the pages.
func nextLogits(t *testing.T, model engine.Model, vocab int, pages ...int32) []float32 {
	t.Helper()
	var s engine.Step
	s.Reset()
	logits := make([]float32, vocab)
	s.IDs, s.Positions, s.RopeLen, s.Slots = []int32{7}, []int32{32}, []int32{33}, []int32{pages[2] * 16}
	s.Rows = []engine.Row{{Token: 0, Position: 33, Logits: logits}}
	s.SeqStart, s.Context, s.Pages, s.PageStart = []int32{0, 1}, []int32{33}, pages, []int32{0, 3}
	if err := model.Step(&s, make([]engine.Sampled, 1)); err != nil {
		t.Fatal(err)
	}
	return logits
}

// copies are of pages in turn: from, to.
func copies(pages ...int32) (list []engine.PageCopy) {
	for pair := range slices.Chunk(pages, 2) {
		list = append(list, engine.PageCopy{From: pair[0], To: pair[1]})
	}
	return list
}

// TestCopyPages wants a sequence that goes on in copies of its pages to give the same bits, copies in between to change nothing, and lists in
// which the order would matter to be refused.
func TestCopyPages(t *testing.T) {
	for target, checkpoint := range map[string]string{"sm80": "checkpoints/qwen3-v5", "sm90": "checkpoints/llama-yarn"} {
		plan := build(t, checkpoint, target, "bf16")
		program, err := plan.Program("step", target)
		if err != nil || program.FindAuxiliary(engine.CopyPages) == nil {
			t.Fatalf("%s has no %s (%v)", target, engine.CopyPages, err)
		}
		settings := compiler.VerifySettings()
		settings.MaxContext, settings.MaxSequences = 64, 16
		model, err := emu.Device{Options: emu.Options{Races: true, Seed: 3}}.Load(plan, settings)
		if err != nil {
			t.Fatal(err)
		}
		defer model.Close()
		vocab := plan.Info().Vocab
		var s engine.Step
		s.Reset()
		for i := range int32(32) {
			s.IDs, s.Positions, s.RopeLen, s.Slots = append(s.IDs, i+1), append(s.Positions, i), append(s.RopeLen, 32), append(s.Slots, i)
		}
		s.SeqStart, s.Context, s.Pages, s.PageStart = []int32{0, 32}, []int32{32}, []int32{0, 1}, []int32{0, 2}
		if err := model.Step(&s, nil); err != nil {
			t.Fatal(err)
		}
		want := nextLogits(t, model, vocab, 0, 1, 2)
		if slices.Equal(want, nextLogits(t, model, vocab, 1, 1, 2)) {
			t.Error("other pages make no difference")
		}
		copier := model.(engine.PageCopier)
		if err := copier.CopyPages(copies(0, 9, 1, 4, 1, 60, 0, 5)); err != nil {
			t.Fatal(err)
		}
		for _, pages := range [][]int32{{9, 4, 7}, {5, 60, 7}, {0, 60, 7}, {0, 1, 7}} {
			if got := nextLogits(t, model, vocab, pages...); !slices.Equal(got, want) {
				t.Errorf("%s: pages %v give other logits", target, pages)
			}
		}
		if err := model.CopyPage(11, 9); err != nil || !slices.Equal(want, nextLogits(t, model, vocab, 11, 1, 7)) {
			t.Errorf("%s: copy of a copy: %v", target, err)
		}
		for _, bad := range [][]int32{{0, 1, 2, 1}, {0, 1, 1, 2}, {1, 2, 0, 1}, {3, 3}, {0, 64}, {-1, 0}, {0, 1 << 20}} {
			if err := copier.CopyPages(copies(bad...)); err == nil {
				t.Errorf("%v is not refused", bad)
			}
		}
		if got := nextLogits(t, model, vocab, 0, 1, 7); !slices.Equal(got, want) {
			t.Errorf("%s: refused lists changed pages", target)
		}
	}
}
