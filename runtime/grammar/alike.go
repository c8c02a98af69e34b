package grammar

import (
	"encoding/binary"
)

// maxAlikeWork is how many edges are looked at to find states that are alike; where that does not do, all are taken for different ones.
const maxAlikeWork = 1 << 20

// alike returns for each state of a rule that calls no others the first one from which the same texts of up to longest bytes lead on, and may end the rule on their way: no token
// tells them apart. So in a string whose characters are counted all places have the same masks that are further from its bounds than a token is long. nil: there are none, or it is too much work.
//
// Classes are refined as often as texts have bytes, in each round only where a state behind has left its class in the round before: the rest of a class can not have been split.
// (Moore, "Gedanken-experiments on sequential machines", 1956.)
func (d *dfa) alike(longest int) []int32 {
	c := &classes{d: d, of: make([]int32, len(d.states)), count: make([]int, 2)}
	before := d.predecessors()
	dirty := make([]int32, len(d.states))
	for i := range d.states {
		dirty[i] = int32(i)
		if d.states[i].final {
			c.of[i] = 1
		}
		c.count[c.of[i]]++
	}
	for range longest {
		moved := c.split(dirty)
		if c.work > maxAlikeWork {
			return nil
		}
		dirty = dirty[:0]
		seen := map[int32]bool{}
		for _, at := range moved {
			for _, from := range before[at] {
				if !seen[from] {
					seen[from] = true
					dirty = append(dirty, from)
				}
			}
		}
		if len(dirty) == 0 {
			break
		}
	}
	first := map[int32]int32{}
	same := make([]int32, len(d.states))
	for i, class := range c.of {
		if _, ok := first[class]; !ok {
			first[class] = int32(i)
		}
		same[i] = first[class]
	}
	if len(first) == len(same) {
		return nil
	}
	return same
}

func (d *dfa) predecessors() [][]int32 {
	before := make([][]int32, len(d.states))
	for i := range d.states {
		for _, e := range d.states[i].edges {
			before[e.to] = append(before[e.to], int32(i))
		}
	}
	return before
}

// classes are which states have not been told apart yet.
type classes struct {
	d     *dfa
	of    []int32 // by state
	count []int   // states of each
	work  int     // edges looked at
	key   []byte
}

// group is states of a class that lead to the same classes.
type group struct {
	from   int32
	states []int32
}

// split puts states that lead elsewhere than others of their class into new ones, and returns them. States that are not given lead to where they did.
func (c *classes) split(dirty []int32) (moved []int32) {
	index := map[string]int{}
	var groups []group
	all, largest := map[int32]int{}, map[int32]int{} // by class: how many of its states are given, and which group of them is the largest
	for _, at := range dirty {
		key := c.signature(at)
		g, ok := index[string(key)]
		if !ok {
			g = len(groups)
			index[string(key)] = g
			groups = append(groups, group{from: c.of[at]})
		}
		groups[g].states = append(groups[g].states, at)
		all[c.of[at]]++
		if most, ok := largest[c.of[at]]; !ok || len(groups[g].states) > len(groups[most].states) {
			largest[c.of[at]] = g
		}
	}
	whole := make([]bool, len(groups))
	for i, g := range groups {
		whole[i] = all[g.from] == c.count[g.from] && largest[g.from] == i // the class goes on as this group
	}
	for i, g := range groups {
		if whole[i] {
			continue
		}
		c.count[g.from] -= len(g.states)
		for _, at := range g.states {
			c.of[at] = int32(len(c.count))
		}
		c.count = append(c.count, len(g.states))
		moved = append(moved, g.states...)
	}
	return moved
}

// signature is a state's class, and to which ones its edges lead, neighbours that lead to the same one as one.
func (c *classes) signature(at int32) []byte {
	c.key = binary.LittleEndian.AppendUint32(c.key[:0], uint32(c.of[at]))
	edges := c.d.states[at].edges
	c.work += 1 + len(edges)
	for i := 0; i < len(edges); {
		e := edges[i]
		for i++; i < len(edges) && c.of[edges[i].to] == c.of[e.to] && int(edges[i].lo) == int(e.hi)+1; i++ {
			e.hi = edges[i].hi
		}
		c.key = binary.LittleEndian.AppendUint32(append(c.key, e.lo, e.hi), uint32(c.of[e.to]))
	}
	return c.key
}
