package grammar

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
)

// Token is what a token of a vocabulary stands for in text; Middle is nil for tokens that are no text: special ones, and ids without a token.
type Token struct {
	Middle []byte
	// First is what it stands for as the first of an output, which some decoders take a space from; otherwise the same as Middle.
	First []byte
}

// maxTokenBytes is how long a token may be that a constrained output can have.
const maxTokenBytes = 255

// Vocabulary is the tokens of a model in the order in which masks are made of them. It may be used by many goroutines.
type Vocabulary struct {
	size    int // tokens; ids are below
	words   int // of a mask
	tokens  tokenTexts
	tree    tree       // of tokens in the middle of a text
	first   *tree      // of tokens that are something else at its beginning; nil: there are none
	other   []int32    // these, ascending
	firsts  tokenTexts // what they are there
	ends    []int32    // ids that end an output
	longest int        // bytes of a token

	preparing sync.Mutex   // held by the one that makes masks ahead
	waiting   atomic.Int32 // of these, with the one that does

	spare   chan []uint32 // masks of nothing
	filling atomic.Bool   // more of them are made

	mu    sync.Mutex // guards what the grammars keep, too
	kept  keptMasks
	folds map[alphabetName]*fold
	clock uint64 // of uses of folds
}

// tokenTexts is the texts of tokens, one behind the other.
type tokenTexts struct {
	bytes []byte
	ends  []uint32
}

func (t *tokenTexts) add(text []byte) {
	t.bytes = append(t.bytes, text...)
	t.ends = append(t.ends, uint32(len(t.bytes)))
}

func (t *tokenTexts) at(i int32) []byte {
	from := uint32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	return t.bytes[from:t.ends[i]]
}

// NewVocabulary makes a vocabulary of size ids. ends are the end-of-sequence tokens, which are never text.
func NewVocabulary(size int, token func(id int32) Token, ends []int32) *Vocabulary {
	v := &Vocabulary{size: size, words: (size + 31) / 32, ends: slices.Clone(ends), kept: newKeptMasks(), folds: map[alphabetName]*fold{}, spare: make(chan []uint32, spareMasks)}
	var middle, first []leaf
	for id := range int32(size) {
		t := Token{}
		if !slices.Contains(ends, id) {
			t = token(id)
		}
		if len(t.Middle) > maxTokenBytes || len(t.First) > maxTokenBytes {
			t = Token{}
		}
		v.longest = max(v.longest, len(t.Middle), len(t.First))
		v.tokens.add(t.Middle)
		if len(t.Middle) > 0 {
			middle = append(middle, leaf{slices.Clone(t.Middle), id})
		}
		if !bytes.Equal(t.Middle, t.First) {
			v.other = append(v.other, id)
			v.firsts.add(t.First)
			if len(t.First) > 0 {
				first = append(first, leaf{slices.Clone(t.First), id})
			}
		}
	}
	v.tree = newTree(middle)
	if len(v.other) > 0 {
		t := newTree(first)
		v.first = &t
	}
	return v
}

// prepare folds the tree as the rules of a program want it, and drops what was used least. It is called without the lock.
func (v *Vocabulary) prepare(p *program) {
	for i := range p.folds {
		f := p.folds[i]
		for j, name := range f.names {
			v.mu.Lock()
			_, known := v.folds[name]
			if f.alphabets[j].spare {
				before := v.folds[f.names[j-1]]
				known = known || before != nil && before.whole != nil
			}
			v.mu.Unlock()
			if known {
				continue
			}
			made := newFold(v, f.alphabets[j])
			v.mu.Lock()
			if len(v.folds) >= heldFolds {
				oldest := name
				for other, f := range v.folds {
					if oldest == name || f.used < v.folds[oldest].used {
						oldest = other
					}
				}
				delete(v.folds, oldest)
			}
			v.clock++
			made.used = v.clock
			v.folds[name] = made
			v.mu.Unlock()
		}
	}
}

// firstText is what a token that is something else at the beginning of a text is there.
func (v *Vocabulary) firstText(id int32) ([]byte, bool) {
	i, found := slices.BinarySearch(v.other, id)
	if !found {
		return nil, false
	}
	return v.firsts.at(int32(i)), true
}

// leaf is a token to be put into a tree.
type leaf struct {
	text []byte
	id   int32
}

// tree is a trie of tokens in preorder: the children of a node are behind it, up to end.
type tree struct {
	nodes []treeNode
	roots []root            // the first nodes, which lie far from each other
	twins map[int32][]int32 // further tokens of the same text, by the one that a node names
}

// root is a node that tokens begin with.
type root struct {
	node uint32
	char byte
}

type treeNode struct {
	token int32 // -1: none ends here
	end   uint32
	char  byte
	depth uint8 // bytes before this one
}

func newTree(leaves []leaf) tree {
	slices.SortStableFunc(leaves, func(a, b leaf) int { return bytes.Compare(a.text, b.text) })
	t := tree{twins: map[int32][]int32{}}
	var open []int // nodes on the way to the last leaf
	var last []byte
	for _, l := range leaves {
		if len(last) > 0 && bytes.Equal(last, l.text) {
			first := t.nodes[len(t.nodes)-1].token
			t.twins[first] = append(t.twins[first], l.id)
			continue
		}
		shared := 0
		for shared < min(len(last), len(l.text)) && last[shared] == l.text[shared] {
			shared++
		}
		for _, i := range open[shared:] {
			t.nodes[i].end = uint32(len(t.nodes))
		}
		open = open[:shared]
		for depth := shared; depth < len(l.text); depth++ {
			open = append(open, len(t.nodes))
			t.nodes = append(t.nodes, treeNode{token: -1, char: l.text[depth], depth: uint8(depth)})
		}
		t.nodes[len(t.nodes)-1].token = l.id
		last = l.text
	}
	for _, i := range open {
		t.nodes[i].end = uint32(len(t.nodes))
	}
	for at := uint32(0); int(at) < len(t.nodes); at = t.nodes[at].end {
		t.roots = append(t.roots, root{at, t.nodes[at].char})
	}
	return t
}
