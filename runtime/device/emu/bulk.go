package emu

// bulkCopy is a cp.async.bulk in flight.
type bulkCopy struct {
	w        *warp
	lane, pc int
	store    bool // shared to global
	shared   uint32
	global   place
	size     int
	mbar     uint32 // of loads
	group    uint32 // of stores
	clock    []uint32
}

func (b *bulkCopy) fault(c *cta, kind Kind, msg string) *Fault {
	in := &c.prog.code[b.pc]
	return &Fault{Kind: kind, Kernel: c.prog.name, Line: in.line, Inst: in.name, CTA: c.id, Thread: b.w.thread(b.lane),
		Addr: uint64(b.shared) + sharedBase, HasA: true, Msg: msg}
}

// bulk decodes cp.async.bulk without tensor maps.
func (d *decoder) bulk() {
	switch {
	case hasMod(d.in, "tensor") || d.in.Mods[0] == "reduce":
		d.unsupported("tensor maps and reductions")
	case hasMod(d.in, "prefetch"):
		d.emit(func(*warp) signal { return goOn }, ClassCopy)
	case hasMod(d.in, "commit_group"):
		d.emit(func(w *warp) signal {
			for m := w.exec; m != 0; m &= m - 1 {
				w.async.bulkOpen[firstLane(m)]++
			}
			return goOn
		}, ClassCopy)
	case hasMod(d.in, "wait_group"):
		if !d.nargs(1, 1) {
			return
		}
		n, _ := d.immediate(0, 1<<20)
		d.emit(func(w *warp) signal { return w.landStores(uint32(n)) }, ClassCopy)
	case hasMod(d.in, "bulk_group"):
		d.bulkStore()
	case hasMod(d.in, "mbarrier::complete_tx::bytes") && hasMod(d.in, "global"):
		d.bulkLoad()
	default:
		d.unsupported("form")
	}
}

func (d *decoder) bulkLoad() {
	args := policyless(d.in)
	multicast := hasMod(d.in, "multicast::cluster")
	if multicast && len(args) == 5 {
		args = args[:4] // a cluster has one CTA: whatever the mask, it is this one
	}
	if len(args) != 4 {
		d.errorf(d.in.Pos, "%s: wrong number of operands", d.in.Name())
		return
	}
	_, dst, dstOff := d.address(&args[0], spaceShared)
	_, src, srcOff := d.address(&args[1], spaceGlobal)
	size := d.src(&args[2], typeU32)
	_, bar, barOff := d.address(&args[3], spaceShared)
	d.emit(func(w *warp) signal {
		if !w.defined(dst, src, size, bar) {
			return goOn
		}
		for m := w.exec; m != 0; m &= m - 1 {
			lane := firstLane(m)
			b := w.startBulk(lane, w.regs[dst][lane]+dstOff, w.regs[src][lane]+srcOff, w.regs[size][lane], false)
			if b == nil {
				return goOn
			}
			mb, off := w.mbarrierAt(spaceShared, lane, w.regs[bar][lane]+barOff, false)
			if w.fault != nil || !w.initFenced(lane, mb, off) {
				return goOn
			}
			b.mbar = off
			w.release(&b.clock)
			w.cta.mark(b.shared, b.size, true)
			w.cta.copies = append(w.cta.copies, b)
			w.countBulk(b, &memoryCounts{GlobalLoaded: uint64(b.size), SharedStored: uint64(b.size), SectorsLoaded: sectorsOf(b.global.addr, b.size)})
			if w.cta.chance.early() {
				w.cta.deliver(off)
			}
		}
		return goOn
	}, ClassCopy)
}

// initFenced checks that the initialisation of the mbarrier was made visible to the asynchronous proxy.
func (w *warp) initFenced(lane int, b *mbarrier, off uint32) bool {
	if w.cta.races == nil || w.proxyFenced(&writeMark{epoch: b.initEpoch, warp: uint8(b.initWarp)}) {
		return true
	}
	w.failAddr(MissingFence, lane, uint64(off)+sharedBase, "mbarrier.init needs fence.mbarrier_init or fence.proxy.async before a copy uses it")
	return false
}

