package tokenizer

import (
	"errors"
	"sync"
	"unicode/utf8"
)

var errNoUnknownToken = errors.New("unknown word, and the unknown token is not in the vocabulary")

// wordPiece takes the longest token that the word starts with, then the longest continuation, and so on; a word that
// does not work out is the unknown token.
type wordPiece struct {
	vocab *vocabulary
	spec  modelSpec

	once         sync.Once
	trie         *trie
	continuation int32 // node of the trie under the continuation prefix; -1: no token has it
	unk          int32
}

func newWordPiece(d *definition) (model, error) {
	s := &d.spec.Model
	if s.MaxInputCharsPerWord == nil || s.UnkToken == nil || s.ContinuingSubwordPrefix == nil {
		return nil, errors.New("unk_token, continuing_subword_prefix or max_input_chars_per_word is missing")
	}
	if err := searchable(d.vocab); err != nil {
		return nil, err
	}
	return &wordPiece{vocab: d.vocab, spec: *s}, nil
}

func (m *wordPiece) prepare() {
	m.trie = vocabularyTrie(m.vocab)
	m.continuation = m.trie.walk(root, orEmpty(m.spec.ContinuingSubwordPrefix))
	m.unk = noValue
	if id, ok := m.vocab.id(orEmpty(m.spec.UnkToken)); ok {
		m.unk = id
	}
}

func (m *wordPiece) appendWord(dst []int32, word []byte, _ *scratch) ([]int32, error) {
	m.once.Do(m.prepare)
	kept := len(dst)
	good := utf8.RuneCount(word) <= *m.spec.MaxInputCharsPerWord
	for node, rest := int32(root), word; good && len(rest) > 0; node = m.continuation {
		length, id := 0, int32(0)
		if node >= 0 {
			id, length = m.trie.longest(node, rest)
		}
		good = length > 0
		dst, rest = append(dst, id), rest[length:]
	}
	if good {
		return dst, nil
	}
	if m.unk == noValue {
		return dst[:kept], errNoUnknownToken
	}
	return append(dst[:kept], m.unk), nil
}

// wordLevel looks whole words up.
type wordLevel struct {
	vocab *vocabulary
	unk   string
}

func newWordLevel(d *definition) (model, error) {
	if d.spec.Model.UnkToken == nil {
		return nil, errors.New("unk_token is missing")
	}
	return &wordLevel{d.vocab, *d.spec.Model.UnkToken}, nil
}

func (m *wordLevel) appendWord(dst []int32, word []byte, _ *scratch) ([]int32, error) {
	if id, ok := m.vocab.idOf(word); ok {
		return append(dst, id), nil
	}
	if id, ok := m.vocab.id(m.unk); ok {
		return append(dst, id), nil
	}
	return dst, errNoUnknownToken
}
