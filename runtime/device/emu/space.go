package emu

// space is a state space.
type space uint8

const (
	spaceGeneric space = iota
	spaceGlobal
	spaceShared
	spaceLocal
	spaceConst
	spaceParam
)

var spaceWords = map[string]space{"global": spaceGlobal, "shared": spaceShared, "local": spaceLocal, "const": spaceConst, "param": spaceParam}

// windows is indexed by the bits of a generic address above the window size.
var windows = [8]space{1: spaceShared, 2: spaceLocal, 3: spaceConst, 4: spaceParam, 7: spaceGlobal}

func windowOf(addr uint64) space {
	if i := addr >> windowShift; i < uint64(len(windows)) {
		return windows[i]
	}
	return spaceGeneric
}

// place is an address resolved for one lane: the bytes, and what the checks need.
type place struct {
	bytes []byte
	space space
	addr  uint64 // in the space
}

// quick resolves the common case, an aligned address in the buffer touched last or in shared memory; else bytes is nil.
func (w *warp) quick(sp space, addr uint64, size int) place {
	if addr&uint64(size-1) != 0 {
		return place{}
	}
	switch sp {
	case spaceGlobal, spaceGeneric:
		b := w.seg
		if off := addr - b.addr; off < uint64(len(b.data)) && uint64(size) <= uint64(len(b.data))-off {
			return place{b.data[off : off+uint64(size)], spaceGlobal, addr}
		}
	case spaceShared:
		if off := addr - sharedBase; off < uint64(len(w.cta.shared)) && uint64(size) <= uint64(len(w.cta.shared))-off {
			return place{w.cta.shared[off : off+uint64(size)], sp, addr}
		}
	}
	return place{}
}

// checked reports whether accesses to a space must be shown to the checks: race detection, mbarriers, or asynchronous operations.
func (w *warp) checked(sp space) bool {
	c := w.cta
	if sp == spaceGlobal {
		return c.launch.races != nil
	}
	return c.races != nil || c.launch.races != nil || len(c.mbars) > 0 || c.usesAsync
}

// resolve checks an access of size bytes and finds its memory. A nil slice means that the warp has failed.
func (w *warp) resolve(sp space, lane int, addr uint64, size int, write bool) place {
	if addr&uint64(size-1) != 0 {
		w.failAddr(Misaligned, lane, addr, "an access of %d bytes must be aligned to its size", size)
		return place{}
	}
	if sp == spaceGeneric {
		switch sp = windowOf(addr); sp {
		case spaceShared:
			addr -= sharedWindow
		case spaceLocal:
			addr -= localWindow
		case spaceGeneric:
			w.failAddr(BadAddress, lane, addr, "no memory has this generic address")
			return place{}
		}
	}
	switch sp {
	case spaceGlobal:
		return w.resolveGlobal(lane, addr, size, write)
	case spaceShared:
		if off := addr - sharedBase; off < uint64(len(w.cta.shared)) && uint64(size) <= uint64(len(w.cta.shared))-off {
			return place{w.cta.shared[off : off+uint64(size)], sp, addr}
		}
		w.failAddr(BadAddress, lane, addr, "%d bytes of shared memory lie from %#x to %#x", len(w.cta.shared), sharedBase, sharedBase+len(w.cta.shared))
	case spaceLocal:
		if addr < uint64(w.prog.local) && uint64(size) <= uint64(w.prog.local)-addr {
			return place{w.local[lane][addr : addr+uint64(size)], sp, addr}
		}
		w.failAddr(BadAddress, lane, addr, "local memory has %d bytes", w.prog.local)
	case spaceConst, spaceParam:
		return w.resolveFixed(sp, lane, addr, size, write)
	}
	return place{}
}

func (w *warp) resolveGlobal(lane int, addr uint64, size int, write bool) place {
	b := w.seg
	if addr-b.addr >= uint64(len(b.data)) {
		if b = w.cta.launch.mem.find(addr); b == nil {
			w.failAddr(BadAddress, lane, addr, "no buffer is there: %s", w.cta.launch.mem.near(addr))
			return place{}
		}
		w.seg = b
	}
	if !b.readOnly && !w.waited && w.cta.launch.Early {
		w.failAddr(TooEarly, lane, addr, "buffer %s may still be in use by the launch before", b.name)
		return place{}
	}
	off := addr - b.addr
	if uint64(len(b.data))-off < uint64(size) {
		w.failAddr(BadAddress, lane, addr, "%d bytes run over the end of buffer %s of %d bytes", size, b.name, len(b.data))
		return place{}
	}
	if write && b.readOnly {
		w.failAddr(ReadOnly, lane, addr, "buffer %s is read-only", b.name)
		return place{}
	}
	return place{b.data[off : off+uint64(size)], spaceGlobal, addr}
}

func (w *warp) resolveFixed(sp space, lane int, addr uint64, size int, write bool) place {
	bytes, base := w.cta.launch.params, uint64(paramWindow)
	if sp == spaceConst {
		bytes, base = w.prog.mod.consts, constWindow
	}
	if write {
		w.failAddr(ReadOnly, lane, addr, "constants and kernel parameters cannot be written")
		return place{}
	}
	if off := addr - base; off < uint64(len(bytes)) && uint64(size) <= uint64(len(bytes))-off {
		return place{bytes[off : off+uint64(size)], sp, addr}
	}
	w.failAddr(BadAddress, lane, addr, "outside of the %d bytes of constants or parameters", len(bytes))
	return place{}
}
