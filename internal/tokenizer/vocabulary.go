package tokenizer

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"sort"
	"strings"
	"sync"
)

// entry is a token of a vocabulary with its id.
type entry struct {
	token string
	id    int32
}

// A vocabulary maps tokens to ids and back. Tokens lie in one string, so that loading allocates little; the index
// from token to id is built on first use, with a seed of its own so that no file can make it collide.
type vocabulary struct {
	text string
	ends []uint32 // entry i is text[ends[i]:ends[i+1]]
	ids  []int32  // ids of the entries, ascending; nil where entry i has id i

	once  sync.Once
	seed  maphash.Seed
	slots []uint32 // open addressing: entry + 1, 0 is free; a power of two of them, at most half used
}

// newVocabulary keeps the entries in order of their ids; equal ids stay in the order given.
func newVocabulary(entries []entry) (*vocabulary, error) {
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.id, b.id) })
	v := &vocabulary{ends: make([]uint32, 1, len(entries)+1)}
	var text strings.Builder
	dense := true
	for i, e := range entries {
		if err := checkEntry(e); err != nil {
			return nil, err
		}
		dense = dense && e.id == int32(i)
		text.WriteString(e.token)
		v.ends = append(v.ends, uint32(text.Len()))
	}
	v.text = text.String()
	if !dense {
		for _, e := range entries {
			v.ids = append(v.ids, e.id)
		}
	}
	return v, nil
}

func checkEntry(e entry) error {
	if e.id < 0 || e.id >= maxID {
		return fmt.Errorf("id %d of token %.40q is not below %d", e.id, e.token, maxID)
	}
	if len(e.token) > maxToken {
		return fmt.Errorf("token %.40q of id %d is longer than %d bytes", e.token, e.id, maxToken)
	}
	return nil
}

func (v *vocabulary) len() int        { return len(v.ends) - 1 }
func (v *vocabulary) at(i int) string { return v.text[v.ends[i]:v.ends[i+1]] }
func (v *vocabulary) idAt(i int) int32 {
	if v.ids == nil {
		return int32(i)
	}
	return v.ids[i]
}

// token gives the token of an id; of several entries with one id, the first.
func (v *vocabulary) token(id int32) (string, bool) {
	i := int(id)
	if v.ids != nil {
		i = sort.Search(len(v.ids), func(i int) bool { return v.ids[i] >= id })
		if i == len(v.ids) || v.ids[i] != id {
			return "", false
		}
	}
	if i < 0 || i >= v.len() {
		return "", false
	}
	return v.at(i), true
}

// id gives the id of a token; of several equal tokens (Unigram files may have them), the last.
func (v *vocabulary) id(token string) (int32, bool) {
	v.once.Do(v.buildIndex)
	return v.find(maphash.String(v.seed, token), token)
}

// idOf is id without a conversion.
func (v *vocabulary) idOf(token []byte) (int32, bool) {
	v.once.Do(v.buildIndex)
	mask := uint32(len(v.slots) - 1)
	for at := uint32(maphash.Bytes(v.seed, token)) & mask; ; at = (at + 1) & mask {
		slot := v.slots[at]
		if slot == 0 {
			return 0, false
		}
		if v.at(int(slot-1)) == string(token) {
			return v.idAt(int(slot - 1)), true
		}
	}
}

func (v *vocabulary) find(hash uint64, token string) (int32, bool) {
	slot := v.slots[v.slotOf(hash, token)]
	if slot == 0 {
		return 0, false
	}
	return v.idAt(int(slot - 1)), true
}

// slotOf gives the slot that holds token, or the free one where it belongs.
func (v *vocabulary) slotOf(hash uint64, token string) uint32 {
	mask := uint32(len(v.slots) - 1)
	at := uint32(hash) & mask
	for v.slots[at] != 0 && v.at(int(v.slots[at]-1)) != token {
		at = (at + 1) & mask
	}
	return at
}

func (v *vocabulary) buildIndex() {
	size := 16
	for size < 2*v.len() {
		size *= 2
	}
	v.seed, v.slots = maphash.MakeSeed(), make([]uint32, size)
	for i := range v.len() {
		token := v.at(i)
		v.slots[v.slotOf(maphash.String(v.seed, token), token)] = uint32(i + 1)
	}
}