// startBulk checks alignment, bounds and races of a copy.
func (w *warp) startBulk(lane int, shared, global, size uint64, store bool) *bulkCopy {
	if size == 0 || size%16 != 0 || shared%16 != 0 || global%16 != 0 {
		w.failAddr(Misaligned, lane, global, "a bulk copy of %d bytes from or to shared %#x: all three must be multiples of 16", size, shared)
		return nil
	}
	b := &bulkCopy{w: w, lane: lane, pc: w.pc, store: store, size: int(size)}
	off := shared - sharedBase
	if off >= uint64(len(w.cta.shared)) || size > uint64(len(w.cta.shared))-off {
		w.failAddr(BadAddress, lane, shared, "%d bytes run over the end of the %d bytes of shared memory", size, len(w.cta.shared))
		return nil
	}
	b.shared = uint32(off)
	if b.global = w.resolveGlobal(lane, global, int(size), store); b.global.bytes == nil {
		return nil
	}
	for at := uint64(0); at < size; at += 16 {
		p := place{b.global.bytes[at : at+16], spaceGlobal, b.global.addr + at}
		if !w.note(lane, p, accessKind{write: store}) {
			return nil
		}
	}
	if !w.noteShared(lane, b.shared, b.size, accessKind{write: !store, async: true}) {
		return nil
	}
	if !store && w.cta.overMbarrier(b.shared, b.size) {
		w.failAddr(BadOperand, lane, shared, "the copy would overwrite an mbarrier object")
		return nil
	}
	return b
}

// countBulk adds a lane's bulk copy to the counters.
func (w *warp) countBulk(b *bulkCopy, m *memoryCounts) {
	m.CopiedBytes, m.SectorsFetched = uint64(b.size), m.SectorsLoaded
	t := &w.traffic
	t.start(w)
	if !t.exact {
		w.memory.add(m)
		return
	}
	t.add(spaceGlobal, b.global.addr)
	w.charge(m, t)
}

// deliver lands what the mbarrier at off awaits: bulk copies and arrivals behind cp.async.
func (c *cta) deliver(off uint32) {
	kept := c.copies[:0]
	var landed []*bulkCopy
	for _, b := range c.copies {
		if b.store || b.mbar != off {
			kept = append(kept, b)
			continue
		}
		landed = append(landed, b)
	}
	c.copies = kept
	for _, b := range landed {
		copy(c.shared[b.shared:][:b.size], b.global.bytes)
		c.mark(b.shared, b.size, false)
		if mb := c.mbars[off]; mb != nil {
			joinEpochs(&mb.clock, b.clock)
			mb.tx -= int64(b.size)
			mb.settle(c)
		}
	}
	for _, w := range c.warps {
		if len(w.async.ops) > 0 {
			w.landFor(off)
		}
	}
}

func (d *decoder) bulkStore() {
	args := policyless(d.in)
	if len(args) != 3 {
		d.errorf(d.in.Pos, "%s: wrong number of operands", d.in.Name())
		return
	}
	_, dst, dstOff := d.address(&args[0], spaceGlobal)
	_, src, srcOff := d.address(&args[1], spaceShared)
	size := d.src(&args[2], typeU32)
	d.emit(func(w *warp) signal {
		if !w.defined(dst, src, size) {
			return goOn
		}
		for m := w.exec; m != 0; m &= m - 1 {
			lane := firstLane(m)
			b := w.startBulk(lane, w.regs[src][lane]+srcOff, w.regs[dst][lane]+dstOff, w.regs[size][lane], true)
			if b == nil {
				return goOn
			}
			b.group = w.async.bulkOpen[lane]
			w.cta.hold(b.shared, b.size, 1)
			w.cta.copies = append(w.cta.copies, b)
			w.countBulk(b, &memoryCounts{SharedLoaded: uint64(b.size), GlobalStored: uint64(b.size), SectorsStored: sectorsOf(b.global.addr, b.size)})
		}
		return goOn
	}, ClassCopy)
}

// hold counts asynchronous readers of the words under [off,off+size).
func (c *cta) hold(off uint32, size, n int) {
	c.usesAsync = true
	for word := off / 4; word*4 < off+uint32(size); word++ {
		c.reads[word] += uint16(n)
	}
}

// landStores writes the bulk stores of the executing lanes up to the last n groups.
func (w *warp) landStores(n uint32) signal {
	c := w.cta
	kept := c.copies[:0]
	for _, b := range c.copies {
		if !b.store || b.w != w || w.exec>>b.lane&1 == 0 || b.group+n >= w.async.bulkOpen[b.lane] {
			kept = append(kept, b)
			continue
		}
		copy(b.global.bytes, c.shared[b.shared:][:b.size])
		c.hold(b.shared, b.size, -1)
		c.progress++
	}
	c.copies = kept
	return goOn
}
