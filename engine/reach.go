package engine

// Reach says which of the positions around it a token sees in a launch of attention. The zero value is all up to its own.
type Reach struct {
	Window int64 // of those before it the last so many, its own included; 0: all
	Chunk  int64 // those of its own chunk, where positions are cut into chunks of so many; 0: all
	Ahead  int64 // so many behind its own, of those that its sequence has
	Text   bool  // all of the text that was encoded for its sequence, and nothing else; its own position does not matter
}

// ReachOf reads a launch of attention.
func ReachOf(l *Launch) Reach {
	return Reach{l.Int("window", 0), l.Int("chunk", 0), l.Int("ahead", 0), l.Kernel == textAttention}
}

// FromFirst tells that a token sees all positions before its own.
func (r Reach) FromFirst() bool { return r.Window == 0 && r.Chunk == 0 }

// Length is how many positions there are to be seen in sequence b of a step: its own, or those of its text.
func (r Reach) Length(s *Step, b int) int64 {
	if r.Text {
		return int64(s.Source.Length[b])
	}
	return int64(s.Context[b])
}

// First is the first position that a token at a position sees. It never moves back from one position to the next.
func (r Reach) First(position int64) int64 {
	first := int64(0)
	if r.Window > 0 {
		first = max(first, position-r.Window+1)
	}
	if r.Chunk > 0 {
		first = max(first, position/r.Chunk*r.Chunk)
	}
	return first
}

// Last is the last one, of so many positions.
func (r Reach) Last(position, length int64) int64 {
	switch {
	case r.Text:
		return length - 1
	case r.Ahead == 0:
		return position
	}
	return min(position+r.Ahead, length-1)
}

// Seen is how many positions it sees, its own included.
func (r Reach) Seen(position, length int64) int64 {
	return r.Last(position, length) + 1 - r.First(position)
}
