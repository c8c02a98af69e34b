package grammar

import "unicode/utf8"

// Most of a vocabulary may come next inside of a string, and a walk of all of it takes milliseconds. But there its tokens are told apart by little: how many characters they have,
// and what they have that a string can not hold as it is. So a vocabulary is folded: bytes that such places of a rule do not tell apart are written as one of them, and tokens that
// are equal then are one group. A folded tree of a few hundred nodes takes the place of one of some hundred thousand, whatever place the walk begins at.

// alphabet is what the places of a rule that may be walked with a folded tree have in common.
type alphabet struct {
	same  [256]byte // the byte that stands for each at these places
	tame  [256]bool // leads from such a place to such a place alone, or nowhere
	never [256]bool // leads nowhere from any of them
	ends  [256]bool // may lead to where the rule may be left
	exits [256]bool // the same, from any place of the rule
	other [256]byte // the byte that stands for each in all of the rule
	char  byte      // stands for every character beyond ASCII, if whole
	whole bool
	spare bool // only wanted where the one before it is too large
}

// fold is a vocabulary's tree as an alphabet has it, and the subtrees of each first byte.
type fold struct {
	whole  *foldTree            // nil: folding is not worth it
	behind map[uint32]*foldTree // by node of the vocabulary's tree
	bytes  int64
	used   uint64
}

// foldTree is in preorder, as a tree is.
type foldTree struct {
	nodes []foldNode
	all   []uint32 // tokens of all nodes; nil: they are few
}

type foldNode struct {
	char  byte
	depth uint8
	end   uint32
	few   []int32  // tokens that end here
	bits  []uint32 // the same, where they are many
	count uint32   // of these
	below uint32   // of these, and of those of the nodes below
	under []uint32 // the same as bits, where they are many
	exit  *exit    // nodes of the vocabulary's tree that others are below of
}

const foldFrom = 32 // nodes of a subtree that is worth folding

// folder folds one tree.
type folder struct {
	v     *Vocabulary
	a     *alphabet
	nodes []foldedNode
	full  bool // it would have too many
}

type foldEdge struct {
	at   int32
	char byte
}

type foldedNode struct {
	children []foldEdge // with the child as at
	tokens   []int32
	inner    []uint32
}

// cursor is where the way to a node of the vocabulary's tree has come to in the folded one.
type cursor struct {
	at      int32
	tail    bool // behind a byte that is not tame
	pending [utf8.UTFMax]byte
	waiting uint8 // bytes of pending
}

// newFold folds a vocabulary's tree; the fold is empty where it is not worth it.
func newFold(v *Vocabulary, a *alphabet) *fold {
	t := &v.tree
	f := &fold{behind: map[uint32]*foldTree{}}
	f.whole = f.tree(v, a, 0, uint32(len(t.nodes)))
	for at := uint32(0); int(at) < len(t.nodes); at = t.nodes[at].end {
		if f.bytes > mostFoldSize {
			break
		}
		if t.nodes[at].end-at > foldFrom {
			f.behind[at] = f.tree(v, a, at+1, t.nodes[at].end)
		}
	}
	if f.bytes > mostFoldSize {
		return &fold{}
	}
	return f
}

func (f *fold) tree(v *Vocabulary, a *alphabet, from, to uint32) *foldTree {
	b := &folder{v: v, a: a, nodes: make([]foldedNode, 1)}
	b.read(from, to)
	if b.full {
		f.bytes = mostFoldSize + 1
		return nil
	}
	out := make([]foldNode, 0, len(b.nodes))
	b.flatten(0, 0, &out)
	merging, total := mostMerging, 0
	for i := range out {
		n := &out[i]
		f.bytes += 96 + int64(4*(len(n.few)+len(n.bits)))
		if size := int64(4 * v.words); int(n.below) > v.words/2 && f.bytes+size < mostFoldSize/2 {
			n.under = make([]uint32, v.words)
			for j := i; j < int(n.end); j++ {
				out[j].set(n.under)
			}
			f.bytes += size
		}
		if n.exit != nil {
			f.bytes += n.exit.merge(&merging)
		}
		total += int(n.count)
	}
	t := &foldTree{nodes: out}
	if total > v.words/2 {
		t.all = make([]uint32, v.words)
		f.bytes += int64(4 * v.words)
		for i := range out {
			out[i].set(t.all)
		}
	}
	return t
}

