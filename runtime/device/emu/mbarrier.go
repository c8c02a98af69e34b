package emu

import (
	"math/bits"
	"strings"

	"llmc/runtime/device/emu/ptxtext"
)

// mbarrier is an mbarrier object (PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier"). It lives in a
// table beside shared memory: no other instruction may touch its eight bytes.
type mbarrier struct {
	expected, pending int64
	tx                int64 // bytes that asynchronous copies still owe to the phase
	phase             uint64
	clock, done       []uint32 // races: published in this phase, and by the phases before
	initWarp          int
	initEpoch         uint32
}

const (
	mbarrierBytes = 8
	maxArrivals   = 1<<20 - 1
)

// token is the opaque state that arrive returns.
func (b *mbarrier) token() uint64 { return b.phase<<20 | uint64(b.pending) }

// settle ends the phase when nothing is owed any more.
func (b *mbarrier) settle(c *cta) {
	c.progress++
	if b.pending == 0 && b.tx == 0 {
		b.phase++
		b.pending = b.expected
		b.done = append(b.done[:0], b.clock...)
	}
}

// overMbarrier reports whether bytes [off,off+size) meet an mbarrier object.
func (c *cta) overMbarrier(off uint32, size int) bool {
	for at := off &^ 7; at < off+uint32(size); at += mbarrierBytes {
		if c.mbars[at] != nil {
			return true
		}
	}
	return false
}

// mbarrierAt finds the object at a lane's address, or fails.
func (w *warp) mbarrierAt(sp space, lane int, addr uint64, fresh bool) (*mbarrier, uint32) {
	p := w.resolve(sp, lane, addr, mbarrierBytes, true)
	if p.bytes == nil {
		return nil, 0
	}
	if p.space != spaceShared {
		w.failAddr(BadAddress, lane, addr, "mbarrier objects live in shared memory")
		return nil, 0
	}
	off := uint32(p.addr - sharedBase)
	b := w.cta.mbars[off]
	if b == nil && !fresh {
		w.failAddr(BadOperand, lane, p.addr, "no mbarrier has been initialised there")
		return nil, 0
	}
	return b, off
}

// mbarrierInst is a decoded mbarrier instruction: f acts for one lane.
type mbarrierInst struct {
	space space
	base  int32
	off   uint64
	count int32 // register, or -1
	dst   int32 // register of the token, or -1
	fresh bool
	f     func(w *warp, lane int, b *mbarrier, off uint32, count int64)
}

func decodeMbarrier(d *decoder) {
	switch op := d.in.Mods[0]; {
	case len(d.in.Mods) == 0:
		d.unsupported("form")
	case op == "test_wait" || op == "try_wait":
		d.mbarrierWait(op == "try_wait")
	case op == "pending_count":
		if d.nargs(2, 2) {
			a := d.src(&d.in.Args[1], typ{kBits, 64, 1})
			d.emit(apply1(d.dst(&d.in.Args[0], typeU32), a, each1(func(v uint64) uint64 { return v & maxArrivals })), ClassBarrier)
		}
	default:
		d.mbarrierUpdate(op)
	}
}

func (d *decoder) mbarrierUpdate(op string) {
	args := d.in.Args
	in := &mbarrierInst{count: -1, dst: -1}
	if strings.HasPrefix(op, "arrive") && len(args) > 1 && args[0].Kind != ptxtext.AddressOperand {
		if args[0].Kind != ptxtext.SinkOperand {
			in.dst = d.dst(&args[0], typ{kBits, 64, 1})
		}
		args = args[1:]
	}
	if len(args) < 1 || len(args) > 2 {
		d.errorf(d.in.Pos, "%s: wrong number of operands", d.in.Name())
		return
	}
	in.space, in.base, in.off = d.address(&args[0], spaceOf(d.in))
	if len(args) == 2 {
		in.count = d.src(&args[1], typeU32)
	}
	expect := hasMod(d.in, "expect_tx")
	switch {
	case op == "init" && in.count >= 0:
		in.fresh, in.f = true, mbarrierInit
	case op == "inval":
		in.f = mbarrierInval
	case op == "expect_tx" && in.count >= 0:
		in.f = func(w *warp, lane int, b *mbarrier, _ uint32, n int64) { b.owe(w, lane, n) }
	case op == "complete_tx" && in.count >= 0:
		in.f = func(w *warp, lane int, b *mbarrier, _ uint32, n int64) { b.owe(w, lane, -n) }
	case op == "arrive" && expect && in.count >= 0:
		in.f = func(w *warp, lane int, b *mbarrier, _ uint32, n int64) {
			b.tx += n
			b.arrive(w, lane, 1)
		}
	case op == "arrive" && !expect:
		in.f = func(w *warp, lane int, b *mbarrier, _ uint32, n int64) { b.arrive(w, lane, max(n, 1)) }
	case op == "arrive_drop":
		in.f = func(w *warp, lane int, b *mbarrier, _ uint32, n int64) {
			if expect {
				b.tx += n
				n = 1
			}
			b.expected -= max(n, 1)
			b.arrive(w, lane, max(n, 1))
		}
	default:
		d.unsupported("form")
		return
	}
	d.emit(in.run, ClassBarrier)
}

