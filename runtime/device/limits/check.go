package limits

import (
	"fmt"

	"llmc/engine"
)

// Check refuses a step that would read or write outside the model's memory. It looks at every index.
func (l *Limits) Check(s *engine.Step, out []engine.Sampled) error { return l.CheckBehind(s, out, 0) }

// CheckBehind is Check of a step behind one in flight that samples so many rows, for which its IDs may stand.
func (l *Limits) CheckBehind(s *engine.Step, out []engine.Sampled, before int) error {
	t, b, r := s.T(), s.B(), len(s.Rows)
	switch {
	case t < 1 || t > l.MaxStepTokens:
		return fmt.Errorf("step of %d tokens: must be within 1..%d", t, l.MaxStepTokens)
	case b < 1 || b > l.MaxSequences:
		return fmt.Errorf("step of %d sequences: must be within 1..%d", b, l.MaxSequences)
	case r > l.MaxRows || len(out) < r:
		return fmt.Errorf("step of %d sampled rows: at most %d, room for %d answers", r, l.MaxRows, len(out))
	case len(s.Positions) != t || len(s.RopeLen) != t || len(s.Slots) != t:
		return fmt.Errorf("step of %d tokens has %d positions, %d rope lengths, %d slots", t, len(s.Positions), len(s.RopeLen), len(s.Slots))
	case len(s.SeqStart) != b+1 || len(s.PageStart) != b+1 || s.SeqStart[0] != 0 || int(s.SeqStart[b]) != t ||
		s.PageStart[0] != 0 || int(s.PageStart[b]) != len(s.Pages):
		return fmt.Errorf("step of %d sequences: token or page ranges do not cover it", b)
	}
	return l.checkIndices(s, before)
}

// CheckTexts is Check of what a step says of the texts that its sequences attend to, of models that encode some.
func (l *Limits) CheckTexts(s *engine.Step) error {
	t, b := &s.Source, s.B()
	if len(t.Length) != b || len(t.Start) != b+1 || t.Start[0] != 0 || int(t.Start[b]) != len(t.Pages) {
		return fmt.Errorf("step of %d sequences: page tables of texts do not cover it", b)
	}
	for i, page := range t.Pages {
		if page < 0 || int(page) >= l.Pages {
			return fmt.Errorf("page table entry %d of texts: page %d of %d", i, page, l.Pages)
		}
	}
	for i, length := range t.Length {
		room := int64(t.Start[i+1]-t.Start[i]) * int64(l.PageSize)
		if length < 1 || int(length) > l.MaxContext || int64(length) > room {
			return fmt.Errorf("sequence %d: a text of %d tokens in pages for %d, %d at most", i, length, room, l.MaxContext)
		}
	}
	if !s.Encodes() {
		return nil
	}
	if err := l.CheckWhole(s.Encode); err != nil {
		return fmt.Errorf("texts: %w", err)
	}
	return nil
}

// CheckWhole is Check of a step for a function of whole sequences: each has its tokens from position 0 on, all of them, and none is sampled.
func (l *Limits) CheckWhole(s *engine.Step) error {
	if err := l.Check(s, nil); err != nil {
		return err
	}
	for b, context := range s.Context {
		first, end := s.SeqStart[b], s.SeqStart[b+1]
		if context != end-first {
			return fmt.Errorf("sequence %d: %d tokens in a context of %d; the function takes all of them at once", b, end-first, context)
		}
		for i := first; i < end; i++ {
			if s.Positions[i] != i-first {
				return fmt.Errorf("sequence %d: token %d at position %d, not %d", b, i, s.Positions[i], i-first)
			}
		}
	}
	if len(s.Types) != 0 && len(s.Types) != s.T() {
		return fmt.Errorf("step of %d tokens has %d types", s.T(), len(s.Types))
	}
	for i, kind := range s.Types {
		if kind < 0 || int(kind) >= max(l.Types, 1) {
			return fmt.Errorf("token %d: type %d of %d", i, kind, max(l.Types, 1))
		}
	}
	return nil
}

func (l *Limits) checkIndices(s *engine.Step, before int) error {
	vocab, slots := int32(l.Vocab), int64(l.Pages)*int64(l.PageSize)
	for i, id := range s.IDs {
		if row, ok := engine.RowOf(id); ok && row >= before || id >= vocab {
			return fmt.Errorf("token %d: id %d is outside the vocabulary of %d", i, id, vocab)
		}
		if s.Positions[i] < 0 || int(s.Positions[i]) >= l.MaxContext || s.RopeLen[i] <= s.Positions[i] {
			return fmt.Errorf("token %d: position %d of length %d in a context of %d", i, s.Positions[i], s.RopeLen[i], l.MaxContext)
		}
		if slot := int64(s.Slots[i]); slot < -1 || slot >= slots {
			return fmt.Errorf("token %d: cache slot %d of %d", i, slot, slots)
		}
	}
	for i, page := range s.Pages {
		if page < 0 || int(page) >= l.Pages {
			return fmt.Errorf("page table entry %d: page %d of %d", i, page, l.Pages)
		}
	}
	for b, context := range s.Context {
		first, last := s.SeqStart[b], s.SeqStart[b+1]
		if first >= last || s.PageStart[b] > s.PageStart[b+1] {
			return fmt.Errorf("sequence %d has no tokens or a negative page table", b)
		}
		if room := int64(s.PageStart[b+1]-s.PageStart[b]) * int64(l.PageSize); context < 1 || int64(context) > room {
			return fmt.Errorf("sequence %d: context of %d in pages for %d", b, context, room)
		}
		for i := first; i < last; i++ {
			if s.Positions[i] >= context {
				return fmt.Errorf("sequence %d: token %d at position %d is outside the context of %d", b, i, s.Positions[i], context)
			}
		}
	}
	if err := l.checkAdapters(s); err != nil {
		return err
	}
	return l.checkRows(s)
}

func (l *Limits) checkRows(s *engine.Step) error {
	vocab := int32(l.Vocab)
	if len(s.Drafts) != 0 && len(s.Drafts) != len(s.Rows) {
		return fmt.Errorf("step of %d sampled rows has %d drafts", len(s.Rows), len(s.Drafts))
	}
	for i, draft := range s.Drafts {
		if draft < -1 || draft >= vocab || draft >= 0 && i == len(s.Drafts)-1 {
			return fmt.Errorf("row %d: draft %d is outside the vocabulary of %d, or no row continues it", i, draft, vocab)
		}
	}
	for i := range s.Rows {
		row := &s.Rows[i]
		if p := row.Sampling; p != nil && p.Allowed != nil && len(p.Allowed) != (l.Vocab+31)/32 {
			return fmt.Errorf("row %d: a mask of %d words, the vocabulary of %d takes %d", i, len(p.Allowed), vocab, (l.Vocab+31)/32)
		}
		if row.Token < 0 || int(row.Token) >= s.T() || i > 0 && row.Token < s.Rows[i-1].Token {
			return fmt.Errorf("row %d: token %d is outside the step or out of order", i, row.Token)
		}
		if row.Logits != nil && len(row.Logits) != int(vocab) {
			return fmt.Errorf("row %d: room for %d logits, the vocabulary has %d", i, len(row.Logits), vocab)
		}
	}
	return nil
}
