package grammar

// keptMasks are masks of places that a vocabulary keeps for all its grammars, in two generations: where the younger one is full it becomes the older, and what was that is dropped. So what is
// in use stays, whatever else comes by.
type keptMasks struct {
	young, old generation
	near       []nearMask
	number     uint64 // of the mask of a place that was kept last
}

type generation struct {
	local map[placeName]*localMask
	exits []*exit          // that have masks of places behind them
	union map[string]*mask // by the numbers of the masks of places that they consist of
	bytes int64
}

func newGeneration() generation {
	return generation{local: map[placeName]*localMask{}, union: map[string]*mask{}}
}

func newKeptMasks() keptMasks { return keptMasks{young: newGeneration(), old: newGeneration()} }

// find returns the mask of a place, or of one behind an exit; nil: it is not kept.
func (k *keptMasks) find(e *exit, name placeName) *localMask {
	near := k.at(e, &name)
	if near.mask != nil && near.e == e && near.name == name {
		return near.mask
	}
	l := k.search(e, name)
	if l != nil {
		*near = nearMask{e, name, l}
	}
	return l
}

func (k *keptMasks) search(e *exit, name placeName) *localMask {
	if e != nil {
		return e.then[name]
	}
	l := k.young.local[name]
	if l == nil {
		if l = k.old.local[name]; l != nil {
			k.turn(l.size)
			k.young.local[name] = l
			k.young.bytes += l.size
		}
	}
	return l
}

// hold keeps a mask and returns its size.
func (k *keptMasks) hold(e *exit, name placeName, l *localMask) int64 {
	l.size = int64(4*(len(l.bits)+len(l.few)) + 8*len(l.exits) + 192)
	for _, e := range l.exits {
		l.size += e.bytes()
	}
	k.number++
	l.number = k.number
	size := l.size
	if e != nil && e.then == nil {
		size += e.bytes() // which is kept with it, even where the folded tree is not that it is of
	}
	k.turn(size)
	k.young.bytes += size
	*k.at(e, &name) = nearMask{e, name, l}
	switch {
	case e == nil:
		k.young.local[name] = l
		return size
	case e.then == nil:
		e.then = map[placeName]*localMask{}
		k.young.exits = append(k.young.exits, e)
	}
	e.then[name] = l
	return size
}

// findUnion returns the mask that consists of masks of places; nil: it is not kept.
func (k *keptMasks) findUnion(key []byte) *mask {
	m := k.young.union[string(key)]
	if m == nil {
		if m = k.old.union[string(key)]; m != nil {
			k.holdUnion(string(key), m)
		}
	}
	return m
}

// holdUnion keeps a mask that consists of masks of places and returns its size.
func (k *keptMasks) holdUnion(key string, m *mask) int64 {
	k.turn(m.size)
	k.young.union[key] = m
	k.young.bytes += m.size
	return m.size
}

// turn makes room for a mask.
func (k *keptMasks) turn(size int64) {
	if k.young.bytes+size <= heldLocal/2 {
		return
	}
	for _, e := range k.old.exits {
		e.then = nil
	}
	k.old, k.young = k.young, newGeneration()
	clear(k.near)
}
