package ptx

import mathbits "math/bits"

// liveness estimates the registers of a kernel: the largest number of 32-bit registers that hold values still wanted, at
// any point. The assembler may do with fewer (it computes cheap values again) or need more (addresses, pairs, alignment).
type liveness struct {
	k     *kernel
	after map[*loop]*liveSet // live behind the loops that are open
	words []uint8            // of 32 bits that a register takes
	most  pressure
}

// liveSet is a set of registers that knows how many words they take, so that a walk measures every instruction at no cost.
type liveSet struct {
	bitset
	words int
}

func (l *liveness) newSet() *liveSet { return &liveSet{bitset: newBitset(len(l.k.types))} }

func (s *liveSet) clone() *liveSet { return &liveSet{s.bitset.clone(), s.words} }

func (s *liveSet) copy(from *liveSet) {
	copy(s.bitset, from.bitset)
	s.words = from.words
}

// union adds t and tells whether that changed anything.
func (l *liveness) union(s, t *liveSet) bool {
	changed := false
	for i, more := range t.bitset {
		if more &^= s.bitset[i]; more == 0 {
			continue
		}
		changed = true
		s.bitset[i] |= more
		for ; more != 0; more &= more - 1 {
			s.words += int(l.words[i*64+mathbits.TrailingZeros64(more)])
		}
	}
	return changed
}

func (l *liveness) add(s *liveSet, id int32) {
	if !s.has(id) {
		s.bitset.add(id)
		s.words += int(l.words[id])
	}
}

func (l *liveness) remove(s *liveSet, id int32) {
	if s.has(id) {
		s.bitset.remove(id)
		s.words -= int(l.words[id])
	}
}

// pressure is how many registers of 32 bits are live at a time at most, and where.
type pressure struct {
	words   int
	section string
}

// registers is found once for a kernel as it is.
func (k *kernel) registers() (int, string) {
	if k.pressure == nil {
		k.pressure = k.findPressure()
	}
	return k.pressure.words, k.pressure.section
}

func (k *kernel) findPressure() *pressure {
	l := &liveness{k: k, after: map[*loop]*liveSet{}, words: make([]uint8, len(k.types))}
	for id, t := range k.types {
		l.words[id] = uint8(classes[t.class()].words)
	}
	l.block(k.top, l.newSet())
	return &l.most
}

// block turns the set of what is live behind the block into what is live before it.
func (l *liveness) block(b *block, live *liveSet) {
	if b == nil {
		return
	}
	for n := len(b.nodes) - 1; n >= 0; n-- {
		switch n := b.nodes[n].(type) {
		case *instruction:
			l.instruction(n, live)
		case *branch:
			other := live.clone()
			l.block(n.then, live)
			l.block(n.otherwise, other)
			l.union(live, other)
			l.use(n.cond, live)
		case *loop:
			l.loop(n, live)
		case *leave:
			if n.cond.id == 0 {
				live.copy(l.after[n.loop])
			} else {
				l.union(live, l.after[n.loop])
				l.use(n.cond, live)
			}
		}
	}
}

// loop walks the body until what is live at its start does not grow any more.
func (l *liveness) loop(n *loop, live *liveSet) {
	after := live.clone()
	l.after[n] = after
	start := l.newSet()
	for {
		inner := start.clone()
		if n.again.id != 0 {
			l.union(inner, after)
			l.use(n.again, inner)
		}
		l.block(n.body, inner)
		if !l.union(start, inner) {
			break
		}
	}
	live.copy(start)
	if n.skip.id != 0 {
		l.union(live, after)
		l.use(n.skip, live)
	}
}

func (l *liveness) use(r Reg, live *liveSet) {
	if r.id != 0 {
		l.add(live, r.id)
	}
}

func (l *liveness) instruction(i *instruction, live *liveSet) {
	if i.ends() {
		clear(live.bitset)
		live.words = 0
	}
	l.measure(i, live)
	for n := range i.operands {
		o := &i.operands[n]
		if o.spec.role != write || o.isAddress() || i.guard.id != 0 {
			continue
		}
		for _, r := range o.regs {
			l.remove(live, r.id)
		}
		if o.second.id != 0 {
			l.remove(live, o.second.id)
		}
	}
	for n := range i.operands {
		o := &i.operands[n]
		if o.spec.role == write && !o.isAddress() {
			continue
		}
		for _, r := range o.regs {
			l.add(live, r.id)
		}
	}
	l.use(i.guard, live)
	l.measure(i, live)
}

func (l *liveness) measure(i *instruction, live *liveSet) {
	if live.words > l.most.words {
		l.most = pressure{live.words, i.section}
	}
}
