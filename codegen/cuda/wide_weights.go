package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// wideReader takes fragments of a weight from shared memory to wgmma.
type wideReader interface {
	// multiply adds the product of a chunk to a part of K, and waits for it.
	multiply(at chunkPlace, part []ptx.Reg)
	// factor gives what the sum of an output and the lane's token number n is multiplied with at the end; nil: nothing.
	factor(output ptx.Reg) func(n int) ptx.Reg
}

// wideReaders is indexed as weightReaders.
var wideReaders = map[string]func(w *wide) wideReader{
	"bf16":  func(w *wide) wideReader { return wideHalf{w} },
	"f16":   newWideF16,
	"u8":    func(w *wide) wideReader { return wideU8{w, u8Reader{w.product}} },
	"u4":    newWideU4,
	"e4m3t": newWideE4M3,
	"e4m3g": newWideBlocks,
	"s8t":   newWideS8,
}

// words loads the lane's part of a chunk.
func (w *wide) words(at chunkPlace) [][]ptx.Reg {
	var words [][]ptx.Reg
	for f := range chunk / w.w.Depth {
		words = append(words, w.LdV(ptx.B32, 4, at.fragments.At(f*fragmentBytes)))
	}
	return words
}

// step starts one step of 32 bytes of k. The numbers of the next one are made while it runs.
func (w *wide) step(acc, a []ptx.Reg, b ptx.Reg, s int) {
	w.WgmmaFence()
	w.Wgmma(w.instruction, acc, a, w.Advance(b, 32*s), true)
}

// wideHalf reads numbers of 16 bits.
type wideHalf struct{ *wide }

func newWideF16(w *wide) wideReader {
	w.instruction.A = ptx.F16
	return wideHalf{w}
}

func (r wideHalf) multiply(at chunkPlace, part []ptx.Reg) {
	for s, words := range r.words(at) {
		r.step(part, words, at.b, s)
	}
	r.WgmmaCommit()
	r.WgmmaWait(0)
}

func (wideHalf) factor(ptx.Reg) func(int) ptx.Reg { return nil }

// wideU8 reads codes of 8 bits; see u8Reader.
type wideU8 struct {
	*wide
	codes u8Reader
}

func (r wideU8) multiply(at chunkPlace, part []ptx.Reg) {
	for f, words := range r.words(at) {
		for half := range 2 {
			var a []ptx.Reg
			for _, word := range words[2*half : 2*half+2] {
				a = append(a, r.codes.pair(word, 0), r.codes.pair(word, 2))
			}
			r.step(part, a, at.b, 2*f+half)
		}
	}
	r.WgmmaCommit()
	r.WgmmaWait(0)
}

func (r wideU8) factor(output ptx.Reg) func(int) ptx.Reg {
	scale := r.outputScale(output)
	return func(int) ptx.Reg { return scale }
}

// wideU4 reads codes of 4 bits; see u4Reader. The products of a group within a chunk are summed apart.
type wideU4 struct {
	*wide
	codes *u4Reader
}

func newWideU4(w *wide) wideReader { return wideU4{w, &u4Reader{product: w.product}} }

// multiply starts all groups of the chunk; the sums of one are scaled while the next is under way.
func (r wideU4) multiply(at chunkPlace, part []ptx.Reg) {
	r.codes.one, r.codes.minus = r.Const(ptx.BF16x2, 1.0), r.Const(ptx.BF16x2, -136.0)
	words := r.words(at)[0]
	steps := min(chunkSteps, r.w.Group/16)
	var scales [][2]ptx.Reg
	var sums [][]ptx.Reg
	for from := 0; from < chunkSteps; from += steps {
		scale, minus := r.scales(at, from)
		sum := r.Zeros(ptx.F32, len(part))
		for s := from; s < from+steps; s++ {
			r.step(sum, r.codes.numbers(words[s], minus), at.b, s)
		}
		r.WgmmaCommit()
		scales, sums = append(scales, scale), append(sums, sum)
	}
	for g, sum := range sums {
		r.WgmmaWait(len(sums) - 1 - g)
		for i := range part {
			r.Into(part[i]).Fma(sum[i], scales[g][i%4/2], part[i])
		}
	}
}

// scales loads the scales of the group that step s of a chunk lies in, for the lane's rows g and g+8, and what to add to its codes.
func (r wideU4) scales(at chunkPlace, s int) (scales, minus [2]ptx.Reg) {
	minus = [2]ptx.Reg{r.codes.minus, r.codes.minus}
	shift := log2(r.w.Group / 16)
	group := r.Sub(r.Shr(r.Mad(at.number, chunkSteps, s), shift), r.Shr(r.Mul(at.first, chunkSteps), shift))
	element := r.Mad(r.Mad(at.panel, r.groups, group), layout.FragmentRows, r.Shr(r.Lane(), 2))
	for i := range scales {
		scales[i] = r.Cvt(ptx.F32, r.Ld(ptx.F16, r.Index(at.stage, element, 2).At(r.scalesAt+16*i)))
		if r.w.Zeros {
			zero := r.Ld(ptx.U8, r.Add(at.stage, element).At(r.zerosAt+8*i)).As(ptx.B32)
			both := r.Or(r.Or(zero, r.Shl(zero, 16)), 0x43004300)
			minus[i] = r.Neg(both.As(ptx.BF16x2))
		}
	}
	return scales, minus
}

func (wideU4) factor(ptx.Reg) func(int) ptx.Reg { return nil }
