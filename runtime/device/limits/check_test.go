package limits

import (
	"strings"
	"testing"

	"llmc/engine"
)

// TestRowsAreChecked refuses drafts and masks that do not fit the step and the vocabulary.
func TestRowsAreChecked(t *testing.T) {
	l := Limits{Settings: engine.Settings{MaxStepTokens: 8, MaxSequences: 2, MaxRows: 4, MaxContext: 64, PageSize: 16}, Vocab: 40, Pages: 4}
	for _, c := range []struct {
		drafts  []int32
		allowed []uint32
		text    string
	}{
		{nil, nil, ""},
		{[]int32{39, -1}, make([]uint32, 2), ""},
		{[]int32{-1}, nil, "2 sampled rows has 1 drafts"},
		{[]int32{40, -1}, nil, "row 0: draft 40"},
		{[]int32{-2, -1}, nil, "row 0: draft -2"},
		{[]int32{-1, 3}, nil, "row 1: draft 3"},
		{nil, make([]uint32, 1), "row 1: a mask of 1 words"},
		{nil, []uint32{}, "row 1: a mask of 0 words"},
	} {
		s := &engine.Step{IDs: []int32{1, 2}, Positions: []int32{0, 1}, RopeLen: []int32{2, 2}, Slots: []int32{0, 1}, SeqStart: []int32{0, 2},
			Context: []int32{2}, Pages: []int32{0}, PageStart: []int32{0, 1}, Drafts: c.drafts,
			Rows: []engine.Row{{Token: 0}, {Token: 1, Sampling: &engine.Sampling{Allowed: c.allowed}}}}
		err := l.Check(s, make([]engine.Sampled, 2))
		if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("drafts %v, mask %v: %v, want %q", c.drafts, c.allowed, err, c.text)
		}
	}
}
