package kernel

import (
	"encoding/binary"
	"unsafe"

	"llmc/engine/layout"
)

// A weight of u4n is one of u8 whose codes are made of those of 4 bits by whole steps and offsets of groups, so all sets sum it as u8. With VPDPBUSD
// few rows make codes as they multiply; other sets multiply the sums of groups by steps. For more rows see wide.go.

// expandNested writes a panel of u4n as u8.
func (s *Set) expandNested(w *Matrix, dst, panel []byte) {
	s.nested(unsafe.Pointer(&dst[0]), unsafe.Pointer(&panel[0]), unsafe.Pointer(&panel[w.NestedOffset(0)]), w.KPad()/layout.NestedGroup)
	copy(dst[w.wide.ScaleOffset(0):], panel[w.ScaleOffset(0):w.NestedOffset(0)])
}

// sumGroups gives kernels that want them the sums of the codes of x's rows in each group.
func (s *Set) sumGroups(sc *Scratch, w *Matrix, x *Rows, rows int) {
	if !w.Super() && (!w.Nested || !s.nestedSums) {
		return
	}
	grow(&sc.sums, rows*x.Stride)
	for r := range rows {
		dst, codes := sc.sums[r*x.Stride:][:x.Stride], x.Data[r*x.Stride:][:x.EntryOffset()]
		if w.Super() {
			superSums(dst, codes, w, x.Digits)
		} else {
			sumGroups(dst, codes, x.Digits)
		}
	}
	sc.linear.sums = unsafe.Pointer(&sc.sums[0])
}

// sumGroups writes the sums of each group of 32 codes, [2] int32 of the digits. Codes are summed as they are with 128 added.
func sumGroups(dst, codes []byte, digits int) {
	const zeros = layout.NestedGroup * 128
	for len(codes) >= layout.NestedGroup*digits {
		words := sumBytes(codes[:layout.NestedGroup*digits])
		lower, upper := int32(words&0xffff+words>>16&0xffff), int32(words>>32&0xffff+words>>48)
		if digits == 1 {
			lower, upper = lower+upper, zeros
		}
		binary.LittleEndian.PutUint32(dst, uint32(lower-zeros))
		binary.LittleEndian.PutUint32(dst[4:], uint32(upper-zeros))
		dst, codes = dst[8:], codes[layout.NestedGroup*digits:]
	}
}

// sumBytes adds up whole groups of eight codes with 128 added, each pair of neighbours in a word of its own, of which there are four.
func sumBytes(codes []byte) (words uint64) {
	const signs, bytes = 0x8080808080808080, 0x00ff00ff00ff00ff
	for ; len(codes) >= 8; codes = codes[8:] {
		v := binary.LittleEndian.Uint64(codes) ^ signs
		words += v&bytes + v>>8&bytes
	}
	return words
}
