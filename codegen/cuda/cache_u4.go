package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// u4Table are two words of a table of bytes, by which codes of u4 become f16: the upper halves of the magnitudes, which have few enough significant bits.
func u4Table() (words [2]uint32) {
	for i, level := range quant.KVLevels {
		words[i/4] |= uint32(dtype.F32ToF16(float32(level))>>8) << (i % 4 * 8)
	}
	return words
}

// expandU4 looks up four magnitudes at a time: those of channels 0 and 1 of each half of the word, then of 2 and 3. The signs of the former come to the tops
// of their bytes by a shift, those of the latter lie there; see layout.PlainKV. One word of the table can be part of an instruction, the other one is in a
// register, with a bit that is never set of a number that was loaded: of what they know to be a constant assemblers make a copy for each use.
func (a *attend) expandU4(word ptx.Reg, alternate bool) (pairs []ptx.Reg) {
	const signs = 0x80808080
	high := int(u4Table()[1])
	magnitudes := a.e.And(word, 0x77777777)
	var bytes [2]ptx.Reg
	for i, of := range [2]struct {
		selector int // bytes 0 and 2, then 1 and 3: two codes each
		signs    ptx.Reg
	}{{0x4420, a.e.Shl(word, 4)}, {0x4431, word}} {
		found := a.e.Permute(a.u4Low, high, a.e.Permute(magnitudes, 0, of.selector))
		bytes[i] = a.e.Lop3(of.signs, signs, found, func(x, y, z uint8) uint8 { return x&y | z })
	}
	const of01, of23, of02, of13 = 0x1404, 0x3424, 0x2404, 0x3414 // bytes as the upper ones of two halves
	wanted := [4][2]int{{0, of01}, {1, of01}, {0, of23}, {1, of23}}
	if alternate {
		wanted = [4][2]int{{0, of02}, {0, of13}, {1, of02}, {1, of13}}
	}
	for _, w := range wanted {
		pairs = append(pairs, a.e.Permute(bytes[w[0]], 0, w[1]).As(ptx.F16x2))
	}
	return pairs
}

// wordU4 makes an octet a word of codes. Bounds are found by halving.
func (e *entry) wordU4(x []ptx.Reg) (word ptx.Reg) {
	b := quant.KVBounds
	word = e.Const(ptx.U32, 0)
	set := func(p ptx.Reg, bit int) {
		e.When(p).Into(word).Or(word, 1<<bit)
	}
	for i, v := range x {
		m := e.Abs(v)
		high := e.Gt(m, float64(b[3]))
		middle := e.Gt(m, e.Select(high, e.Const(ptx.F32, float64(b[5])), float64(b[1])))
		least := e.Select(high, e.Select(middle, e.Const(ptx.F32, float64(b[6])), float64(b[4])), e.Select(middle, e.Const(ptx.F32, float64(b[2])), float64(b[0])))
		set(e.Gt(m, least), 4*i)
		set(middle, 4*i+1)
		set(high, 4*i+2)
		set(e.Lt(v.As(ptx.S32), 0), i/4*16+layout.U4Signs[i%4])
	}
	return word
}

// lostU4 is the distance to the nearest magnitude: 1, 3, 5 and 7 lie about 4 in pairs about 2 and 6, the others about 11 and 18.
func (e *entry) lostU4(x ptx.Reg) ptx.Reg {
	m := e.Abs(x)
	about := func(v ptx.Reg, middle float64) ptx.Reg { return e.Abs(e.Sub(v, middle)) }
	low := about(about(about(m, 4), 2), 1)
	return e.Min(low, e.Min(about(about(m, 11), 1), about(about(m, 18), 2)))
}
