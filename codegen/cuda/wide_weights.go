package cuda

import (
	"llmc/codegen/ptx"
)

// wideReader takes fragments of a weight from shared memory to wgmma.
type wideReader interface {
	// multiply adds the product of a chunk to a part of K, and waits for it.
	multiply(at chunkPlace, part []ptx.Reg)
}

// wideReaders is indexed as weightReaders.
var wideReaders = map[string]func(w *wide) wideReader{
	"bf16":  func(w *wide) wideReader { return wideHalf{w} },
	"f16":   newWideF16,
	"u8":    func(w *wide) wideReader { return wideU8{w, u8Reader{reader{w.product}}} },
	"u4":    newWideU4,
	"e4m3t": newWideE4M3,
	"e4m3g": newWideBlocks,
	"s8t":   newWideS8,
}

// step starts one step of 32 bytes of k. The numbers of the next one are made while it runs.
func (w *wide) step(acc, a []ptx.Reg, b ptx.Reg, s int) {
	w.WgmmaFence()
	w.Wgmma(w.instruction, acc, a, w.Advance(b, 32*s), true)
}

// wideHalf reads numbers of 16 bits.
type wideHalf struct{ wide *wide }

func newWideF16(w *wide) wideReader {
	w.instruction.A = ptx.F16
	return wideHalf{w}
}

func (r wideHalf) multiply(at chunkPlace, part []ptx.Reg) {
	for s, words := range at.fragments() {
		r.wide.step(part, words, at.b, s)
	}
	r.wide.WgmmaCommit()
	r.wide.WgmmaWait(0)
}

// wideU8 reads codes of 8 bits; see u8Reader.
type wideU8 struct {
	wide  *wide
	codes u8Reader
}

func (r wideU8) multiply(at chunkPlace, part []ptx.Reg) {
	for f, words := range at.fragments() {
		for half := range 2 {
			var a []ptx.Reg
			for _, word := range words[2*half : 2*half+2] {
				a = append(a, r.codes.pair(word, 0), r.codes.pair(word, 2))
			}
			r.wide.step(part, a, at.b, 2*f+half)
		}
	}
	r.wide.WgmmaCommit()
	r.wide.WgmmaWait(0)
}

// wideU4 reads codes of 4 bits; see u4Reader. The products of a group within a chunk are summed apart.
type wideU4 struct {
	wide  *wide
	codes *u4Reader
}

func newWideU4(w *wide) wideReader { return wideU4{w, &u4Reader{product: w.product}} }

// multiply starts all groups of the chunk; the sums of one are scaled while the next is under way.
func (r wideU4) multiply(at chunkPlace, part []ptx.Reg) {
	r.codes.prepare()
	words := at.fragments()[0]
	steps := min(chunkSteps, r.wide.w.Group/16)
	var scales [][2]ptx.Reg
	var sums [][]ptx.Reg
	for from := 0; from < chunkSteps; from += steps {
		scale, minus := r.codes.scales(at, from)
		sum := r.wide.Zeros(ptx.F32, len(part))
		for s := from; s < from+steps; s++ {
			r.wide.step(sum, r.codes.numbers(words[s], minus), at.b, s)
		}
		r.wide.WgmmaCommit()
		scales, sums = append(scales, scale), append(sums, sum)
	}
	for g, sum := range sums {
		r.wide.WgmmaWait(len(sums) - 1 - g)
		for i := range part {
			r.wide.Into(part[i]).Fma(sum[i], scales[g][i%4/2], part[i])
		}
	}
}
