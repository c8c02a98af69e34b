package emu

import "sync"

// globalRaces records who touched global memory during a launch, by 4-byte word. CTAs are the threads of this check: what
// happens inside one CTA is the shared-memory check's affair.
type globalRaces struct {
	mu     [64]sync.Mutex
	pages  [64]map[uint64]*racePage
	values sync.Mutex
	clocks map[uint64]map[uint32]uint32 // published at an address by releasing writes
}

const racePageBytes = 4096

type racePage [racePageBytes / 4]wordMarks

// wordMarks are the last write and the last two readers from different CTAs.
type wordMarks struct {
	write mark
	reads [2]mark
}

// mark is an access: CTA number plus one (0: none), its epoch, the bytes touched.
type mark struct {
	cta, epoch uint32
	bytes      uint8
	strong     bool
}

func newGlobalRaces() *globalRaces {
	r := &globalRaces{clocks: map[uint64]map[uint32]uint32{}}
	for i := range r.pages {
		r.pages[i] = map[uint64]*racePage{}
	}
	return r
}

func (r *globalRaces) note(w *warp, lane int, addr uint64, size int, k accessKind) bool {
	if k.sync != orderNone || k.atomic {
		r.synchronize(&w.cta.order, addr, k)
	}
	page := addr / racePageBytes
	i := page % uint64(len(r.mu))
	r.mu[i].Lock()
	p := r.pages[i][page]
	if p == nil {
		p = new(racePage)
		r.pages[i][page] = p
	}
	var bad *mark
	for at := addr &^ 3; at < addr+uint64(size) && bad == nil; at += 4 {
		m := byteMask(at, addr, size)
		bad = p[at%racePageBytes/4].touch(&w.cta.order, m, k)
	}
	var other mark
	if bad != nil {
		other = *bad
	}
	r.mu[i].Unlock()
	if bad == nil {
		return true
	}
	r.tell(w, lane, addr, other)
	return false
}

// tell ends the launch because of what another CTA did.
func (r *globalRaces) tell(w *warp, lane int, addr uint64, other mark) {
	g := w.cta.launch.Grid
	n, card := w.cta.launch.mem.numberOf(other.cta - 1)
	if n == w.cta.launch.mem.copies() {
		w.failAddr(Race, lane, addr, "a copy%s touched it too, and nothing orders the two", card)
		return
	}
	w.failAddr(Race, lane, addr, "CTA %d,%d,%d%s touched it too, nothing orders the two, and at least one is a plain write",
		n%g[0], n/g[0]%g[1], n/g[0]/g[1], card)
}

// noteRun is note for plain accesses of n lanes that follow each other, from lane on, size bytes of whole words each.
func (r *globalRaces) noteRun(w *warp, lane, n int, addr uint64, size int, write bool) bool {
	k := accessKind{write: write}
	for at, end := addr, addr+uint64(n*size); at < end; {
		next := min(end, at/racePageBytes*racePageBytes+racePageBytes)
		if place, other := r.markWords(&w.cta.order, at, next, k); other.cta != 0 {
			whose := int(place-addr) / size
			r.tell(w, lane+whose, addr+uint64(whose*size), other)
			return false
		}
		at = next
	}
	return true
}

// markWords leaves marks on whole words of one page. It returns the first word whose mark is in conflict and that mark, one of no CTA if none is.
func (r *globalRaces) markWords(o *ctaOrder, from, to uint64, k accessKind) (at uint64, other mark) {
	page := from / racePageBytes
	i := page % uint64(len(r.mu))
	r.mu[i].Lock()
	defer r.mu[i].Unlock()
	p := r.pages[i][page]
	if p == nil {
		p = new(racePage)
		r.pages[i][page] = p
	}
	first := from % racePageBytes / 4
	for x := range p[first:][:(to-from)/4] {
		if bad := p[first:][x].touch(o, 15, k); bad != nil {
			return from + uint64(4*x), *bad
		}
	}
	return 0, mark{}
}

// byteMask marks the bytes of the word at that an access covers.
func byteMask(at, addr uint64, size int) uint8 {
	m := uint8(15)
	if addr > at {
		m &= 15 << (addr - at)
	}
	if end := addr + uint64(size); end < at+4 {
		m &= 15 >> (at + 4 - end)
	}
	return m
}

// conflicts reports whether an access may not happen beside the one that left the mark.
func (m *mark) conflicts(o *ctaOrder, bytes uint8, k accessKind) bool {
	return m.bytes&bytes != 0 && m.cta != o.self+1 && !o.knows(m.cta-1, m.epoch) && !(m.strong && k.strong)
}

// touch checks an access against the marks and leaves its own. It returns the mark in conflict.
func (x *wordMarks) touch(o *ctaOrder, bytes uint8, k accessKind) *mark {
	if x.write.conflicts(o, bytes, k) {
		return &x.write
	}
	mine := mark{o.self + 1, o.epoch, bytes, k.strong}
	if !k.write {
		slot := &x.reads[0]
		if slot.cta != 0 && slot.cta != mine.cta {
			slot = &x.reads[1]
		}
		if slot.cta == mine.cta && slot.epoch == mine.epoch {
			mine.bytes |= slot.bytes
			mine.strong = mine.strong && slot.strong
		}
		*slot = mine
		return nil
	}
	for i := range x.reads {
		if x.reads[i].conflicts(o, bytes, k) {
			return &x.reads[i]
		}
	}
	if x.write.cta == mine.cta && x.write.epoch == mine.epoch {
		mine.bytes |= x.write.bytes
		mine.strong = mine.strong && x.write.strong
	}
	x.write = mine
	return nil
}

// synchronize passes clocks through the address of a strong access: releasing writes publish all that the CTA knows, relaxed
// ones what its last fence covered; acquiring reads take over at once, relaxed ones at the next fence.
func (r *globalRaces) synchronize(o *ctaOrder, addr uint64, k accessKind) {
	r.values.Lock()
	defer r.values.Unlock()
	at := r.clocks[addr]
	if !k.write || k.atomic {
		if k.sync.acquires() {
			joinClock(&o.seen, at)
		} else {
			joinClock(&o.pending, at)
		}
	}
	if k.write {
		published := o.fenced
		if k.sync.releases() {
			published = o.snapshot()
		}
		joinClock(&at, published)
		r.clocks[addr] = at
	}
}
