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
	vocab := plan.Info().Vocab
	fillPages(t, from, 0, 17)
	want := nextLogits(t, from, vocab, 0, 17, 2)
	source := from.(engine.PageMover)
	format, first, second := source.PageFormat(), make([]byte, source.PageBytes()), make([]byte, source.PageBytes())
	check(t, source.ReadPage(0, first))
	check(t, source.ReadPage(17, second))
	noPages(t, source)
	check(t, from.Close())

	to, err := device.Load(plan, settings)
	check(t, err)
	defer to.Close()
	target := to.(engine.PageMover)
	if target.PageFormat() != format || target.PageBytes() != len(first) {
		t.Fatalf("pages of %q, %d bytes; of %q, %d bytes", format, len(first), target.PageFormat(), target.PageBytes())
	}
	check(t, target.WritePage(21, first))
	check(t, target.WritePage(3, second))
	noPages(t, target)
	if got := nextLogits(t, to, vocab, 21, 3, 5); !slices.Equal(got, want) {
		t.Error("moved pages give other logits")
	}
	if slices.Equal(nextLogits(t, to, vocab, 21, 4, 5), want) {
		t.Error("a page that was not moved makes no difference")
	}
}

// noPages wants what is no page, or not all of one, to be refused.
func noPages(t *testing.T, mover engine.PageMover) {
	t.Helper()
	n := mover.PageBytes()
	for _, bad := range []struct {
		page  int32
		bytes int
	}{{-1, n}, {1 << 20, n}, {0, n - 1}, {0, 0}, {0, n + 1}} {
		if mover.ReadPage(bad.page, make([]byte, bad.bytes)) == nil || mover.WritePage(bad.page, make([]byte, bad.bytes)) == nil {
			t.Errorf("page %d of %d bytes is not refused", bad.page, bad.bytes)
		}
	}
}
