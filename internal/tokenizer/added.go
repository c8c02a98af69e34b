package tokenizer

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"llmc/internal/tokenizer/ucd"
)

// addedSpec is an added token of the file. Its id there is not read: like the reference, a token has the id of
// the vocabulary, or the next free one.
type addedSpec struct {
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word,omitempty"` // matches only as a whole word
	Lstrip     bool   `json:"lstrip,omitempty"`      // takes white space to the left with it
	Rstrip     bool   `json:"rstrip,omitempty"`
	Normalized bool   `json:"normalized,omitempty"` // matches in normalized text
	Special    bool   `json:"special,omitempty"`    // left out when decoding without special tokens
}

// addedVocabulary holds the added tokens and the two searches for them.
type addedVocabulary struct {
	byID       map[int32]addedSpec
	ids        map[string]int32
	special    map[string]bool
	raw        addedSearch // in the text as given
	normalized addedSearch
}

func newAddedVocabulary(specs []addedSpec, v *vocabulary, steps []normalizer) (*addedVocabulary, error) {
	a := &addedVocabulary{byID: map[int32]addedSpec{}, ids: map[string]int32{}, special: map[string]bool{}}
	next := int32(v.len())
	var first, rest []addedSpec // the order in which equal contents win: special tokens first
	for _, spec := range specs {
		if len(spec.Content) > maxAdded {
			return nil, fmt.Errorf("added token %.40q is longer than %d bytes", spec.Content, maxAdded)
		}
		if spec.Content != "" && spec.Special && !a.special[spec.Content] {
			a.special[spec.Content] = true
			first = append(first, spec)
		}
	}
	for _, spec := range specs {
		if spec.Content == "" {
			continue
		}
		id, ok := a.ids[spec.Content]
		if !ok {
			id, ok = v.id(spec.Content)
		}
		if !ok {
			id = next
			next++
		}
		if err := checkID(id); err != nil {
			return nil, fmt.Errorf("added token %.40q: %w", spec.Content, err)
		}
		a.ids[spec.Content], a.byID[id] = id, spec
		if !a.special[spec.Content] {
			rest = append(rest, spec)
		}
	}
	return a, a.buildSearches(append(first, rest...), steps)
}

func (a *addedVocabulary) buildSearches(specs []addedSpec, steps []normalizer) error {
	var raw, normalized []entry
	s := newScratch(nil)
	for _, spec := range specs {
		id := a.ids[spec.Content]
		if !spec.Normalized {
			raw = append(raw, entry{spec.Content, id})
			continue
		}
		out, err := normalize(steps, piece{text: []byte(spec.Content)}, s)
		if err != nil {
			return fmt.Errorf("added token %.40q: %w", spec.Content, err)
		}
		if len(out.text) > maxFile/maxAdded {
			return fmt.Errorf("added token %.40q is %d bytes long when normalized", spec.Content, len(out.text))
		}
		normalized = append(normalized, entry{string(out.text), id})
	}
	a.raw, a.normalized = newAddedSearch(raw), newAddedSearch(normalized)
	return nil
}

// addedSearch finds added tokens: at each place the longest.
type addedSearch struct {
	trie   *trie
	starts [256]bool // bytes that a token starts with
	any    bool
}

// newAddedSearch lets the first of equal contents win; empty ones (a normalizer can make them) match nothing.
func newAddedSearch(entries []entry) addedSearch {
	slices.Reverse(entries) // of equal keys a trie takes the last
	entries = slices.DeleteFunc(entries, func(e entry) bool { return e.token == "" })
	s := addedSearch{any: len(entries) > 0}
	for _, e := range entries {
		s.starts[e.token[0]] = true
	}
	s.trie = newTrie(len(entries), func(i int) string { return entries[i].token }, func(i int) int32 { return entries[i].id })
	return s
}

// find gives the next token in text from a place on; length 0: none.
func (s *addedSearch) find(text []byte, from int) (start, length int, id int32) {
	for i := from; i < len(text); i++ {
		if !s.starts[text[i]] {
			continue
		}
		if id, n := s.trie.longest(root, text[i:]); n > 0 {
			return i, n, id
		}
	}
	return len(text), 0, 0
}

// cut splits a piece at the added tokens in it: onText gets what lies between, onToken the ids, in order. What a token
// strips belongs to it.
func (a *addedVocabulary) cut(s *addedSearch, p piece, onText func(piece) error, onToken func(int32)) error {
	done := 0 // p.text[:done] is handed on
	for from := 0; s.any; {
		start, length, id := s.find(p.text, from)
		if length == 0 {
			break
		}
		end := start + length
		from = end
		token := a.byID[id]
		if token.SingleWord && (endsWithWord(p.text[:start]) || startsWithWord(p.text[end:])) {
			continue
		}
		if token.Lstrip {
			start = trimRight(p.text, start, done)
		}
		if token.Rstrip { // up to done only white space can lie here: the token before took it
			end = trimLeft(p.text, max(end, done))
		}
		if done < start {
			if err := onText(p.slice(done, start)); err != nil {
				return err
			}
		}
		if start < end { // else the token before took it all as white space
			onToken(id)
		}
		done = end
	}
	if done < len(p.text) {
		return onText(p.slice(done, len(p.text)))
	}
	return nil
}

func endsWithWord(text []byte) bool {
	r, size := utf8.DecodeLastRune(text)
	return size > 0 && ucd.IsWord(r)
}

func startsWithWord(text []byte) bool {
	r, size := utf8.DecodeRune(text)
	return size > 0 && ucd.IsWord(r)
}

// trimRight gives where the white space that ends at text[end] starts, but not a place before least.
func trimRight(text []byte, end, least int) int {
	for end > least {
		r, size := utf8.DecodeLastRune(text[:end])
		if !ucd.IsSpace(r) {
			break
		}
		end -= size
	}
	return max(end, least)
}

// trimLeft gives where the white space that starts at text[start] ends.
func trimLeft(text []byte, start int) int {
	for start < len(text) {
		r, size := utf8.DecodeRune(text[start:])
		if !ucd.IsSpace(r) {
			break
		}
		start += size
	}
	return start
}
