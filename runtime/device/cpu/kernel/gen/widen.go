package main

import "strconv"

// Writers of what makes panels and rows wide for the kernels of linear_wide.go. A step of four codes becomes two of words, the first and the third code of
// each lane and then the other two; a pair of bf16 becomes two f32, the odd one first, as products of bf16 are added.

// widenAhead is how far ahead panels are asked for, bytes.
const widenAhead = 1024

// widener is a function that writes n steps of a panel, or n bytes of a row, wider.
type widener struct {
	*function
	isa
}

func newWidener(name, doc, params string, t isa) *widener {
	w := &widener{newFunction(name+t.name, doc, params, ""), t}
	w.op("MOVQ", w.param("dst"), "DI")
	w.op("MOVQ", w.param("src"), panel)
	w.op("MOVQ", w.param("n"), steps)
	return w
}

// loop writes body, which reads from bytes of the source and writes to bytes of the destination, while n, less by count each time, is above zero.
func (w *widener) loop(count, from, to int, body func()) *function {
	again := w.newLabel("again")
	w.place(again)
	body()
	w.op("ADDQ", imm(from), panel)
	w.op("ADDQ", imm(to), "DI")
	w.op("SUBQ", imm(count), steps)
	w.op("JGT", again)
	w.end()
	return w.function
}

// steps writes each step as two, of what split leaves in two vectors of the one at an address, which are registers a and b.
func (w *widener) steps(split func(at, a, b string)) *function {
	return w.loop(1, stepBytes, 2*stepBytes, func() {
		w.op("PREFETCHT0", mem(widenAhead, panel))
		w.op("PREFETCHT0", mem(widenAhead+64, panel))
		for c := range stepBytes / w.bytes {
			a, b := w.reg(2*c), w.reg(2*c+1)
			split(mem(c*w.bytes, panel), a, b)
			w.op("VMOVDQU", a, mem(c*w.bytes, "DI"))
			w.op("VMOVDQU", b, mem(stepBytes+c*w.bytes, "DI"))
		}
	})
}

// widenU8 makes words of a panel of u8.
func widenU8(t isa) *function {
	w := newWidener("widenU8", "writes n steps of a panel of u8 as words.", "dst, src unsafe.Pointer, n int", t)
	return w.steps(func(at, even, odd string) {
		w.op("VMOVDQU", constant("signBytes"), odd)
		w.op("VPXOR", at, odd, odd)
		w.op("VPSLLW", imm(8), odd, even)
		w.op("VPSRAW", imm(8), even, even)
		w.op("VPSRAW", imm(8), odd, odd)
	})
}

// widenNested makes words of a panel of u4n: code*step + offset - zero.
func widenNested(t isa) *function {
	w := newWidener("widenNested", "writes n groups of a panel of u4n as words.", "dst, src, nested unsafe.Pointer, n int", t)
	w.op("MOVQ", w.param("nested"), nested)
	const group = nestedGroup / 2 * stepBytes
	return w.loop(1, group, 4*group, func() {
		for c := range stepBytes / w.bytes {
			factor, offset := w.reg(6), w.reg(7)
			w.op("VPMOVZXBD", mem(c*w.lanes()%nestedSteps, nested), factor)
			if c*w.lanes() >= nestedSteps {
				w.op("VPSRLD", imm(4), factor, factor)
			}
			w.op("VPAND", constant("lowBits"), factor, factor)
			w.op("VPMOVZXBD", mem(nestedSteps+c*w.lanes(), nested), offset)
			w.op("VPADDD", constant("minusZeroU8"), offset, offset)
			w.bothWords(factor)
			w.bothWords(offset)
			for i := range nestedGroup / 2 {
				w.nestedStep(i, c, factor, offset)
			}
		}
		w.op("ADDQ", imm(nestedBytes), nested)
	})
}

// bothWords copies the lower words of lanes to the upper ones.
func (w *widener) bothWords(v string) {
	copied := w.reg(0)
	w.op("VPSLLD", imm(16), v, copied)
	w.op("VPBLENDW", imm(0xaa), copied, v, v)
}

