package grammar

// localMask is what can be said of a place whatever has called its rule.
type localMask struct {
	bits  []uint32 // tokens that stay in the rule, or end where it may be left; nil: they are few
	few   []int32
	exits []*exit // where the rule may be left
	rough bool    // there are more of them than there need be
	size  int64   // bytes

	number uint64 // of all that the vocabulary has kept
}

// cut is which share of a vocabulary is few.
const cut = 64

// local returns the mask of a place by itself: of tokens, or of what they have behind an exit of the rule before. It is nil where it takes more than it may.
func (w *walker) local(e *exit, at int32) *localMask {
	at = w.program.states[at].same
	v, name := w.v, w.program.states[at].local
	w.lock()
	l := v.kept.find(e, name)
	w.unlock()
	if l != nil && !(l.rough && w.ahead) {
		return l
	}
	c := &collector{w: w, mask: &localMask{}}
	if e == nil && !c.collect(at) || e != nil && !c.behind(e, at) {
		return nil
	}
	c.leave(&v.tree)
	if len(c.mask.exits) > mostExits && w.fewPlaces(at) {
		if c.mask.rough = !w.ahead; w.ahead {
			c.unite() // takes milliseconds, which no output waits for
		}
	}
	if l = c.mask; l.bits == nil && len(l.few) >= v.size/cut {
		c.many()
	}
	w.lock()
	w.made += v.kept.hold(e, name, l)
	w.unlock()
	return l
}

// collector makes the mask of a place.
type collector struct {
	w    *walker
	mask *localMask
	out  []uint32 // nodes of the tree that is walked at which the rule may be left
}

func (c *collector) collect(at int32) bool {
	t := &c.w.v.tree
	if c.w.program.states[at].folds != nil {
		c.leaf(at)
		return true
	}
	s := c.w.placed(at)
	for _, root := range t.roots {
		if c.w.step(s, root.char) != dead && !c.walk(t, root.node, t.nodes[root.node].end, s) {
			return false
		}
	}
	return true
}

// behind makes the mask of what is behind an exit.
func (c *collector) behind(e *exit, at int32) bool {
	w := c.w
	for i := range e.ways {
		y := &e.ways[i]
		if w.program.next(at, w.class[y.char]) < 0 {
			continue
		}
		if y.merged != nil {
			c.leave(e.tree) // what has been met so far is of another tree
			if !c.from(y.merged, 0, uint32(len(y.merged.nodes)), at) {
				return false
			}
			c.leave(y.merged)
			continue
		}
		for _, node := range y.nodes {
			if !c.from(e.tree, node, e.tree.nodes[node].end, at) {
				return false
			}
		}
		if e.tree != &w.v.tree {
			c.leave(e.tree)
		}
	}
	return true
}

// from walks nodes of a tree, side by side or below each other, from a place.
func (c *collector) from(t *tree, from, to uint32, at int32) bool {
	if c.w.program.states[at].folds != nil {
		c.plain(t, from, to, at)
		return true
	}
	return c.walk(t, from, to, c.w.placed(at))
}

func (c *collector) walk(t *tree, from, to uint32, s *state) bool {
	return c.w.walk(t, from, to, s, func(node uint32, behind *state, token int32) {
		c.node(t, node, token, behind.leaves)
	})
}

// leave notes that the rule may be left at the nodes of a tree that have been met.
func (c *collector) leave(t *tree) {
	if len(c.out) > 0 {
		c.mask.exits = append(c.mask.exits, newExit(t, c.out))
		c.out = nil
	}
}

// mostExits is how many a place may have whose exits can be made one.
const mostExits = 4

// fewPlaces tells whether a place's rule has so few that it is worth to make its exits one: outputs are at them again and again.
func (w *walker) fewPlaces(at int32) bool {
	f := w.program.states[at].folds
	return f != nil && f != noFolds && len(f.member) <= 64
}

// unite makes exits of the same tree one.
func (c *collector) unite() {
	var trees []*tree
	nodes := map[*tree][]uint32{}
	for _, e := range c.mask.exits {
		if nodes[e.tree] == nil {
			trees = append(trees, e.tree)
		}
		nodes[e.tree] = append(nodes[e.tree], e.nodes...)
	}
	c.mask.exits = nil
	budget := mostMerging
	for _, t := range trees {
		e := newExit(t, nodes[t])
		e.merge(&budget)
		c.mask.exits = append(c.mask.exits, e)
	}
}

