package grammar

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Masks that consist of the same masks of places are the same mask, in whatever calls their states are and whichever grammar they are of: how many brackets are open is seen by tokens that
// close several of them alone.

// union returns the mask of all that gather has found.
func (w *walker) union(leaves bool) *mask {
	slices.SortFunc(w.found, func(a, b *localMask) int { return cmp.Compare(a.number, b.number) })
	w.found = slices.Compact(w.found)
	if w.walked != nil { // is of this state alone
		return w.join(w.walked, leaves)
	}
	w.key = append(w.key[:0], 0)
	if leaves {
		w.key[0] = 1
	}
	for _, l := range w.found {
		w.key = binary.LittleEndian.AppendUint64(w.key, l.number)
	}
	w.lock()
	m := w.v.kept.findUnion(w.key)
	w.unlock()
	if m != nil {
		return m
	}
	if len(w.found) == 1 && w.found[0].bits != nil && !leaves {
		m = &mask{allowed: w.found[0].bits, text: w.v.hasText(w.found[0].bits), size: 96}
	} else {
		m = w.join(w.blank(), leaves)
		m.size = int64(96 + 4*len(m.allowed))
	}
	m.size += int64(len(w.key))
	w.lock()
	w.joined += w.v.kept.holdUnion(string(w.key), m)
	w.unlock()
	return m
}

// join allows what has been found.
func (w *walker) join(bits []uint32, leaves bool) *mask {
	for _, l := range w.found {
		if l.bits != nil {
			or(bits, l.bits)
		}
		for _, token := range l.few {
			bits[token/32] |= 1 << (token % 32)
		}
	}
	m := &mask{allowed: bits, text: w.v.hasText(bits)}
	if leaves {
		for _, id := range w.v.ends {
			bits[id/32] |= 1 << (id % 32)
		}
	}
	return m
}

// spareMasks is how many empty masks a vocabulary has in readiness.
const spareMasks = 24

// blank returns a mask of nothing. An output takes one that is in readiness: an allocation of this size may have to wait for the collector of garbage, and the first write to it for the
// system's pages, each of which can take longer than all else of a mask.
func (w *walker) blank() []uint32 {
	v := w.v
	if w.ahead || v.size < aheadFrom {
		return make([]uint32, v.words)
	}
	if len(v.spare) < spareMasks/2 {
		v.refill()
	}
	select {
	case bits := <-v.spare:
		return bits
	default:
		return make([]uint32, v.words)
	}
}

// refill makes masks of nothing until there are enough of them.
func (v *Vocabulary) refill() {
	if !v.filling.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer v.filling.Store(false)
		for {
			bits := make([]uint32, v.words)
			for i := 0; i < len(bits); i += 1024 { // a page each
				bits[i] = 0
			}
			select {
			case v.spare <- bits:
			default:
				return
			}
		}
	}()
}
