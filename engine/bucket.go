package engine

import (
	"slices"

	"llmc/internal/sym"
)

// Buckets lists the numbers of tokens that steps of a program are padded to where each size has a graph of its own, ascending: powers of two,
// every limit of an entry, so that no bucket runs another entry than a step in it would, and most, the largest step.
func (p *Program) Buckets(most int) []int {
	buckets := []int{most}
	for n := 1; n < most; n *= 2 {
		buckets = append(buckets, n)
	}
	for i := range p.Launches {
		for _, c := range p.Launches[i].Code {
			if n := c.Limit.Max; c.Limit.Of == sym.Of(sym.T) && n > 0 && n < int64(most) {
				buckets = append(buckets, int(n))
			}
		}
	}
	slices.Sort(buckets)
	return slices.Compact(buckets)
}

// Pad makes the step one of as many tokens, sequences and sampled rows, each at least what it has. A token of padding is token 0 at position 0 of type 0, writes
// no slot and belongs to no sequence; a sequence of padding has no token; a row of padding samples the last token.
func (s *Step) Pad(tokens, sequences, rows int) {
	for s.T() < tokens {
		s.IDs, s.Positions, s.RopeLen, s.Slots = append(s.IDs, 0), append(s.Positions, 0), append(s.RopeLen, 1), append(s.Slots, -1)
	}
	for len(s.Types) > 0 && len(s.Types) < s.T() {
		s.Types = append(s.Types, 0)
	}
	for s.B() < sequences {
		s.SeqStart, s.Context, s.PageStart = append(s.SeqStart, s.SeqStart[s.B()]), append(s.Context, 0), append(s.PageStart, s.PageStart[s.B()])
	}
	for len(s.Adapters) > 0 && len(s.Adapters) < s.B() {
		s.Adapters = append(s.Adapters, 0)
	}
	for len(s.Source.Start) > 0 && len(s.Source.Length) < sequences {
		s.Source.Add(nil, 0)
	}
	for len(s.Rows) < rows {
		s.Rows = append(s.Rows, Row{Token: int32(s.T()) - 1})
	}
	for len(s.Drafts) > 0 && len(s.Drafts) < len(s.Rows) {
		s.Drafts = append(s.Drafts, -1)
	}
}

// Copy makes s equal to another step, in memory of its own.
func (s *Step) Copy(from *Step) {
	s.IDs, s.Positions = append(s.IDs[:0], from.IDs...), append(s.Positions[:0], from.Positions...)
	s.RopeLen, s.Slots = append(s.RopeLen[:0], from.RopeLen...), append(s.Slots[:0], from.Slots...)
	s.SeqStart, s.Context = append(s.SeqStart[:0], from.SeqStart...), append(s.Context[:0], from.Context...)
	s.Pages, s.PageStart = append(s.Pages[:0], from.Pages...), append(s.PageStart[:0], from.PageStart...)
	s.Rows, s.Drafts = append(s.Rows[:0], from.Rows...), append(s.Drafts[:0], from.Drafts...)
	s.Adapters = append(s.Adapters[:0], from.Adapters...)
	s.Source.Length, s.Source.Start = append(s.Source.Length[:0], from.Source.Length...), append(s.Source.Start[:0], from.Source.Start...)
	s.Source.Pages = append(s.Source.Pages[:0], from.Source.Pages...)
	s.Types, s.Soft = append(s.Types[:0], from.Types...), append(s.Soft[:0], from.Soft...)
}
