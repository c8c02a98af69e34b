package tokenizer

import "hash/maphash"

// A wordCache remembers the ids of words that were encoded: text repeats its words. It is a fixed table in which a
// new word takes the place of an old one, so it neither grows nor allocates. One goroutine uses it at a time.
type wordCache struct {
	seed    maphash.Seed
	entries []cachedWord
}

const (
	cacheWords   = 1 << 13
	cacheWordLen = 26 // longer words are not kept; with cacheIDs an entry fills a cache line
	cacheIDs     = 9
)

type cachedWord struct {
	word   [cacheWordLen]byte
	length uint8
	count  uint8
	ids    [cacheIDs]int32
}

func newWordCache() wordCache {
	return wordCache{maphash.MakeSeed(), make([]cachedWord, cacheWords)}
}

func (c *wordCache) entry(word []byte) *cachedWord {
	return &c.entries[maphash.Bytes(c.seed, word)%cacheWords]
}

func (c *wordCache) get(word []byte) ([]int32, bool) {
	if len(word) > cacheWordLen {
		return nil, false
	}
	e := c.entry(word)
	if int(e.length) != len(word) || string(e.word[:e.length]) != string(word) {
		return nil, false
	}
	return e.ids[:e.count], true
}

func (c *wordCache) put(word []byte, ids []int32) {
	if len(word) > cacheWordLen || len(ids) > cacheIDs {
		return
	}
	e := c.entry(word)
	e.length, e.count = uint8(len(word)), uint8(len(ids))
	copy(e.word[:], word)
	copy(e.ids[:], ids)
}
