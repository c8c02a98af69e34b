package tokenizer

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"unicode/utf8"
)

// unknownPenalty is how much worse than the worst token an unknown character scores (sentencepiece's
// kUnkPenalty).
const unknownPenalty = 10.0

var errNoUnknown = errors.New("unknown character, and the model has no unk_id")

// unigram finds the segmentation with the highest sum of log probabilities (Kudo 2018) with the Viterbi algorithm.
type unigram struct {
	vocab        *vocabulary
	scores       []float64 // by id
	unk          int32     // noValue: none
	unkScore     float64
	byteFallback bool

	once  sync.Once
	trie  *trie
	bytes *[256]int32
}

func newUnigram(d *definition) (model, error) {
	m := &unigram{vocab: d.vocab, scores: d.scores, unk: noValue, byteFallback: d.spec.Model.ByteFallback}
	if len(d.scores) != d.vocab.len() || d.vocab.ids != nil {
		return nil, fmt.Errorf("%d scores for %d tokens", len(d.scores), d.vocab.len())
	}
	if err := searchable(d.vocab); err != nil {
		return nil, err
	}
	worst := math.Inf(1)
	for _, s := range d.scores {
		if math.IsNaN(s) {
			return nil, errors.New("a score is not a number")
		}
		worst = min(worst, s)
	}
	m.unkScore = worst - unknownPenalty
	if id := d.spec.Model.UnkID; id != nil {
		if *id < 0 || int(*id) >= d.vocab.len() {
			return nil, fmt.Errorf("unk_id %d is not in the vocabulary of %d tokens", *id, d.vocab.len())
		}
		m.unk = *id
	}
	return m, nil
}

// searchable refuses vocabularies whose trie would need too much memory, or searches of it too much time.
func searchable(v *vocabulary) error {
	for i := range v.len() {
		if n := len(v.at(i)); n > maxSearched {
			return fmt.Errorf("token %.40q has %d bytes, at most %d can be searched", v.at(i), n, maxSearched)
		}
	}
	if len(v.text) > maxTrieBytes {
		return fmt.Errorf("tokens of %d bytes in all, at most %d can be searched", len(v.text), maxTrieBytes)
	}
	return nil
}

func vocabularyTrie(v *vocabulary) *trie { return newTrie(v.len(), v.at, v.idAt) }

func (m *unigram) prepare() {
	m.trie = vocabularyTrie(m.vocab)
	if m.byteFallback {
		m.bytes = byteTokens(m.vocab)
	}
}

// bestPath is the best segmentation that ends at a place of the word.
type bestPath struct {
	score float64
	start int32 // where its last token starts; -1: none reaches this place
	id    int32
}

func (m *unigram) appendWord(dst []int32, word []byte, s *scratch) ([]int32, error) {
	m.once.Do(m.prepare)
	paths := s.paths[:0]
	for range len(word) + 1 {
		paths = append(paths, bestPath{start: -1})
	}
	s.paths = paths
	for at := 0; at < len(word); {
		_, size := utf8.DecodeRune(word[at:])
		if err := m.extend(paths, word, at, size); err != nil {
			return dst, err
		}
		at += size
	}
	return m.backtrack(dst, word, paths, s)
}

// extend offers every token that starts at a place, and the unknown token where no token is the single character.
func (m *unigram) extend(paths []bestPath, word []byte, at, size int) error {
	base := paths[at].score
	offer := func(end int, score float64, id int32) {
		if p := &paths[end]; p.start < 0 || score > p.score {
			*p = bestPath{score, int32(at), id}
		}
	}
	single := false
	node := int32(root)
	for end := at; end < len(word); {
		if node = m.trie.child(node, word[end]); node < 0 {
			break
		}
		end++
		if id := m.trie.value[node]; id != noValue {
			offer(end, m.scores[id]+base, id)
			single = single || end-at == size
		}
	}
	if single {
		return nil
	}
	if p := &paths[at+size]; p.start >= 0 && m.unkScore+base <= p.score {
		return nil
	}
	if m.unk == noValue {
		return errNoUnknown
	}
	offer(at+size, m.unkScore+base, m.unk)
	return nil
}

// backtrack appends the ids of the best path. Adjacent unknown characters are one token, which is then looked up as
// a whole: in the vocabulary, as bytes, or as the unknown token.
func (m *unigram) backtrack(dst []int32, word []byte, paths []bestPath, s *scratch) ([]int32, error) {
	pieces := s.links[:0] // start and end of each token in prev and next, last token first
	for end := int32(len(word)); end > 0; {
		p := paths[end]
		if n := len(pieces); p.id == m.unk && n > 0 && pieces[n-1].id == m.unk {
			pieces[n-1].prev = p.start
		} else {
			pieces = append(pieces, link{p.id, p.start, end})
		}
		end = p.start
	}
	s.links = pieces
	for i := len(pieces) - 1; i >= 0; i-- {
		p := pieces[i]
		if p.id != m.unk {
			dst = append(dst, p.id)
			continue
		}
		dst = m.appendUnknown(dst, word[p.prev:p.next])
	}
	return dst, nil
}

func (m *unigram) appendUnknown(dst []int32, piece []byte) []int32 {
	if node := m.trie.walk(root, string(piece)); node >= 0 && m.trie.value[node] != noValue {
		return append(dst, m.trie.value[node])
	}
	if m.byteFallback {
		all := true
		for _, b := range piece {
			all = all && m.bytes[b] != noValue
		}
		if all {
			for _, b := range piece {
				dst = append(dst, m.bytes[b])
			}
			return dst
		}
	}
	return append(dst, m.unk)
}
