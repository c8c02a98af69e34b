package tokenizer

import (
	"math/bits"
	"math/rand/v2"
)

// pairTable finds the merge of a pair: open addressing with a multiplicative hash under a random odd factor, so
// that no file can make its pairs collide.
type pairTable struct {
	slots  []pairSlot // a power of two of them, at most half used
	factor uint64
	shift  uint
}

// pairSlot holds a pair as left<<32|right and its merge as rank<<32|result. A free one has noPair.
type pairSlot struct{ pair, merge uint64 }

const (
	noPair  = ^uint64(0)
	noMerge = ^uint64(0) // greater than every merge
)

// newPairTable stores the merges; of two for one pair the later counts.
func newPairTable(merges []merge) pairTable {
	size := 16
	for size < 2*len(merges) {
		size *= 2
	}
	t := pairTable{
		slots:  make([]pairSlot, size),
		factor: rand.Uint64() | 1,
		shift:  uint(64 - bits.TrailingZeros(uint(size))),
	}
	for i := range t.slots {
		t.slots[i].pair = noPair
	}
	for rank, m := range merges {
		slot := t.slot(m.left, m.right)
		*slot = pairSlot{uint64(m.left)<<32 | uint64(m.right), uint64(rank)<<32 | uint64(m.result)}
	}
	return t
}

// slot gives the slot of a pair, or the free one where it belongs.
func (t *pairTable) slot(left, right int32) *pairSlot {
	pair := uint64(left)<<32 | uint64(right)
	mask := uint64(len(t.slots) - 1)
	for at := pair * t.factor >> t.shift; ; at = (at + 1) & mask {
		if s := &t.slots[at]; s.pair == pair || s.pair == noPair {
			return s
		}
	}
}

// get gives the merge of a pair, or noMerge.
func (t *pairTable) get(left, right int32) uint64 {
	if s := t.slot(left, right); s.pair != noPair {
		return s.merge
	}
	return noMerge
}

// shortWord bounds the words that joinShort takes: it looks at all pairs for each merge.
const shortWord = 40

// join applies the merges to the symbols of a word, in place.
func (m *bpe) join(symbols []int32, s *scratch) []int32 {
	switch {
	case len(symbols) < 2:
		return symbols
	case len(symbols) <= shortWord:
		return m.joinShort(symbols, s)
	}
	return m.joinLong(symbols, s)
}

// joinShort scans for the lowest rank again and again.
func (m *bpe) joinShort(symbols []int32, s *scratch) []int32 {
	next := s.merges[:0] // next[i] is the merge of symbols i and i+1
	for i := range symbols[1:] {
		next = append(next, m.pairs.get(symbols[i], symbols[i+1]))
	}
	s.merges = next
	for {
		best, lowest := -1, uint64(noMerge)
		for i, candidate := range next {
			if candidate>>32 < lowest>>32 {
				best, lowest = i, candidate
			}
		}
		if best < 0 {
			return symbols
		}
		symbols[best] = int32(uint32(lowest))
		symbols = append(symbols[:best+1], symbols[best+2:]...)
		next = append(next[:best], next[best+1:]...)
		if best > 0 {
			next[best-1] = m.pairs.get(symbols[best-1], symbols[best])
		}
		if best < len(next) {
			next[best] = m.pairs.get(symbols[best], symbols[best+1])
		}
	}
}

// link is a symbol in the list of joinLong.
type link struct{ id, prev, next int32 }

// joinLong keeps the candidates in a heap: n symbols take O(n log n). A candidate is outdated when what is at its
// place no longer gives its result.
func (m *bpe) joinLong(symbols []int32, s *scratch) []int32 {
	links := s.links[:0]
	for i, id := range symbols {
		links = append(links, link{id, int32(i - 1), int32(i + 1)})
	}
	links[len(links)-1].next = -1
	s.links = links
	queue := &s.queue
	queue.items = queue.items[:0]
	offer := func(at int32) {
		if at < 0 || links[at].next < 0 {
			return
		}
		if c := m.pairs.get(links[at].id, links[links[at].next].id); c != noMerge {
			queue.push(candidate{c&^0xffffffff | uint64(uint32(at)), int32(uint32(c))})
		}
	}
	for i := range links[:len(links)-1] {
		offer(int32(i))
	}
	for len(queue.items) > 0 {
		top := queue.pop()
		at := int32(uint32(top.key))
		l := &links[at]
		if l.id == noValue || l.next < 0 {
			continue
		}
		right := links[l.next]
		if c := m.pairs.get(l.id, right.id); c == noMerge || int32(uint32(c)) != top.result {
			continue
		}
		links[l.next].id = noValue // gone
		l.id, l.next = top.result, right.next
		if right.next >= 0 {
			links[right.next].prev = at
		}
		offer(l.prev)
		offer(at)
	}
	out := symbols[:0]
	for at := int32(0); at >= 0; at = links[at].next {
		out = append(out, links[at].id)
	}
	return out
}

// candidate is a merge that may be applied: key is rank<<32|place, so that smaller keys come first.
type candidate struct {
	key    uint64
	result int32
}

// mergeQueue is a binary heap of candidates.
type mergeQueue struct{ items []candidate }

func (q *mergeQueue) push(c candidate) {
	q.items = append(q.items, c)
	i := len(q.items) - 1
	for i > 0 && c.key < q.items[(i-1)/2].key {
		q.items[i] = q.items[(i-1)/2]
		i = (i - 1) / 2
	}
	q.items[i] = c
}

func (q *mergeQueue) pop() candidate {
	top := q.items[0]
	last := q.items[len(q.items)-1]
	q.items = q.items[:len(q.items)-1]
	i := 0
	for {
		child := 2*i + 1
		if child >= len(q.items) {
			break
		}
		if child+1 < len(q.items) && q.items[child+1].key < q.items[child].key {
			child++
		}
		if last.key <= q.items[child].key {
			break
		}
		q.items[i] = q.items[child]
		i = child
	}
	if len(q.items) > 0 {
		q.items[i] = last
	}
	return top
}
