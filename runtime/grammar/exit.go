package grammar

import "slices"

// exit is where a rule may be left: nodes of a tree, behind which whatever called the rule goes on. What it can not go on with is told by the first byte, by which their children are
// sorted: behind a word a bracket may follow, but hardly the rest of another word.
type exit struct {
	tree  *tree
	nodes []uint32
	ways  []way
	then  map[placeName]*localMask // what places allow of that
}

// way is what is behind an exit with one byte next.
type way struct {
	char   byte
	nodes  []uint32 // of that byte
	merged *tree    // these, and all that is below them, as one; nil: not made
}

// mergedFrom is how many nodes are worth merging; tests want fewer.
var mergedFrom = 1 << 9

const (
	mergedMost  = 1 << 13 // nodes that are merged at most
	mostMerging = 1 << 16 // nodes merged for a folded tree
)

// newExit sorts what is behind nodes of a tree.
func newExit(t *tree, nodes []uint32) *exit {
	e := &exit{tree: t, nodes: nodes}
	var of [256][]uint32
	for _, at := range nodes {
		for i := at + 1; i < t.nodes[at].end; i = t.nodes[i].end {
			of[t.nodes[i].char] = append(of[t.nodes[i].char], i)
		}
	}
	for char, nodes := range of {
		if len(nodes) > 0 {
			e.ways = append(e.ways, way{char: byte(char), nodes: nodes})
		}
	}
	return e
}

func (e *exit) bytes() int64 {
	n := 96 + int64(4*len(e.nodes))
	for _, way := range e.ways {
		n += 56 + int64(4*len(way.nodes))
		if way.merged != nil {
			n += int64(16 * len(way.merged.nodes))
		}
	}
	return n
}

// merge makes one tree of each way on that many nodes have, while the budget lasts. It returns the bytes that the exit takes.
func (e *exit) merge(budget *int) int64 {
	for i := range e.ways {
		e.ways[i].merged = e.ways[i].merge(e.tree, budget)
	}
	return e.bytes()
}

func (y *way) merge(t *tree, budget *int) *tree {
	total := 0
	for _, at := range y.nodes {
		total += int(t.nodes[at].end - at)
	}
	if len(y.nodes) < 2 || total < mergedFrom || total > min(mergedMost, *budget) {
		return nil
	}
	*budget -= total
	var leaves []leaf
	var text [maxTokenBytes]byte
	for _, at := range y.nodes {
		base := t.nodes[at].depth
		for i := at; i < t.nodes[at].end; i++ {
			n := &t.nodes[i]
			text[n.depth-base] = n.char
			if n.token < 0 {
				continue
			}
			for _, id := range append([]int32{n.token}, t.twins[n.token]...) {
				leaves = append(leaves, leaf{slices.Clone(text[:n.depth-base+1]), id})
			}
		}
	}
	merged := newTree(leaves)
	return &merged
}

// behindExit allows the tokens that go on behind an exit of a rule, as a state says.
func (w *walker) behindExit(e *exit, behind *state, bits []uint32) bool {
	for i := range e.ways {
		y := &e.ways[i]
		if w.step(behind, y.char) == dead {
			continue
		}
		t := e.tree
		if y.merged != nil {
			if t = y.merged; !w.allow(t, 0, uint32(len(t.nodes)), behind, bits) {
				return false
			}
			continue
		}
		for _, at := range y.nodes {
			if !w.allow(t, at, t.nodes[at].end, behind, bits) {
				return false
			}
		}
	}
	return true
}

// allow sets the bits of the tokens of nodes, side by side or below each other, to which a state leads.
func (w *walker) allow(t *tree, from, to uint32, s *state, bits []uint32) bool {
	return w.walk(t, from, to, s, func(_ uint32, _ *state, token int32) {
		if token >= 0 {
			t.set(bits, token)
		}
	})
}