// nestedStep widens the nibbles of vector c in step i: eight k.
func (w *widener) nestedStep(i, c int, factor, offset string) {
	low := constant("lowNibbleWords")
	w.op("VMOVDQU", mem(i*stepBytes+c*w.bytes, panel), w.reg(0))
	w.op("VPAND", low, w.reg(0), w.reg(1))
	w.op("VPSRLW", imm(8), w.reg(0), w.reg(2))
	w.op("VPAND", low, w.reg(2), w.reg(2))
	w.op("VPSRLW", imm(4), w.reg(0), w.reg(3))
	w.op("VPAND", low, w.reg(3), w.reg(3))
	w.op("VPSRLW", imm(12), w.reg(0), w.reg(4))
	for j := range 4 {
		v := w.reg(1 + j)
		w.op("VPMULLW", factor, v, v)
		w.op("VPADDW", offset, v, v)
		w.op("VMOVDQU", v, mem((4*i+j)*stepBytes+c*w.bytes, "DI"))
	}
}

// widenRow makes words of the codes of a row: of two digits together in steps of the second.
func widenRow(t isa) *function {
	w := newWidener("widenRow", "writes n codes of a row of two digits as words, n a multiple of 16.", "dst, src unsafe.Pointer, n int", t)
	return w.loop(16, 32, 32, func() {
		v, even, second, odd := w.reg(0), w.reg(1), w.reg(2), w.reg(3)
		w.op("VMOVDQU", mem(0, panel), v)
		w.op("VPSLLW", imm(8), v, even)
		w.op("VPSRAW", imm(8), even, second)
		w.op("VPSRLQ", imm(32), second, second)
		w.op("VPADDW", second, even, even)
		w.op("VPSRAW", imm(8), v, second)
		w.op("VPSRLW", imm(8), v, odd)
		w.op("VPSLLW", imm(8), odd, odd)
		w.op("VPSLLQ", imm(32), odd, odd)
		w.op("VPADDW", second, odd, odd)
		w.op("VPBLENDD", imm(0xaa), odd, even, even)
		w.op("VMOVDQU", even, mem(0, "DI"))
	})
}

// widenRowPairs makes f32 of n bf16 of a row, n a multiple of 8.
func widenRowPairs(t isa) *function {
	w := newWidener("widenRowPairs", "writes n bf16 of a row as f32, the odd one of each pair first.", "dst, src unsafe.Pointer, n int", t)
	return w.loop(8, 16, 32, func() {
		v, even := w.reg(0), w.reg(1)
		w.op("VPMOVZXDQ", mem(0, panel), v)
		w.op("VPSLLQ", imm(48), v, even)
		w.op("VPAND", constant("oddHalves"), v, v)
		w.op("VPOR", v, even, even)
		w.op("VMOVDQU", even, mem(0, "DI"))
	})
}

// wideUnit writes the kernels of wide panels and rows, and what makes these.
func wideUnit() []unit {
	t := avx2
	u := unit{file: "zwide_avx2"}
	table := func(name string, write func(t isa, rows, digits int) *function) string {
		text := "\t" + name + ": {tile: " + strconv.Itoa(wideRows) + ", rows: [maxTile + 1]linearFunc{"
		for rows := 1; rows <= wideRows; rows++ {
			f := write(t, rows, 1)
			u.functions = append(u.functions, f)
			text += strconv.Itoa(rows) + ": " + f.name + ", "
		}
		return text + "}},\n"
	}
	u.table = "// wideKernelsAVX2 multiply wide panels with wide rows.\nvar wideKernelsAVX2 = [wideKinds]linearKernels{\n" +
		table("widePairs", widePairs) + table("wideWords", wideWords) + "}\n"
	u.functions = append(u.functions, widenU8(t), widenNested(t), widenRow(t), widenRowPairs(t))
	return []unit{u}
}
