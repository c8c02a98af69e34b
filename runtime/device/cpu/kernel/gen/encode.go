package main

import (
	"fmt"
	"strings"
)

// Go's assembler lacks AVX512_BF16. These are the two instructions of it that the kernels use, in their register forms, encoded as the
// Intel Software Developer's Manual says (volume 2, section 2.7 "EVEX" and the instructions' pages).

// evex encodes a 512-bit instruction of map 0F38, prefix F3, W0, between registers: dst (ModRM.reg), first source (EVEX.vvvv; none: -1)
// and second source (ModRM.rm).
func evex(opcode byte, dst, first, second int) []byte {
	inverted := func(bit int, on bool) byte {
		if on {
			return 0
		}
		return 1 << bit
	}
	vvvv := 0 // stored inverted; 0 also stands for no register
	if first >= 0 {
		vvvv = first
	}
	const map0F38, prefixF3, fixed, length512 = 0b010, 0b10, 1 << 2, 0b10 << 5
	p0 := inverted(7, dst&8 != 0) | inverted(6, second&16 != 0) | inverted(5, second&8 != 0) | inverted(4, dst&16 != 0) | map0F38
	p1 := byte(^vvvv&15)<<3 | fixed | prefixF3
	p2 := length512 | inverted(3, vvvv&16 != 0)
	modrm := 0b11<<6 | byte(dst&7)<<3 | byte(second&7)
	return []byte{0x62, p0, p1, p2, opcode, modrm}
}

// encoded writes an encoded instruction with what it means as a comment.
func (f *function) encoded(code []byte, meaning string) {
	parts := make([]string, len(code))
	for i, b := range code {
		parts[i] = fmt.Sprintf("BYTE $0x%02x", b)
	}
	fmt.Fprintf(&f.text, "\t%s // %s\n", strings.Join(parts, "; "), meaning)
}

// dotBF16 adds the dot products of the bf16 pairs of registers a and b to the f32 lanes of acc.
func (f *function) dotBF16(a, b, acc int) {
	f.encoded(evex(0x52, acc, b, a), fmt.Sprintf("VDPBF16PS Z%d, Z%d, Z%d", a, b, acc))
}

// roundBF16 rounds the 16 f32 of register src to the 16 bf16 of register dst's lower half.
func (f *function) roundBF16(src, dst int) {
	f.encoded(evex(0x72, dst, -1, src), fmt.Sprintf("VCVTNEPS2BF16 Z%d, Y%d", src, dst))
}
