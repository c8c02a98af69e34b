package devicetest

import (
	"slices"
	"testing"

	"llmc/engine"
)

// Moves wants pages that are taken out of one model and put into another to be the same there, whatever their numbers are, and what is no page to be refused.
func Moves(t *testing.T, device engine.Device, plan *engine.Plan) {
	t.Helper()
	settings := engine.Settings{MaxStepTokens: 32, MaxContext: 64, MaxSequences: 16, PageSize: 16}
	from, err := device.Load(plan, settings)
	check(t, err)
	defer from.Close()
	to, err := device.Load(plan, settings)
	check(t, err)
	defer to.Close()
	vocab := plan.Info().Vocab
	var s engine.Step
	s.Reset()
	for i := range int32(32) {
		s.IDs = append(s.IDs, i+1)
	}
	s.Pages = []int32{0, 17}
	s.EndSequence(0, 32, 16)
	check(t, from.Step(&s, nil))
	want := nextLogits(t, from, vocab, 0, 17, 2)
	source, target := from.(engine.PageMover), to.(engine.PageMover)
	if source.PageFormat() != target.PageFormat() || source.PageBytes() != target.PageBytes() {
		t.Fatalf("pages of %q, %d bytes; of %q, %d bytes", source.PageFormat(), source.PageBytes(), target.PageFormat(), target.PageBytes())
	}
	page := make([]byte, source.PageBytes())
	for _, pair := range []engine.PageCopy{{From: 0, To: 21}, {From: 17, To: 3}} {
		check(t, source.ReadPage(pair.From, page))
		check(t, target.WritePage(pair.To, page))
	}
	if got := nextLogits(t, to, vocab, 21, 3, 5); !slices.Equal(got, want) {
		t.Error("moved pages give other logits")
	}
	if slices.Equal(nextLogits(t, to, vocab, 21, 4, 5), want) {
		t.Error("a page that was not moved makes no difference")
	}
	for _, bad := range []struct {
		page  int32
		bytes int
	}{{-1, len(page)}, {1 << 20, len(page)}, {0, len(page) - 1}, {0, 0}, {0, len(page) + 1}} {
		if source.ReadPage(bad.page, make([]byte, bad.bytes)) == nil || target.WritePage(bad.page, make([]byte, bad.bytes)) == nil {
			t.Errorf("page %d of %d bytes is not refused", bad.page, bad.bytes)
		}
	}
}
