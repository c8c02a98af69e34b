package grammar

// localMask is what can be said of a place whatever has called its rule.
type localMask struct {
	bits  []uint32 // tokens that stay in the rule, or end where it may be left; nil: they are few
	few   []int32
	exits []*exit // nodes of the tree that others are below of, at which the rule may be left
}

// cut is which share of a vocabulary is few.
const cut = 64

// local returns the mask of a place by itself; nil: it takes more than it may.
func (w *walker) local(at int32) *localMask {
	at = w.program.states[at].same
	v, name := w.v, w.program.states[at].local
	if l := v.local[name]; l != nil {
		return l
	}
	c := &collector{w: w, mask: &localMask{}}
	if !c.collect(at) {
		return nil
	}
	l := c.mask
	size := int64(4*(len(l.bits)+len(l.few)) + 8*len(l.exits) + 192)
	if len(c.out) > 0 {
		e := newExit(&v.tree, c.out)
		l.exits = append(l.exits, e)
		size += e.bytes()
	}
	if v.locals+size > heldLocal {
		clear(v.local)
		v.locals = 0
	}
	v.local[name] = l
	v.locals += size
	return l
}

// collector makes the mask of a place.
type collector struct {
	w    *walker
	mask *localMask
	out  []uint32 // nodes of the vocabulary's tree at which the rule may be left
}

func (c *collector) collect(at int32) bool {
	w, t := c.w, &c.w.v.tree
	if w.program.states[at].folds != nil {
		c.leaf(at)
	} else if !w.walk(t, 0, uint32(len(t.nodes)), w.begin(at), func(node uint32, behind *state, token int32) {
		c.node(node, token, behind.leaves)
	}) {
		return false
	}
	if c.mask.bits == nil && len(c.mask.few) >= w.v.size/cut {
		c.many()
	}
	return true
}

// many has the mask as bits.
func (c *collector) many() {
	if c.mask.bits == nil {
		c.mask.bits = make([]uint32, c.w.v.words)
	}
	for _, token := range c.mask.few {
		c.w.v.tree.set(c.mask.bits, token)
	}
	c.mask.few = nil
}

// node takes a node of the vocabulary's tree that can be reached.
func (c *collector) node(node uint32, token int32, leaves bool) {
	if token >= 0 && c.mask.bits != nil {
		c.w.v.tree.set(c.mask.bits, token)
	} else if token >= 0 {
		c.mask.few = append(c.mask.few, token)
	}
	if leaves && c.w.v.tree.nodes[node].end > node+1 {
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
	for node := uint32(0); int(node) < len(t.nodes); node = t.nodes[node].end {
		n := &t.nodes[node]
		to := c.w.program.next(at, c.w.class[n.char])
		if to < 0 {
			continue
		}
		c.node(node, n.token, c.w.program.states[to].final)
		if f := c.fold(to); f != nil && f.behind[node] != nil {
			c.folded(*f.behind[node], to)
		} else {
			c.plain(node+1, n.end, to)
		}
	}
}

// fold is the folded tree for a place; nil: there is none.
func (c *collector) fold(at int32) *fold {
	s := &c.w.program.states[at]
	if s.folds == nil || s.folds.member[s.local.at] == 0 {
		return nil
	}
	for i, name := range s.folds.names {
		if s.folds.member[s.local.at]>>i&1 == 1 {
			if f := c.w.v.folds[name]; f != nil && f.whole != nil {
				c.w.v.clock++
				f.used = c.w.v.clock
				return f
			}
		}
	}
	return nil
}

// plain walks nodes of the vocabulary's tree, side by side or below each other.
func (c *collector) plain(from, to uint32, at int32) {
	if from >= to {
		return
	}
	t, p := &c.w.v.tree, c.w.program
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
		c.node(i, n.token, p.states[next].final)
		i++
	}
}

// folded walks a folded tree.
func (c *collector) folded(t foldTree, at int32) {
	p := c.w.program
	var path [maxTokenBytes + 1]int32
	path[0] = at
	for i := 0; i < len(t); {
		n := &t[i]
		next := p.next(path[n.depth], p.class[n.char])
		if next < 0 {
			i = int(n.end)
			continue
		}
		path[n.depth+1] = next
		if n.bits != nil {
			c.many()
			or(c.mask.bits, n.bits)
		}
		if c.mask.bits != nil {
			for _, token := range n.few {
				c.mask.bits[token/32] |= 1 << (token % 32)
			}
		} else {
			c.mask.few = append(c.mask.few, n.few...)
		}
		if n.exit != nil && p.states[next].final {
			c.mask.exits = append(c.mask.exits, n.exit)
		}
		i++
	}
}
