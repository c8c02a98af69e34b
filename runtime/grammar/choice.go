package grammar

import (
	"slices"
	"strings"
)

// choice is the rule of one text of a list.
func choice(list []string) (*rule, error) {
	total := 0
	var words []string
	for _, s := range list {
		if total += len(s); total > maxSourceBytes {
			return nil, tooLarge("the list: more than %d bytes", maxSourceBytes)
		}
		words = append(words, strings.ToValidUTF8(s, "\ufffd"))
	}
	if len(words) == 0 {
		return nil, wrong("", "the list has no choices")
	}
	slices.Sort(words)
	return &rule{name: "choice", body: &expr{op: opWords, words: slices.Compact(words)}}, nil
}

// wordsAutomaton is the trie of words, which are sorted: as long lists have no other automaton, it is made without the subsets of determinize.
func wordsAutomaton(w *work, words []string) *dfa {
	d := &dfa{states: make([]dfaState, 1), trie: true}
	path := []int32{0} // states behind each byte of the last word
	last := ""
	for _, word := range words {
		shared := 0
		for shared < min(len(last), len(word)) && last[shared] == word[shared] {
			shared++
		}
		path = path[:shared+1]
		for _, c := range []byte(word[shared:]) {
			next := int32(len(d.states))
			if w.tooLarge(len(d.states)+1, maxWordStates, "states of a list of choices") {
				return d
			}
			from := &d.states[path[len(path)-1]]
			from.edges = append(from.edges, edge{byteRange{c, c}, next})
			d.states = append(d.states, dfaState{})
			path = append(path, next)
		}
		d.states[path[len(path)-1]].final = true
		last = word
	}
	return d
}
