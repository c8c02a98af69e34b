package emu

import (
	"math/bits"

	"llmc/runtime/device/emu/ptxtext"
)

// masked emits an instruction with a member mask: it runs when every lane of the masks that has not exited is here.
func (d *decoder) masked(mask int32, run func(w *warp) signal, c Class) {
	bits, fixed := d.constant(mask)
	everyone := fixed && uint32(bits) == allLanes
	d.emit(func(w *warp) signal {
		if everyone && w.exec == allLanes {
			return run(w)
		}
		if !w.defined(mask) {
			return goOn
		}
		need := uint32(0)
		for m := w.exec; m != 0; m &= m - 1 {
			lane := firstLane(m)
			members := uint32(w.regs[mask][lane])
			if members>>lane&1 == 0 {
				w.fail(Divergence, lane, "the lane is not in its own member mask %#08x", members)
				return goOn
			}
			need |= members
		}
		if need&^(w.exec|w.exited) != 0 {
			return w.gatherMasked(need)
		}
		return run(w)
	}, c)
}

func (w *warp) gatherMasked(need uint32) signal {
	if off := w.active &^ w.exec & need; off != 0 {
		w.fail(Divergence, firstLane(off), "the mask names lanes %#08x, but the guard is false for lanes %#08x", need, off)
		return goOn
	}
	return wait
}

// decodeShfl decodes shfl.sync (PTX ISA, "shfl.sync", whose pseudocode this follows).
func decodeShfl(d *decoder) {
	if !hasMod(d.in, "sync") || !d.nargs(5, 5) {
		d.unsupported("only shfl.sync with five operands")
		return
	}
	args := d.in.Args
	p := int32(-1)
	if args[0].Alt != "" {
		p = d.predDst(args[0].Alt, d.in.Pos)
	}
	plain := args[0]
	plain.Alt = ""
	a, b, c, mask := d.src(&args[1], typeB32), d.src(&args[2], typeB32), d.src(&args[3], typeB32), d.src(&args[4], typeB32)
	dst, mode := d.dst(&plain, typeB32), d.mod1()
	if mode != "up" && mode != "down" && mode != "bfly" && mode != "idx" {
		d.unsupported("mode")
		return
	}
	same := d.fixedShuffle(mode, b, c)
	d.masked(mask, func(w *warp) signal {
		if !w.defined(a, b, c) {
			return goOn
		}
		if same != nil && w.exec == allLanes {
			v := &w.regs[a]
			for lane, src := range same.source {
				w.tmp[lane] = v[src&31]
			}
			w.regs[dst], w.init[dst] = w.tmp, allLanes
			if p >= 0 {
				w.setPred(p, same.in)
			}
			return goOn
		}
		in := uint32(0)
		for m := w.exec; m != 0; m &= m - 1 {
			lane := firstLane(m)
			src, ok := shflSource(mode, uint32(lane), uint32(w.regs[b][lane]), uint32(w.regs[c][lane]))
			if w.exec>>src&1 == 0 {
				w.fail(Divergence, lane, "it reads lane %d, which does not execute it", src)
				return goOn
			}
			w.tmp[lane] = w.regs[a][src]
			in |= uint32(truth(ok)) << lane
		}
		w.keep(dst)
		if p >= 0 {
			w.setPred(p, in)
		}
		return goOn
	}, ClassShuffle)
}

// shuffle is a shfl whose operands are constants: the lanes that the lanes read, and those that wanted one in range.
type shuffle struct {
	source [warpSize]uint8
	in     uint32
}

// fixedShuffle is nil where b or c are no constants.
func (d *decoder) fixedShuffle(mode string, b, c int32) *shuffle {
	lane, ok := d.constant(b)
	clamp, ok2 := d.constant(c)
	if !ok || !ok2 {
		return nil
	}
	s := &shuffle{}
	for i := range s.source {
		src, in := shflSource(mode, uint32(i), uint32(lane), uint32(clamp))
		if src >= warpSize {
			return nil
		}
		s.source[i] = uint8(src)
		s.in |= uint32(truth(in)) << i
	}
	return s
}

// shflSource is the lane that lane reads, itself where the wanted one is out of range.
func shflSource(mode string, lane, b, c uint32) (src uint32, ok bool) {
	segment, clamp := c>>8&31, c&31
	b &= 31
	high := lane&segment | clamp&^segment
	low := lane & segment
	switch mode {
	case "up":
		src = lane - b
		ok = int32(src) >= int32(high)
	case "down":
		src = lane + b
		ok = src <= high
	case "bfly":
		src = lane ^ b
		ok = src <= high
	case "idx":
		src = low | b&^segment
		ok = src <= high
	}
	if !ok {
		src = lane
	}
	return src, ok
}

