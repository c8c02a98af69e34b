package engine

// AttentionSplit is the positions of a split of attention, from multiples of it on. It is part of what a launch of attention means: splits are
// summed up one by one and put together in order of position.
const AttentionSplit = 256

// Item is a piece of a step's attention: some splits of up to as many neighbouring tokens of one sequence as the launch's attribute "block" says.
// The input "items" holds counters (see AttentionCounters), then items, as eight int32 each. The list is padded to its bound with items of no tokens.
type Item struct {
	Sequence, First, Count int32
	From, To               int32 // splits From to To-1 of those that its tokens see
	// Where one item has all splits, Pieces is 1. Else so many items have the same tokens, and splits next to each other; Partial is the number
	// of the first row of theirs in partials, and Counter that of the counter on which they count themselves.
	Pieces, Partial, Counter int32
}

// AttentionCounters is the size in int32 of the counters before the items: one for each CTA of each item that may be in pieces. They are zero before
// and after each launch.
func AttentionCounters(extra, planes int) int { return (extra*planes + 7) / 8 * 8 }

// Sizes in partials: a row begins with its largest exponent and its sum, which take PartialHeadBytes; then come the channels.
const (
	PartialHeadBytes = 16
	PartialLineBytes = 64 // of a row of the buffer, which has nothing to do with rows of partials
)

// PartialRowBytes is the size of one row of partials.
func PartialRowBytes(dim int) int { return PartialHeadBytes + (dim+15)/16*64 }
