package emu

// raceClock is a warp's vector clock over the warps of its CTA. clock[self] is the warp's own epoch; it advances at every
// synchronization. fenced is the clock at the last fence.proxy.async.
type raceClock struct {
	at     []uint32
	fenced []uint32
}

// sharedRaces records who touched shared memory, by 4-byte word with a mask of bytes. Epochs grow from CTA to CTA, so that the
// records need no clearing.
type sharedRaces struct {
	warps  int
	writes []writeMark
	reads  []uint32 // [word][warp]: epoch<<4 | bytes
	top    uint32   // largest epoch given out
	vars   map[uint32][]uint32
}

type writeMark struct {
	epoch      uint32
	turn       uint32 // of the writing instruction: lanes of one store may meet
	warp, lane uint8
	bytes      uint8
	kind       writeKind
}

type writeKind uint8

const (
	plainWrite writeKind = iota
	strongWrite
	asyncWrite // by the asynchronous proxy: needs no proxy fence
)

const wholeWarp = 255 // lane of writes that all lanes make together

func newSharedRaces(warps, bytes int) *sharedRaces {
	words := (bytes + 3) / 4
	return &sharedRaces{warps: warps, writes: make([]writeMark, words), reads: make([]uint32, words*warps)}
}

func (r *sharedRaces) reset(c *cta) {
	if r.top > 1<<26 {
		clear(r.writes)
		clear(r.reads)
		r.top = 0
	}
	r.vars = nil
	r.top++
	for _, w := range c.warps {
		w.clock.at = append(w.clock.at[:0], make([]uint32, r.warps)...)
		w.clock.fenced = append(w.clock.fenced[:0], make([]uint32, r.warps)...)
		for i := range w.clock.at {
			w.clock.at[i], w.clock.fenced[i] = r.top, r.top
		}
	}
	r.top++
	for i, w := range c.warps {
		w.clock.at[i] = r.top
	}
}

// tick begins a new epoch of the warp.
func (c *raceClock) tick(w *warp) {
	if c.at == nil || w.cta.races == nil {
		return
	}
	c.at[w.index]++
	w.cta.races.top = max(w.cta.races.top, c.at[w.index])
}

func joinEpochs(to *[]uint32, from []uint32) {
	if *to == nil && from != nil {
		*to = make([]uint32, len(from))
	}
	for i, e := range from {
		(*to)[i] = max((*to)[i], e)
	}
}

// release publishes the warp's clock into v and begins a new epoch; acquire takes v over.
func (w *warp) release(v *[]uint32) {
	if w.cta.races != nil {
		joinEpochs(v, w.clock.at)
		w.clock.tick(w)
	}
}

func (w *warp) acquire(v []uint32) {
	if w.cta.races != nil && v != nil {
		self := w.clock.at[w.index]
		joinEpochs(&w.clock.at, v)
		w.clock.at[w.index] = max(self, w.clock.at[w.index])
		w.clock.tick(w)
	}
}

func (c *raceClock) fence(*warp) {}

func (c *raceClock) fenceProxy(w *warp) {
	if w.cta.races != nil {
		copy(c.fenced, c.at)
		c.tick(w)
	}
}

// noteShared checks an access at offset off of shared memory against mbarriers, asynchronous operations in flight and races.
func (w *warp) noteShared(lane int, off uint32, size int, k accessKind) bool {
	c := w.cta
	if len(c.mbars) > 0 && !k.async && c.overMbarrier(off, size) {
		w.failAddr(BadOperand, lane, uint64(off)+sharedBase, "an mbarrier object lies there: only mbarrier instructions may touch it")
		return false
	}
	first, last := off/4, (off+uint32(size)-1)/4
	for word := first; word <= last; word++ {
		if busy := c.reads[word]; busy != 0 && (k.write || busy&landing != 0) && !w.inFlight(lane, word, busy) {
			return false
		}
	}
	if c.races == nil {
		return true
	}
	if k.strong || k.atomic {
		w.syncShared(off, k)
	}
	for word := first; word <= last; word++ {
		m := byteMask(uint64(word)*4, uint64(off), size)
		if !w.raceWord(lane, word, m, k) {
			return false
		}
	}
	return true
}

// landing marks, in cta.reads, a word that an asynchronous copy will write; the other bits count asynchronous readers.
const landing = 1 << 15

func (w *warp) inFlight(lane int, word uint32, busy uint16) bool {
	addr := uint64(word)*4 + sharedBase
	if busy&landing != 0 {
		w.failAddr(AsyncHazard, lane, addr, "an asynchronous copy into it is in flight: wait for it first")
	} else {
		w.failAddr(AsyncHazard, lane, addr, "an asynchronous operation that reads it is in flight: wait for it before writing")
	}
	return false
}