// decodeVote decodes vote.sync.
func decodeVote(d *decoder) {
	if !hasMod(d.in, "sync") || !d.nargs(3, 3) {
		d.unsupported("only vote.sync with three operands")
		return
	}
	args := d.in.Args
	a, mask := d.predSrc(&args[1]), d.src(&args[2], typeB32)
	if hasMod(d.in, "ballot") {
		dst := d.dst(&args[0], typeB32)
		d.masked(mask, func(w *warp) signal {
			if a.ok(w) {
				v := a.value(w) & w.exec
				for i := range w.tmp {
					w.tmp[i] = uint64(v & uint32(w.regs[mask][i]))
				}
				w.keep(dst)
			}
			return goOn
		}, ClassShuffle)
		return
	}
	dst, mode := d.predDst(args[0].Name, d.in.Pos), d.mod1()
	if mode != "all" && mode != "any" && mode != "uni" {
		d.unsupported("mode")
		return
	}
	d.masked(mask, func(w *warp) signal {
		if !a.ok(w) {
			return goOn
		}
		v, out := a.value(w), uint32(0)
		for m := w.exec; m != 0; m &= m - 1 {
			lane := firstLane(m)
			members := uint32(w.regs[mask][lane]) & w.exec
			yes := v & members
			holds := mode == "all" && yes == members || mode == "any" && yes != 0 || mode == "uni" && (yes == 0 || yes == members)
			out |= uint32(truth(holds)) << lane
		}
		w.setPred(dst, out)
		return goOn
	}, ClassShuffle)
}

// decodeMatch decodes match.any.sync and match.all.sync.
func decodeMatch(d *decoder) {
	t, ok := d.lastType()
	if !ok || !d.nargs(3, 3) {
		return
	}
	args := d.in.Args
	p := int32(-1)
	if args[0].Alt != "" {
		p = d.predDst(args[0].Alt, d.in.Pos)
	}
	plain := args[0]
	plain.Alt = ""
	a, mask, dst, all := d.src(&args[1], t), d.src(&args[2], typeB32), d.dst(&plain, typeB32), hasMod(d.in, "all")
	d.masked(mask, func(w *warp) signal {
		if !w.defined(a) {
			return goOn
		}
		same := uint32(0)
		for m := w.exec; m != 0; m &= m - 1 {
			lane := firstLane(m)
			members, equal := uint32(w.regs[mask][lane])&w.exec, uint32(0)
			for o := members; o != 0; o &= o - 1 {
				if w.regs[a][firstLane(o)] == w.regs[a][lane] {
					equal |= 1 << firstLane(o)
				}
			}
			w.tmp[lane] = uint64(equal)
			if equal == members {
				same |= 1 << lane
			} else if all {
				w.tmp[lane] = 0
			}
		}
		w.keep(dst)
		if p >= 0 {
			w.setPred(p, same)
		}
		return goOn
	}, ClassShuffle)
}

// decodeRedux decodes redux.sync.
func decodeRedux(d *decoder) {
	t, ok := d.lastType()
	if !ok || !d.nargs(3, 3) {
		return
	}
	op := ""
	for _, m := range d.in.Mods {
		if atomicOps[m] != nil {
			op = m
		}
	}
	if op == "" || t.float() || t.bits != 32 {
		d.unsupported("operation or type")
		return
	}
	f := atomicOps[op](t)
	args := d.in.Args
	a, mask, dst := d.src(&args[1], t), d.src(&args[2], typeB32), d.dst(&args[0], t)
	d.masked(mask, func(w *warp) signal {
		if !w.defined(a) {
			return goOn
		}
		for m := w.exec; m != 0; m &= m - 1 {
			lane := firstLane(m)
			members := uint32(w.regs[mask][lane]) & w.exec
			v := w.regs[a][firstLane(members)]
			for o := members & (members - 1); o != 0; o &= o - 1 {
				v = f(v, w.regs[a][firstLane(o)], 0) & 0xffffffff
			}
			w.tmp[lane] = v
		}
		w.keep(dst)
		return goOn
	}, ClassShuffle)
}

// decodeActivemask gives the lanes that execute it together.
func decodeActivemask(d *decoder) {
	if !d.nargs(1, 1) {
		return
	}
	dst := d.dst(&d.in.Args[0], typeB32)
	d.emit(func(w *warp) signal {
		for i := range w.tmp {
			w.tmp[i] = uint64(w.exec)
		}
		w.keep(dst)
		return goOn
	}, ClassShuffle)
}

// decodeElect decodes elect.sync d|p, mask: the lowest lane of the mask leads.
func decodeElect(d *decoder) {
	if !d.nargs(2, 2) {
		return
	}
	args := d.in.Args
	if args[0].Alt == "" {
		d.errorf(d.in.Pos, "elect.sync needs d|p")
		return
	}
	p, mask := d.predDst(args[0].Alt, d.in.Pos), d.src(&args[1], typeB32)
	plain := ptxtext.Operand{Pos: args[0].Pos, Kind: args[0].Kind, Name: args[0].Name}
	dst := d.dst(&plain, typeB32)
	d.masked(mask, func(w *warp) signal {
		leaders := uint32(0)
		for m := w.exec; m != 0; m &= m - 1 {
			lane := firstLane(m)
			leader := bits.TrailingZeros32(uint32(w.regs[mask][lane]) & w.exec)
			w.tmp[lane] = uint64(leader)
			leaders |= 1 << leader
		}
		w.keep(dst)
		w.setPred(p, leaders)
		return goOn
	}, ClassShuffle)
}

// mod1 is the second modifier: the mode of shfl.sync and vote.sync.
func (d *decoder) mod1() string {
	if len(d.in.Mods) < 2 {
		return ""
	}
	return d.in.Mods[1]
}
