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

// TestWholeSequencesAreChecked refuses steps that do not hold all tokens of their sequences in order, and types that there are none of.
func TestWholeSequencesAreChecked(t *testing.T) {
	l := Limits{Settings: engine.Settings{MaxStepTokens: 8, MaxSequences: 2, MaxRows: 4, MaxContext: 64, PageSize: 16}, Vocab: 40, Pages: 4, Types: 2}
	for _, c := range []struct {
		change func(s *engine.Step)
		text   string
	}{
		{func(*engine.Step) {}, ""},
		{func(s *engine.Step) { s.Types = []int32{0, 1, 1} }, ""},
		{func(s *engine.Step) { s.Types = []int32{0, 2, 1} }, "token 1: type 2 of 2"},
		{func(s *engine.Step) { s.Types = []int32{0, -1, 1} }, "token 1: type -1 of 2"},
		{func(s *engine.Step) { s.Types = []int32{0} }, "step of 3 tokens has 1 types"},
		{func(s *engine.Step) { s.Positions[1] = 0 }, "sequence 0: token 1 at position 0, not 1"},
		{func(s *engine.Step) { s.Context[0] = 3 }, "sequence 0: 2 tokens in a context of 3"},
		{func(s *engine.Step) { s.Positions[2], s.RopeLen[2], s.Context[1] = 1, 2, 2 }, "sequence 1: 1 tokens in a context of 2"},
		{func(s *engine.Step) { s.Pages[0] = 4 }, "page 4 of 4"},
		{func(s *engine.Step) { s.Rows = []engine.Row{{}} }, "1 sampled rows"},
	} {
		s := &engine.Step{IDs: []int32{1, 2, 3}, Positions: []int32{0, 1, 0}, RopeLen: []int32{2, 2, 1}, Slots: []int32{0, 1, 16}, SeqStart: []int32{0, 2, 3},
			Context: []int32{2, 1}, Pages: []int32{0, 1}, PageStart: []int32{0, 1, 2}}
		c.change(s)
		err := l.CheckWhole(s)
		if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v, want %q", err, c.text)
		}
	}
}

// TestTextsAreChecked refuses page tables of texts, and texts to encode, that do not fit the step and the memory.
func TestTextsAreChecked(t *testing.T) {
	l := Limits{Settings: engine.Settings{MaxStepTokens: 8, MaxSequences: 2, MaxRows: 4, MaxContext: 20, PageSize: 16}, Vocab: 40, Pages: 4}
	for _, c := range []struct {
		change func(s *engine.Step)
		text   string
	}{
		{func(*engine.Step) {}, ""},
		{func(s *engine.Step) { s.Source.Length = nil }, "page tables of texts do not cover it"},
		{func(s *engine.Step) { s.Source.Start[1] = 2 }, "page tables of texts do not cover it"},
		{func(s *engine.Step) { s.Source.Pages[0] = 4 }, "page table entry 0 of texts: page 4 of 4"},
		{func(s *engine.Step) { s.Source.Pages[0] = -1 }, "page table entry 0 of texts: page -1 of 4"},
		{func(s *engine.Step) { s.Source.Length[0] = 17 }, "sequence 0: a text of 17 tokens in pages for 16"},
		{func(s *engine.Step) { s.Source.Length[0] = 0 }, "sequence 0: a text of 0 tokens"},
		{func(s *engine.Step) { s.Encode.IDs[1] = 40 }, "texts: token 1: id 40"},
		{func(s *engine.Step) { s.Encode.Positions[0] = 1 }, "texts: sequence 0: token 0 at position 1"},
		{func(s *engine.Step) { s.Encode.Slots[1] = 64 }, "texts: token 1: cache slot 64 of 64"},
	} {
		s := &engine.Step{Encode: &engine.Step{}}
		s.Reset()
		for _, part := range []*engine.Step{s, s.Encode} {
			part.IDs, part.Pages = append(part.IDs, 1, 2), append(part.Pages, 2)
			part.EndSequence(0, 2, 16)
		}
		s.Source.Add([]int32{2}, 2)
		c.change(s)
		err := l.CheckTexts(s)
		if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v, want %q", err, c.text)
		}
	}
}

// TestAdaptersAreChecked refuses places that there are not, and devices that have none.
func TestAdaptersAreChecked(t *testing.T) {
	l := Limits{Settings: engine.Settings{MaxStepTokens: 8, MaxSequences: 2, MaxRows: 4, MaxContext: 64, PageSize: 16, MaxAdapters: 2}, Vocab: 40, Pages: 4}
	for _, c := range []struct {
		places []int32
		text   string
	}{{nil, ""}, {[]int32{2}, ""}, {[]int32{3}, "adapter 3 of 2"}, {[]int32{-1}, "adapter -1 of 2"}, {[]int32{0, 0}, "step of 1 sequences names 2 adapters"}} {
		s := &engine.Step{IDs: []int32{1}, Positions: []int32{0}, RopeLen: []int32{1}, Slots: []int32{0}, SeqStart: []int32{0, 1},
			Context: []int32{1}, Pages: []int32{0}, PageStart: []int32{0, 1}, Adapters: c.places}
		err := l.Check(s, nil)
		if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("places %v: %v, want %q", c.places, err, c.text)
		}
	}
	r := Request{Settings: engine.Settings{MaxAdapters: 1}, Info: &engine.ModelInfo{MaxContext: 8, LoraRank: 5}, TokenBytes: 1, Threads: 1, KVMemory: 1 << 20}
	if _, err := r.Fill(); err != engine.ErrNoAdapters {
		t.Errorf("a device without adapters: %v", err)
	}
	r.Adapters = true
	if l, err := r.Fill(); err != nil || l.AdapterRank != 5 {
		t.Errorf("rank %d, %v, want the plan's", l.AdapterRank, err)
	}
	r.Settings.AdapterRank = engine.MaxAdapterRank + 1
	if _, err := r.Fill(); err == nil {
		t.Error("a rank beyond all bounds is taken")
	}
}
