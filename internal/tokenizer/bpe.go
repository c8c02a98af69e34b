package tokenizer

import (
	"fmt"
	"sync"
	"unicode/utf8"
)

// merge joins two adjacent tokens into one; its rank is its place in the list.
type merge struct{ left, right, result int32 }

// bpe is byte pair encoding as in Sennrich, Haddow, Birch (2016): a word is cut into characters, then the adjacent pair
// with the lowest rank is joined, the leftmost of equals first, until no pair has a rank.
type bpe struct {
	vocab  *vocabulary
	merges []merge
	spec   modelSpec

	once   sync.Once
	pairs  pairTable
	plain  [plainRunes]int32 // ids of characters without prefix and suffix
	bytes  *[256]int32       // with byte fallback
	unk    int32             // noValue: none in the vocabulary
	prefix string
	suffix string
}

// plainRunes bounds the characters looked up by index: those of the byte-level alphabet and Latin-1.
const plainRunes = 0x180

func newBPE(d *definition) (model, error) {
	var known []bool // by id
	for i := range d.vocab.len() {
		known = append(known, make([]bool, int(d.vocab.idAt(i))+1-len(known))...)
		known[d.vocab.idAt(i)] = true
	}
	for i, m := range d.merges {
		for _, id := range []int32{m.left, m.right, m.result} {
			if int(id) >= len(known) || !known[id] {
				return nil, fmt.Errorf("merge %d uses id %d, which is not in the vocabulary", i, id)
			}
		}
	}
	return &bpe{vocab: d.vocab, merges: d.merges, spec: d.spec.Model}, nil
}

// prepare builds the tables that only encoding needs.
func (m *bpe) prepare() {
	m.pairs = newPairTable(m.merges)
	m.prefix, m.suffix = orEmpty(m.spec.ContinuingSubwordPrefix), orEmpty(m.spec.EndOfWordSuffix)
	for r := range m.plain {
		m.plain[r] = noValue
		if id, ok := m.vocab.id(string(rune(r))); ok {
			m.plain[r] = id
		}
	}
	if m.spec.ByteFallback {
		m.bytes = byteTokens(m.vocab)
	}
	m.unk = noValue
	if m.spec.UnkToken != nil {
		if id, ok := m.vocab.id(*m.spec.UnkToken); ok {
			m.unk = id
		}
	}
}

func (m *bpe) appendWord(dst []int32, word []byte, s *scratch) ([]int32, error) {
	m.once.Do(m.prepare)
	if ids, ok := s.words.get(word); ok {
		return append(dst, ids...), nil
	}
	if m.spec.IgnoreMerges {
		if id, ok := m.vocab.idOf(word); ok {
			return append(dst, id), nil
		}
	}
	symbols, err := m.symbols(s.symbols[:0], word, s)
	s.symbols = symbols[:0]
	if err != nil {
		return dst, err
	}
	symbols = m.join(symbols, s)
	s.words.put(word, symbols)
	return append(dst, symbols...), nil
}

// symbols gives the ids of the characters of word, before any merge. A character that the vocabulary lacks becomes
// its bytes, or the unknown token, or nothing. As in the reference, an unknown token is held back until the next
// known character, so bytes that follow it come first.
func (m *bpe) symbols(dst []int32, word []byte, s *scratch) ([]int32, error) {
	held := 0 // unknown tokens not yet appended; at most one
	for i := 0; i < len(word); {
		r, size := rune(word[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(word[i:])
		}
		spelled := s.spell(word[i:i+size], m.prefix, m.suffix, i == 0, i+size == len(word))
		i += size
		id, ok := m.characterID(r, spelled)
		switch {
		case ok:
			if held > 0 {
				dst, held = append(dst, m.unk), 0
			}
			dst = append(dst, id)
		case m.spec.ByteFallback && m.haveBytes(spelled):
			for _, b := range spelled {
				dst = append(dst, m.bytes[b])
			}
		case m.spec.UnkToken != nil:
			if m.unk == noValue {
				return dst, fmt.Errorf("unknown character %q, and the unknown token %.40q is not in the vocabulary", r, *m.spec.UnkToken)
			}
			if held > 0 && !m.spec.FuseUnk {
				dst = append(dst, m.unk)
			}
			held = 1
		}
	}
	if held > 0 {
		dst = append(dst, m.unk)
	}
	return dst, nil
}

// spell writes a character of a word as the vocabulary has it: with the prefix unless it is the first, with the suffix
// if it is the last.
func (s *scratch) spell(character []byte, prefix, suffix string, first, last bool) []byte {
	if prefix == "" && suffix == "" || (first || prefix == "") && (!last || suffix == "") {
		return character
	}
	s.spelled = s.spelled[:0]
	if !first {
		s.spelled = append(s.spelled, prefix...)
	}
	s.spelled = append(s.spelled, character...)
	if last {
		s.spelled = append(s.spelled, suffix...)
	}
	return s.spelled
}

func (m *bpe) characterID(r rune, spelled []byte) (int32, bool) {
	if r < plainRunes && len(spelled) == utf8.RuneLen(r) {
		return m.plain[r], m.plain[r] != noValue
	}
	return m.vocab.idOf(spelled)
}

func (m *bpe) haveBytes(spelled []byte) bool {
	for _, b := range spelled {
		if m.bytes[b] == noValue {
			return false
		}
	}
	return true
}
