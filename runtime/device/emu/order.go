package emu

// syncOrder is the memory order of an access.
type syncOrder uint8

const (
	orderNone syncOrder = iota
	orderRelaxed
	orderAcquire
	orderRelease
	orderBoth
)

func (o syncOrder) acquires() bool { return o == orderAcquire || o == orderBoth }
func (o syncOrder) releases() bool { return o == orderRelease || o == orderBoth }

// accessKind describes an access to the checks.
type accessKind struct {
	write  bool
	strong bool // may run beside other strong accesses
	atomic bool
	sync   syncOrder
	async  bool // made by the asynchronous proxy
}

// note tells the checks about an access and reports whether the warp may go on.
func (w *warp) note(lane int, p place, k accessKind) bool {
	switch p.space {
	case spaceShared:
		return w.noteShared(lane, uint32(p.addr-sharedBase), len(p.bytes), k)
	case spaceGlobal:
		if r := w.cta.launch.races; r != nil && !w.seg.readOnly {
			return r.note(w, lane, p.addr, len(p.bytes), k)
		}
	}
	return true
}

// ctaOrder is what a CTA knows about the others: a sparse vector clock (Lamport 1978; Mattern 1989). It advances at fences and
// at acquiring and releasing operations.
type ctaOrder struct {
	self    uint32
	epoch   uint32
	seen    map[uint32]uint32 // other CTAs: epoch up to which their writes are visible
	fenced  map[uint32]uint32 // what a relaxed write after the last fence publishes
	pending map[uint32]uint32 // read by relaxed accesses, visible after the next fence
	before  map[uint32]uint32 // what its card knew when the launch began; never changed
}

func (o *ctaOrder) reset(self uint32) {
	*o = ctaOrder{self: self, epoch: 1}
}

func (o *ctaOrder) knows(cta, epoch uint32) bool {
	return cta == o.self || o.seen[cta] >= epoch || o.before[cta] >= epoch
}

func joinClock(to *map[uint32]uint32, from map[uint32]uint32) {
	if len(from) > 0 && *to == nil {
		*to = make(map[uint32]uint32, len(from))
	}
	for c, e := range from {
		if (*to)[c] < e {
			(*to)[c] = e
		}
	}
}

// snapshot is what the CTA publishes when it releases; later writes belong to a new epoch.
func (o *ctaOrder) snapshot() map[uint32]uint32 {
	s := make(map[uint32]uint32, len(o.seen)+1)
	joinClock(&s, o.before)
	joinClock(&s, o.seen)
	s[o.self] = o.epoch
	o.epoch++
	return s
}

// fence orders what was read by relaxed accesses before what follows, and what precedes before later relaxed writes.
func (o *ctaOrder) fence() {
	joinClock(&o.seen, o.pending)
	o.pending = nil
	o.fenced = o.snapshot()
}

// decodeFence decodes membar and fence.
func decodeFence(d *decoder) {
	name := d.in.Name()
	proxy := hasMod(d.in, "proxy")
	async, mbarrier := false, hasMod(d.in, "mbarrier_init")
	for _, m := range d.in.Mods {
		async = async || len(m) >= 5 && m[:5] == "async"
	}
	if proxy && hasMod(d.in, "tensormap::generic") {
		d.unsupported("tensor maps")
		return
	}
	wide := hasMod(d.in, "gpu") || hasMod(d.in, "gl") || hasMod(d.in, "sys") || hasMod(d.in, "cluster") || name == "fence.sc" || name == "fence.acq_rel"
	d.emit(func(w *warp) signal {
		if proxy && async || mbarrier {
			w.clock.fenceProxy(w)
		}
		if !proxy {
			if wide && w.cta.launch.races != nil {
				w.cta.order.fence()
			}
			w.clock.fence(w)
		}
		return goOn
	}, ClassBarrier)
}
