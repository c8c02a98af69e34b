package ptx

import mathbits "math/bits"

// liveness estimates the registers of a kernel: the largest number of 32-bit registers that hold values still wanted, at
// any point. The assembler may do with fewer (it computes cheap values again) or need more (addresses, pairs, alignment).
type liveness struct {
	k      *kernel
	after  map[*loop]bitset // live behind the loops that are open
	bySize [3]bitset        // the registers that take so many words
	most   pressure
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
	l := &liveness{k: k, after: map[*loop]bitset{}}
	for words := range l.bySize {
		l.bySize[words] = newBitset(len(k.types))
	}
	for id, t := range k.types {
		l.bySize[classes[t.class()].words].add(int32(id))
	}
	l.block(k.top, newBitset(len(k.types)))
	return &l.most
}

// block turns the set of what is live behind the block into what is live before it.
func (l *liveness) block(b *block, live bitset) {
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
			live.union(other)
			l.use(n.cond, live)
		case *loop:
			l.loop(n, live)
		case *leave:
			if n.cond.id == 0 {
				copy(live, l.after[n.loop])
			} else {
				live.union(l.after[n.loop])
				l.use(n.cond, live)
			}
		}
	}
}

// loop walks the body until what is live at its start does not grow any more.
func (l *liveness) loop(n *loop, live bitset) {
	after := live.clone()
	l.after[n] = after
	start := newBitset(len(l.k.types))
	for {
		inner := start.clone()
		if n.again.id != 0 {
			inner.union(after)
			l.use(n.again, inner)
		}
		l.block(n.body, inner)
		if !start.union(inner) {
			break
		}
	}
	clear(live)
	live.union(start)
	if n.skip.id != 0 {
		live.union(after)
		l.use(n.skip, live)
	}
}

func (l *liveness) use(r Reg, live bitset) {
	if r.id != 0 {
		live.add(r.id)
	}
}

func (l *liveness) instruction(i *instruction, live bitset) {
	if i.ends() {
		clear(live)
	}
	l.measure(i, live)
	for n := range i.operands {
		o := &i.operands[n]
		if o.spec.role != write || o.isAddress() || i.guard.id != 0 {
			continue
		}
		for _, r := range o.regs {
			live.remove(r.id)
		}
		if o.second.id != 0 {
			live.remove(o.second.id)
		}
	}
	for n := range i.operands {
		o := &i.operands[n]
		if o.spec.role == write && !o.isAddress() {
			continue
		}
		for _, r := range o.regs {
			live.add(r.id)
		}
	}
	l.use(i.guard, live)
	l.measure(i, live)
}

func (l *liveness) measure(i *instruction, live bitset) {
	words := 0
	for w, set := range live {
		words += mathbits.OnesCount64(set&l.bySize[1][w]) + 2*mathbits.OnesCount64(set&l.bySize[2][w])
	}
	if words > l.most.words {
		l.most = pressure{words, i.section}
	}
}