func (in *mbarrierInst) run(w *warp) signal {
	if !w.defined(in.base) || in.count >= 0 && !w.defined(in.count) {
		return goOn
	}
	for m := w.exec; m != 0; m &= m - 1 {
		lane := firstLane(m)
		b, off := w.mbarrierAt(in.space, lane, w.regs[in.base][lane]+in.off, in.fresh)
		if w.fault != nil {
			return goOn
		}
		n := int64(0)
		if in.count >= 0 {
			n = int64(uint32(w.regs[in.count][lane]))
		}
		if in.dst >= 0 {
			w.regs[in.dst][lane] = b.token()
		}
		if in.f(w, lane, b, off, n); w.fault != nil {
			return goOn
		}
	}
	if in.dst >= 0 {
		w.init[in.dst] |= w.exec
	}
	return goOn
}

func mbarrierInit(w *warp, lane int, old *mbarrier, off uint32, n int64) {
	if n < 1 || n > maxArrivals {
		w.fail(BadOperand, lane, "an mbarrier expects 1 to %d arrivals, not %d", maxArrivals, n)
		return
	}
	if old != nil {
		w.failAddr(BadOperand, lane, uint64(off)+sharedBase, "an mbarrier is there already: mbarrier.inval it first")
		return
	}
	if !w.noteShared(lane, off, mbarrierBytes, accessKind{write: true}) {
		return
	}
	b := &mbarrier{expected: n, pending: n, initWarp: w.index}
	if w.cta.races != nil {
		b.initEpoch = w.clock.at[w.index]
	}
	w.cta.mbars[off] = b
	w.cta.progress++
}

func mbarrierInval(w *warp, lane int, b *mbarrier, off uint32, _ int64) {
	if b.tx != 0 {
		w.failAddr(AsyncHazard, lane, uint64(off)+sharedBase, "the mbarrier still awaits %d bytes", b.tx)
		return
	}
	delete(w.cta.mbars, off)
}

// arrive counts n arrivals that publish what the warp did so far.
func (b *mbarrier) arrive(w *warp, lane int, n int64) {
	w.release(&b.clock)
	if n > b.pending {
		w.fail(BadOperand, lane, "%d arrivals where the phase of the mbarrier expects only %d more", n, b.pending)
		return
	}
	b.pending -= n
	b.settle(w.cta)
}

// owe changes the bytes that the phase awaits.
func (b *mbarrier) owe(w *warp, lane int, n int64) {
	if b.tx += n; b.tx > maxArrivals || b.tx < -maxArrivals {
		w.fail(BadOperand, lane, "the byte count of the mbarrier is %d, its range is %d", b.tx, maxArrivals)
		return
	}
	if n < 0 {
		b.settle(w.cta)
	}
}

// mbarrierWait decodes test_wait and try_wait with a state or a parity. Asynchronous copies that the barrier awaits land here.
func (d *decoder) mbarrierWait(try bool) {
	args := d.in.Args
	if len(args) < 3 || len(args) > 4 {
		d.errorf(d.in.Pos, "%s: wrong number of operands", d.in.Name())
		return
	}
	p := d.predDst(args[0].Name, args[0].Pos)
	sp, base, disp := d.address(&args[1], spaceOf(d.in))
	parity := hasMod(d.in, "parity")
	t := typ{kBits, 64, 1}
	if parity {
		t = typeU32
	}
	state := d.src(&args[2], t)
	relaxed := hasMod(d.in, "relaxed")
	d.emit(func(w *warp) signal {
		if !w.defined(base, state) {
			return goOn
		}
		passed := uint32(0)
		for m := w.exec; m != 0; m &= m - 1 {
			lane := firstLane(m)
			b, off := w.mbarrierAt(sp, lane, w.regs[base][lane]+disp, false)
			if w.fault != nil {
				return goOn
			}
			w.cta.deliver(off)
			over, ok := b.over(w.regs[state][lane], parity)
			if !ok {
				w.fail(BadOperand, lane, "the state %#x is neither of the current phase nor of the one before", w.regs[state][lane])
				return goOn
			}
			if over {
				passed |= 1 << lane
				if !relaxed {
					w.acquire(b.done)
				}
			}
		}
		w.setPred(p, passed)
		if passed == w.exec {
			return goOn
		}
		w.cta.spun = true
		if try || bits.OnesCount32(passed) == 0 {
			return yield
		}
		return goOn
	}, ClassBarrier)
}

// over reports whether the phase that state names is complete.
func (b *mbarrier) over(state uint64, parity bool) (over, ok bool) {
	if parity {
		return b.phase&1 != state, state <= 1
	}
	switch state >> 20 {
	case b.phase:
		return false, true
	case b.phase - 1:
		return true, true
	}
	return false, false
}
