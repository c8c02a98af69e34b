package kv

import (
	"math/bits"
	"slices"
)

func newBuckets(pages int) []int32 {
	b := make([]int32, 1<<bits.Len(uint(2*pages-1)))
	for i := range b {
		b[i] = none
	}
	return b
}

// hashKey starts the hash of a sequence's first page.
func (p *Pool) hashKey(k Key) uint64 {
	h := p.seed
	for i := 0; i < len(k.Salt); i++ {
		h = mix(h, uint64(k.Salt[i]))
	}
	return mix(mix(h^uint64(len(k.Salt)), uint64(k.Variant)), k.Adapter)
}

// hashTokens continues the hash of the parent page over the tokens of one page.
func hashTokens(h uint64, tokens []int32) uint64 {
	for len(tokens) >= 2 {
		h = mix(h, uint64(uint32(tokens[0]))|uint64(uint32(tokens[1]))<<32)
		tokens = tokens[2:]
	}
	if len(tokens) == 1 {
		h = mix(h, uint64(uint32(tokens[0]))|1<<63)
	}
	return h
}

// mix folds one word into a hash by a full 64x64 bit multiplication. The seed of the pool is secret, so that
// prompts can not be made to fall into one bucket; being the same is decided by comparison alone.
func mix(h, word uint64) uint64 {
	hi, lo := bits.Mul64(h^0x9e3779b97f4a7c15, word^0xd1b54a32d192ed03)
	return hi ^ lo ^ bits.RotateLeft64(h, 23)
}

// find returns the indexed page that follows parent and holds tokens, or none.
func (p *Pool) find(hash uint64, parent int32, key *Key, tokens []int32) int32 {
	n := p.buckets[hash&uint64(len(p.buckets)-1)]
	for n != none {
		pg := &p.pages[n]
		if pg.hash == hash && pg.parent == parent && int(pg.count) == len(tokens) && (parent != none || p.keys[n] == *key) && slices.Equal(p.pageTokens(n), tokens) {
			return n
		}
		n = pg.chain
	}
	return none
}

// pageTokens are the tokens by which an indexed page is found.
func (p *Pool) pageTokens(n int32) []int32 {
	return p.tokens[int(n)*p.pageSize:][:p.pages[n].count]
}

// remember puts a held page into the index.
func (p *Pool) remember(n int32, hash uint64, parent int32, key *Key, tokens []int32) {
	pg := &p.pages[n]
	pg.hash, pg.parent, pg.count, pg.state = hash, parent, int32(len(tokens)), indexed
	if len(tokens) < p.pageSize {
		pg.state = tail
	}
	if parent == none {
		p.keys[n] = *key
	}
	copy(p.pageTokens(n), tokens)
	p.tellStored(n, key.Adapter)
	head := &p.buckets[hash&uint64(len(p.buckets)-1)]
	pg.chain, *head = *head, n
}

// forget takes a page out of the index.
func (p *Pool) forget(n int32) {
	pg := &p.pages[n]
	link := &p.buckets[pg.hash&uint64(len(p.buckets)-1)]
	for *link != n {
		link = &p.pages[*link].chain
	}
	*link = pg.chain
	p.tellRemoved(n)
	if pg.parent == none {
		p.keys[n] = Key{} // lets go of the string
	}
	pg.state = unindexed
}
