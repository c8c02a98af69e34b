package draft

import "math/bits"

// Index finds where a sequence has said its last tokens before: what followed then may follow now. Each token costs a few places of a table, whose size
// is bounded: in a sequence of many tokens, later n-grams take the places of earlier ones. The zero value is the index of an empty sequence.
// (After Saxena, "Prompt lookup decoding", 2023.)
type Index struct {
	table   []int32 // position behind an n-gram, at its hash; 0: none
	indexed int     // tokens whose n-grams are in the table
	source  int     // where the last match goes on; 0: nowhere
	seen    int     // tokens that there were then
}

// grams are the lengths that are looked up, longest first.
var grams = [...]int{4, 3, 2}

const (
	longestMatch   = 32 // tokens that are compared
	leastTable     = 1 << 8
	mostTable      = 1 << 16
	placesPerToken = 4 // of the table, at least, until it has its full size
)

// Match is a place of a sequence that ends with the tokens that the sequence ends with.
type Match struct {
	Next   int // position behind it
	Length int // tokens that are the same, as far as they were compared; 0: there is no such place
}

// Find returns the place with the longest end in common, of those that it looks at: where the last match goes on, and the latest with the same n-grams. tokens
// are those of the last call and more.
func (x *Index) Find(tokens []int32) Match {
	x.extend(tokens)
	best := Match{}
	consider := func(next int) {
		if n := common(tokens, next); n > best.Length {
			best = Match{Next: next, Length: n}
		}
	}
	if next := x.source + len(tokens) - x.seen; x.source > 0 && next < len(tokens) {
		consider(next)
	}
	for _, n := range grams {
		if best.Length > n || len(tokens) < n {
			continue
		}
		if next := int(x.table[x.place(tokens[len(tokens)-n:])]); next > 0 {
			consider(next)
		}
	}
	if best.Length < grams[len(grams)-1] {
		best = Match{}
	}
	x.source, x.seen = best.Next, len(tokens)
	return best
}

// extend takes the n-grams that have a token behind them into the table.
func (x *Index) extend(tokens []int32) {
	if want := placesPerToken * len(tokens); len(x.table) < leastTable || len(x.table) < min(want, mostTable) {
		x.table = make([]int32, min(mostTable, max(leastTable, 1<<bits.Len(uint(2*want-1)))))
		x.indexed = 0
	}
	for end := max(x.indexed, 1); end < len(tokens); end++ {
		for _, n := range grams {
			if n <= end {
				x.table[x.place(tokens[end-n:end])] = int32(end)
			}
		}
	}
	x.indexed = len(tokens)
}

func (x *Index) place(gram []int32) uint64 {
	h := uint64(len(gram))
	for _, id := range gram {
		h = (h ^ uint64(uint32(id))) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h & uint64(len(x.table)-1)
}

// common returns how many tokens before next are those at the end.
func common(tokens []int32, next int) int {
	n := 0
	for n < longestMatch && n < next && tokens[next-1-n] == tokens[len(tokens)-1-n] {
		n++
	}
	return n
}

// Append appends n guesses: what followed the match. Where that is the end of the sequence, the guesses themselves go on.
func (m Match) Append(dst, tokens []int32, n int) []int32 {
	first := len(dst)
	for i := m.Next; i < m.Next+n; i++ {
		if i < len(tokens) {
			dst = append(dst, tokens[i])
		} else {
			dst = append(dst, dst[first+i-len(tokens)])
		}
	}
	return dst
}