// set allows a node's tokens.
func (n *foldNode) set(bits []uint32) {
	if n.bits != nil {
		or(bits, n.bits)
	}
	for _, token := range n.few {
		bits[token/32] |= 1 << (token % 32)
	}
}

// taking is the work of taking the tokens of a node and of those below it out, in tokens. That of four words of bits is as much as that of a token.
func (n *foldNode) taking() int {
	if n.under != nil {
		return len(n.under) / 4
	}
	return int(n.below)
}

// clear takes a node's tokens out.
func (n *foldNode) clear(bits []uint32) {
	without(bits, n.bits)
	for _, token := range n.few {
		bits[token/32] &^= 1 << (token % 32)
	}
}

// without takes the tokens of a node and of those below it out, which end before another.
func (t *foldTree) without(bits []uint32, at, end uint32) {
	if under := t.nodes[at].under; under != nil {
		without(bits, under)
		return
	}
	for i := at; i < end; i++ {
		t.nodes[i].clear(bits)
	}
}

func (b *folder) read(from, to uint32) {
	t := &b.v.tree
	if from >= to {
		return
	}
	base := t.nodes[from].depth
	var path [maxTokenBytes + 1]cursor
	for i := from; i < to && !b.full; {
		n := &t.nodes[i]
		c, ok := b.step(path[n.depth-base], n.char)
		if !ok {
			i = n.end
			continue
		}
		path[n.depth-base+1] = c
		if n.token >= 0 {
			at := b.raw(c.at, c.pending[:c.waiting])
			b.nodes[at].tokens = append(append(b.nodes[at].tokens, n.token), t.twins[n.token]...)
		}
		if n.end > i+1 && c.waiting == 0 && (c.tail && b.a.exits[n.char] || b.a.ends[b.a.same[n.char]] || n.char >= utf8.RuneSelf && b.a.ends[b.a.char]) {
			b.nodes[c.at].inner = append(b.nodes[c.at].inner, i)
		}
		i++
	}
}

// step is the cursor behind a byte; ok is false where nothing can follow.
func (b *folder) step(c cursor, char byte) (cursor, bool) {
	a := b.a
	switch {
	case c.tail:
		c.at = b.to(c.at, a.other[char])
		return c, true
	case a.whole && (c.waiting > 0 || char >= utf8.RuneSelf):
		c.pending[c.waiting] = char
		c.waiting++
		seen := c.pending[:c.waiting]
		if !utf8.FullRune(seen) {
			return c, true
		}
		if _, size := utf8.DecodeRune(seen); size == len(seen) && size > 1 {
			if a.never[a.char] {
				return c, false
			}
			return cursor{at: b.to(c.at, a.char)}, true
		}
		return cursor{at: b.raw(c.at, seen), tail: true}, true
	case a.never[char]:
		return c, false
	case a.tame[char]:
		c.at = b.to(c.at, a.same[char])
		return c, true
	}
	return cursor{at: b.to(c.at, a.other[char]), tail: true}, true
}

// raw is the node behind bytes that are no whole character.
func (b *folder) raw(at int32, bytes []byte) int32 {
	for _, char := range bytes {
		at = b.to(at, b.a.other[char])
	}
	return at
}

func (b *folder) to(at int32, char byte) int32 {
	for _, c := range b.nodes[at].children { // they are few
		if c.char == char {
			return c.at
		}
	}
	next := int32(len(b.nodes))
	b.full = next >= mostFolded
	b.nodes = append(b.nodes, foldedNode{})
	b.nodes[at].children = append(b.nodes[at].children, foldEdge{next, char})
	return next
}

// flatten appends what is below a node in preorder.
func (b *folder) flatten(at int32, depth uint8, out *[]foldNode) {
	for _, c := range b.nodes[at].children {
		from := &b.nodes[c.at]
		n := foldNode{char: c.char, depth: depth, few: from.tokens, count: uint32(len(from.tokens)), below: uint32(len(from.tokens))}
		if len(n.few) > b.v.words/4 {
			n.bits, n.few = make([]uint32, b.v.words), nil
			for _, token := range from.tokens {
				n.bits[token/32] |= 1 << (token % 32)
			}
		}
		if len(from.inner) > 0 {
			n.exit = newExit(&b.v.tree, from.inner)
		}
		i := len(*out)
		*out = append(*out, n)
		b.flatten(c.at, depth+1, out)
		(*out)[i].end = uint32(len(*out))
		for j := i + 1; j < len(*out); j = int((*out)[j].end) {
			(*out)[i].below += (*out)[j].below
		}
	}
}
