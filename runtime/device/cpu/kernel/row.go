package kernel

import (
	"math"
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// Add computes dst = a + b. All row operations work on len(dst) elements; dst may be one of the operands.
func (s *Set) Add(dst, a, b []float32) { s.binary(s.row.add, dst, a, b) }

// Mul computes dst = a * b.
func (s *Set) Mul(dst, a, b []float32) { s.binary(s.row.mul, dst, a, b) }

// SwiGLU computes dst = silu(gate) * up.
func (s *Set) SwiGLU(dst, gate, up []float32) { s.binary(s.row.swiglu, dst, gate, up) }

// SiLU computes dst = x / (1 + exp(-x)).
func (s *Set) SiLU(dst, x []float32) { s.unary(s.row.silu, dst, x) }

// Exp computes dst = e^x within 2 units in the last place; below -87.33 it is 0, above 88.37 it stays at e^88.37.
func (s *Set) Exp(dst, x []float32) { s.unary(s.row.exp, dst, x) }

// Scale computes dst = x * by.
func (s *Set) Scale(dst, x []float32, by float32) {
	if n := len(dst); n > 0 {
		s.fold.scale(&dst[0], &x[:n][0], n, by)
	}
}

func (s *Set) binary(f func(dst, a, b *float32, n int), dst, a, b []float32) {
	if n := len(dst); n > 0 {
		f(&dst[0], &a[:n][0], &b[:n][0], n)
	}
}

func (s *Set) unary(f func(dst, x *float32, n int), dst, x []float32) {
	if n := len(dst); n > 0 {
		f(&dst[0], &x[:n][0], n)
	}
}

// RMSNorm computes dst = x / sqrt(mean(x*x) + eps) * w.
func (s *Set) RMSNorm(dst, x, w []float32, eps float32) {
	n := len(dst)
	if n == 0 {
		return
	}
	squares := s.row.sumSquares(&x[:n][0], n)
	s.row.scaleMul(&dst[0], &x[0], &w[:n][0], n, inverseRMS(squares, n, eps))
}

// AddRMSNorm computes sum = x + delta and dst = RMSNorm(sum). sum may be x or delta.
func (s *Set) AddRMSNorm(sum, dst, x, delta, w []float32, eps float32) {
	n := len(dst)
	if n == 0 {
		return
	}
	squares := s.row.addSumSquares(&sum[:n][0], &x[:n][0], &delta[:n][0], n)
	s.row.scaleMul(&dst[0], &sum[0], &w[:n][0], n, inverseRMS(squares, n, eps))
}

func inverseRMS(squares float32, n int, eps float32) float32 {
	mean := squares / float32(n)
	return 1 / float32(math.Sqrt(float64(mean+eps)))
}

// ArgMax returns the index of the first of the largest elements; NaN counts as less than everything.
func (s *Set) ArgMax(x []float32) int {
	if len(x) == 0 {
		return 0
	}
	return s.row.argMax(&x[0], len(x))
}

// Sum adds up x.
func (s *Set) Sum(x []float32) float32 {
	if len(x) == 0 {
		return 0
	}
	return s.row.sum(&x[0], len(x))
}

// RopeStyle tells which channels of a head turn together.
type RopeStyle uint8

// The styles of rotary embeddings.
const (
	RopeHalf        RopeStyle = iota // channel i with i + rotary/2 (GPT-NeoX, Llama)
	RopeInterleaved                  // channel 2i with 2i+1 (GPT-J)
)

// Rope turns the first 2*len(cos) channels of each head of the row x [heads*dim] by the angles whose cosines and sines are given.
func (s *Set) Rope(style RopeStyle, x []float32, dim int, cos, sin []float32) {
	half := len(cos)
	if half == 0 {
		return
	}
	turn := [...]func(x, cos, sin *float32, half int){s.row.ropeHalf, s.row.ropePairs}[style]
	for ; len(x) >= dim; x = x[dim:] {
		turn(&x[:dim][: 2*half : dim][0], &cos[0], &sin[:half][0], half)
	}
}

// ToBF16 rounds to nearest, ties to even.
func (s *Set) ToBF16(dst []uint16, x []float32) {
	if n := len(dst); n > 0 {
		s.row.toBF16(&dst[0], &x[:n][0], n)
	}
}

// FromBF16 is exact.
func (s *Set) FromBF16(dst []float32, x []uint16) {
	if n := len(dst); n > 0 {
		s.row.fromBF16(&dst[0], &x[:n][0], n)
	}
}

// Quantize writes the row x [K] to dst in the activation format a, padding included; dst is at least a.Bytes() long.
func (s *Set) Quantize(dst []byte, a layout.Activation, x []float32) {
	x = x[:a.K]
	elements := dst[:a.EntryOffset()]
	switch {
	case a.ElementBytes == 4:
		copy(elements, bytesOf(x))
	case a.ElementBytes == 2:
		s.row.toBF16((*uint16)(unsafe.Pointer(&elements[0])), &x[0], a.K)
		clear(elements[2*a.K:])
	default:
		codes := unsafe.Slice((*int8)(unsafe.Pointer(&elements[0])), len(elements))
		clear(codes[a.CodeOffset(a.K&^(quantizeVector-1), 0):])
		entries := unsafe.Slice(at[layout.Entry](unsafe.Pointer(&dst[:a.Bytes()][0]), a.EntryOffset()), a.Entries())
		if a.GroupScales {
			s.quantizeGroups(codes, entries, a, x)
		} else {
			s.quantizeToken(codes, entries, a, x)
		}
	}
}

// quantizeToken uses one scale for the row.
func (s *Set) quantizeToken(codes []int8, entries []layout.Entry, a layout.Activation, x []float32) {
	scale, inverse := quantizer(s.row.maxAbs(&x[0], a.K))
	for i := range entries {
		lo, hi := i*a.Group, min(a.K, (i+1)*a.Group)
		first, second := s.row.quantize[a.Digits](&codes[a.CodeOffset(lo, 0)], &x[lo], hi-lo, scale, inverse)
		entries[i] = layout.Entry{Scale: scale, Bias: [2]int32{-a.Zero * first, -a.Zero * second}}
	}
}

// quantizeGroups uses one scale per group; a last short group is treated like a row of its own.
func (s *Set) quantizeGroups(codes []int8, entries []layout.Entry, a layout.Activation, x []float32) {
	whole := a.K / a.Group
	if whole > 0 {
		s.row.quantizeGroups[a.Digits](&codes[0], &entries[0], &x[0], whole, a.Group)
	}
	if lo := whole * a.Group; lo < a.K {
		scale, inverse := quantizer(s.row.maxAbs(&x[lo], a.K-lo))
		first, second := s.row.quantize[a.Digits](&codes[a.CodeOffset(lo, 0)], &x[lo], a.K-lo, scale, inverse)
		entries[whole] = groupEntry(scale, first, second)
	}
}

// Gather writes the K numbers of row n of a packed weight to dst: an embedding look-up.
func (s *Set) Gather(dst []float32, w *Matrix, n int) {
	panel := w.Panel(w.Data, n/layout.Lanes)
	lane := 4 * (n % layout.Lanes)
	dst = dst[:w.K]
	switch {
	case w.Nested:
		gatherNested(dst, w, panel, lane)
		return
	case w.scaled, w.Levels, w.Super(), w.Composed():
		w.Row(dst, w.Data, n)
		return
	}
	switch w.KPerStep {
	case 1:
		for k := range dst {
			dst[k] = *at[float32](unsafe.Pointer(&panel[0]), k*layout.StepBytes+lane)
		}
	case 2:
		for k := range dst {
			dst[k] = dtype.BF16ToF32(*at[uint16](unsafe.Pointer(&panel[0]), k/2*layout.StepBytes+lane+k%2*2))
		}
	case 4:
		gatherU8(dst, w, panel, lane)
	default:
		gatherU4(dst, w, panel, lane)
	}
}

func gatherU8(dst []float32, w *Matrix, panel []byte, lane int) {
	scale := w.Scale(panel, lane/4, 0)
	for k := range dst {
		dst[k] = float32(int(panel[k/4*layout.StepBytes+lane+k%4])-128) * scale
	}
}

func gatherU4(dst []float32, w *Matrix, panel []byte, lane int) {
	for g := range w.Groups() {
		scale, zero := w.Scale(panel, lane/4, g), w.Zero(panel, lane/4, g)
		lo := g * w.Group
		steps := panel[w.StepOffset(lo):]
		out := dst[lo:min(w.K, lo+w.Group)]
		for i := range out {
			out[i] = float32(int(nibble(steps, lane, i))-zero) * scale
		}
	}
}

// gatherNested makes codes of u8 as the kernels do, in bytes.
func gatherNested(dst []float32, w *Matrix, panel []byte, lane int) {
	scale := w.Scale(panel, lane/4, 0)
	for lo := 0; lo < w.K; lo += layout.NestedGroup {
		step, offset := w.Step(panel, lane/4, lo/layout.NestedGroup)
		steps := panel[w.StepOffset(lo):]
		out := dst[lo:min(w.K, lo+layout.NestedGroup)]
		for i := range out {
			out[i] = float32(int(nibble(steps, lane, i)*step+offset)-128) * scale
		}
	}
}

// nibble returns the code of 4 bits at i, counted from the first of steps.
func nibble(steps []byte, lane, i int) uint8 {
	return steps[i/8*layout.StepBytes+lane+i%4] >> (i % 8 / 4 * 4) & 15
}