// syncShared treats strong and atomic accesses as acquire and release at their address.
func (w *warp) syncShared(off uint32, k accessKind) {
	r := w.cta.races
	if r.vars == nil {
		r.vars = map[uint32][]uint32{}
	}
	v := r.vars[off]
	if !k.write || k.atomic {
		w.acquire(v)
	}
	if k.write {
		w.release(&v)
		r.vars[off] = v
	}
}

func (w *warp) raceWord(lane int, word uint32, bytes uint8, k accessKind) bool {
	r, at := w.cta.races, w.clock.at
	addr := uint64(word)*4 + sharedBase
	strong := k.strong || k.atomic
	m := &r.writes[word]
	if m.bytes&bytes != 0 && !(strong && m.kind == strongWrite) {
		if int(m.warp) != w.index {
			if m.epoch > at[m.warp] {
				w.failAddr(Race, lane, addr, "warp %d wrote it and no barrier lies between", m.warp)
				return false
			}
		} else if int(m.lane) != lane && m.lane != wholeWarp && lane != wholeWarp && m.epoch == at[w.index] && m.turn != w.turn {
			w.failAddr(Race, lane, addr, "lane %d of the same warp wrote it and no bar.warp.sync lies between", m.lane)
			return false
		}
		if k.async && !k.write && m.kind != asyncWrite && !w.proxyFenced(m) {
			w.failAddr(MissingFence, lane, addr, "warp %d wrote it without fence.proxy.async before this asynchronous read", m.warp)
			return false
		}
	}
	if !k.write {
		x := &r.reads[int(word)*r.warps+w.index]
		if *x>>4 != at[w.index] {
			*x = at[w.index] << 4
		}
		*x |= uint32(bytes)
		return true
	}
	for u := range r.warps {
		x := r.reads[int(word)*r.warps+u]
		if u != w.index && x&uint32(bytes) != 0 && x>>4 > at[u] && !strong {
			w.failAddr(Race, lane, addr, "warp %d read it and no barrier lies between", u)
			return false
		}
	}
	kind := plainWrite
	if k.async {
		kind = asyncWrite
	} else if strong {
		kind = strongWrite
	}
	mine := writeMark{at[w.index], w.turn, uint8(w.index), uint8(lane), bytes, kind}
	if m.epoch == mine.epoch && m.warp == mine.warp && m.kind == kind && m.bytes != 0 {
		mine.bytes |= m.bytes
		if m.lane != mine.lane {
			mine.lane = wholeWarp
		}
	}
	*m = mine
	return true
}

// proxyFenced reports whether the writer or this warp has fenced the write against the asynchronous proxy.
func (w *warp) proxyFenced(m *writeMark) bool {
	writer := w.cta.warps[m.warp]
	return writer.clock.fenced[m.warp] >= m.epoch || w.clock.fenced[m.warp] >= m.epoch
}

// noteSharedRun is noteShared for plain accesses of n lanes, size bytes each, right behind each other. It is false where one of them may
// be at fault; what it has marked until then a second look marks alike.
func (w *warp) noteSharedRun(lane, n int, off uint32, size int, write bool) bool {
	c := w.cta
	if len(c.mbars) > 0 && c.overMbarrier(off, n*size) {
		return false
	}
	words := size / 4 // of a lane
	first := int(off / 4)
	for _, busy := range c.reads[first:][:n*words] {
		if busy != 0 && (write || busy&landing != 0) {
			return false
		}
	}
	if c.races == nil {
		return true
	}
	for i := range n {
		for word := range words {
			if !c.races.markWord(w, lane+i, first+i*words+word, write) {
				return false
			}
		}
	}
	return true
}

// markWord is raceWord for a plain access to a whole word, without a word about what is wrong.
func (r *sharedRaces) markWord(w *warp, lane, word int, write bool) bool {
	at, self := w.clock.at, w.index
	m := &r.writes[word]
	if m.bytes != 0 {
		if int(m.warp) != self {
			if m.epoch > at[m.warp] {
				return false
			}
		} else if int(m.lane) != lane && m.lane != wholeWarp && m.epoch == at[self] && m.turn != w.turn {
			return false
		}
	}
	reads := r.reads[word*r.warps:][:r.warps]
	if !write {
		reads[self] = at[self]<<4 | 15
		return true
	}
	for u, x := range reads {
		if x&15 != 0 && x>>4 > at[u] && u != self {
			return false
		}
	}
	mine := writeMark{at[self], w.turn, uint8(self), uint8(lane), 15, plainWrite}
	if m.epoch == mine.epoch && m.warp == mine.warp && m.kind == plainWrite && m.bytes != 0 && m.lane != mine.lane {
		mine.lane = wholeWarp
	}
	*m = mine
	return true
}
