package devicetest

import (
	"slices"
	"testing"

	"llmc/engine"
)

// Pages wants a sequence that goes on in copies of its pages to give the same bits, copies in between to change nothing, and lists in which the order
// would matter to be refused.
func Pages(t *testing.T, device engine.Device, plan *engine.Plan) {
	t.Helper()
	model, err := device.Load(plan, engine.Settings{MaxStepTokens: 32, MaxContext: 64, MaxSequences: 16, PageSize: 16})
	check(t, err)
	defer model.Close()
	vocab := plan.Info().Vocab
	fillPages(t, model, 0, 1)
	want := nextLogits(t, model, vocab, 0, 1, 2)
	if slices.Equal(want, nextLogits(t, model, vocab, 0, 0, 2)) {
		t.Error("other pages make no difference")
	}
	copier := model.(engine.PageCopier)
	check(t, copier.CopyPages(copies(0, 9, 1, 4, 1, 60, 0, 5)))
	for _, pages := range [][]int32{{9, 4, 7}, {5, 60, 7}, {0, 60, 7}, {0, 1, 7}} {
		if got := nextLogits(t, model, vocab, pages...); !slices.Equal(got, want) {
			t.Errorf("pages %v give other logits", pages)
		}
	}
	if err := model.CopyPage(11, 9); err != nil || !slices.Equal(want, nextLogits(t, model, vocab, 11, 1, 7)) {
		t.Errorf("copy of a copy: %v", err)
	}
	for _, bad := range [][]int32{{0, 1, 2, 1}, {0, 1, 1, 2}, {1, 2, 0, 1}, {3, 3}, {0, 64}, {-1, 0}, {0, 1 << 20}} {
		if err := copier.CopyPages(copies(bad...)); err == nil {
			t.Errorf("%v is not refused", bad)
		}
	}
	if got := nextLogits(t, model, vocab, 0, 1, 7); !slices.Equal(got, want) {
		t.Error("refused lists changed pages")
	}
}

// fillPages runs 32 tokens in two pages.
func fillPages(t *testing.T, model engine.Model, pages ...int32) {
	t.Helper()
	var s engine.Step
	s.Reset()
	for i := range int32(32) {
		s.IDs = append(s.IDs, i+1)
	}
	s.Pages = pages
	s.EndSequence(0, 32, 16)
	check(t, model.Step(&s, nil))
}

// nextLogits runs one token behind a sequence of 32 that lies in the first two of the pages.
func nextLogits(t *testing.T, model engine.Model, vocab int, pages ...int32) []float32 {
	t.Helper()
	var s engine.Step
	s.Reset()
	s.IDs, s.Pages = []int32{7}, pages
	s.EndSequence(32, 32, 16)
	logits := make([]float32, vocab)
	s.Rows = []engine.Row{s.NextRow()}
	s.Rows[0].Logits = logits
	check(t, model.Step(&s, make([]engine.Sampled, 1)))
	return logits
}

// copies are of pages in turn: from, to.
func copies(pages ...int32) (list []engine.PageCopy) {
	for pair := range slices.Chunk(pages, 2) {
		list = append(list, engine.PageCopy{From: pair[0], To: pair[1]})
	}
	return list
}
