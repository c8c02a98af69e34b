package engine

// Reach says which of the positions before it a token sees in a launch of attention. The zero value is all of them.
type Reach struct {
	Window int64 // the last so many, its own included; 0: all
	Chunk  int64 // those of its own chunk, where positions are cut into chunks of so many; 0: all
}

// ReachOf reads a launch of attention.
func ReachOf(l *Launch) Reach { return Reach{l.Int("window", 0), l.Int("chunk", 0)} }

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

// Seen is how many positions it sees, its own included.
func (r Reach) Seen(position int64) int64 { return position + 1 - r.First(position) }