// many has the mask as bits.
func (c *collector) many() {
	if c.mask.bits == nil {
		c.mask.bits = c.w.blank()
	}
	for _, token := range c.mask.few {
		c.mask.bits[token/32] |= 1 << (token % 32)
	}
	c.mask.few = nil
}

// node takes a node of a tree that can be reached.
func (c *collector) node(t *tree, node uint32, token int32, leaves bool) {
	switch {
	case token < 0:
	case c.mask.bits != nil:
		t.set(c.mask.bits, token)
	default:
		c.mask.few = append(c.mask.few, token)
		if len(t.twins) > 0 {
			c.mask.few = append(c.mask.few, t.twins[token]...)
		}
	}
	if leaves && t.nodes[node].end > node+1 {
		c.out = append(c.out, node)
	}
}

// leaf walks from a place of a rule that calls no others: with folded trees where its states have them, without making states of outputs.
func (c *collector) leaf(at int32) {
	t := &c.w.v.tree
	if f := c.fold(at); f != nil {
		c.folded(f.whole, at)
		return
	}
	for _, root := range t.roots {
		to := c.w.program.next(at, c.w.class[root.char])
		if to < 0 {
			continue
		}
		node, n := root.node, &t.nodes[root.node]
		c.node(t, node, n.token, c.w.program.states[to].final)
		if f := c.fold(to); f != nil && f.behind[node] != nil {
			c.folded(f.behind[node], to)
		} else {
			c.plain(t, node+1, n.end, to)
		}
	}
}

// fold is the folded tree for a place; nil: there is none.
func (c *collector) fold(at int32) *fold {
	s := &c.w.program.states[at]
	if s.folds == nil || len(s.folds.alphabets) == 0 || s.folds.member[s.local.at] == 0 {
		return nil
	}
	for i, name := range s.folds.names {
		if s.folds.member[s.local.at]>>i&1 == 1 {
			if f := c.w.folded(name); f != nil {
				return f
			}
		}
	}
	return nil
}

// plain walks nodes of a tree, side by side or below each other.
func (c *collector) plain(t *tree, from, to uint32, at int32) {
	if from >= to {
		return
	}
	p := c.w.program
	base := t.nodes[from].depth
	var path [maxTokenBytes + 1]int32
	path[0] = at
	for i := from; i < to; {
		n := &t.nodes[i]
		next := p.next(path[n.depth-base], p.class[n.char])
		if next < 0 {
			i = n.end
			continue
		}
		path[n.depth-base+1] = next
		c.node(t, i, n.token, p.states[next].final)
		i++
	}
}

// folded walks a folded tree. The tokens of nodes that can be reached are put together, or those that can not taken out of all, whichever is less work.
func (c *collector) folded(t *foldTree, at int32) {
	p, words := c.w.program, c.w.v.words
	var path [maxTokenBytes + 1]int32
	path[0] = at
	met, gone := c.w.met[:0], c.w.gone[:0]
	here, adding, taking := 0, 0, words/4 // tokens, and work in tokens
	for i := 0; i < len(t.nodes); {
		n := &t.nodes[i]
		next := p.next(path[n.depth], p.class[n.char])
		if next < 0 {
			gone = append(gone, span{uint32(i), n.end})
			taking += n.taking()
			i = int(n.end)
			continue
		}
		path[n.depth+1] = next
		if n.count > 0 {
			met = append(met, uint32(i))
			here += int(n.count)
			adding += min(int(n.count), words/4)
		}
		if n.exit != nil && p.states[next].final {
			c.mask.exits = append(c.mask.exits, n.exit)
		}
		i++
	}
	c.w.met, c.w.gone = met, gone
	switch {
	case t.all != nil && taking < adding: // a place has its tokens from one node each, so none is taken out that another has set
		c.many()
		or(c.mask.bits, t.all)
		for _, s := range gone {
			t.without(c.mask.bits, s.from, s.to)
		}
	case c.mask.bits == nil && here <= words/4: // no node has them as bits
		for _, i := range met {
			c.mask.few = append(c.mask.few, t.nodes[i].few...)
		}
	default:
		c.many()
		for _, i := range met {
			t.nodes[i].set(c.mask.bits)
		}
	}
}
