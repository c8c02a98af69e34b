package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// Fewer rows than these are faster as they are, and so are inputs of one digit whatever their number, and f32 that would not stay in the second-level cache.
const (
	minWordRows, minNestedRows = 5, 6
	minF32Rows                 = 48
	mostF32Bytes               = 160 << 10
)

// wideAVX2 are the widenings of sets without VNNI.
func wideAVX2() (v widenings) {
	words := widening{minRows: minWordRows, kernels: &wideKernelsAVX2[wideWords], layout: wideAs(&formWords, 4), row: widenRowAVX2, bytes: 2}
	words.panel = func(w *Matrix, dst, src []byte) {
		widenU8AVX2(unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), w.KPad()/w.KPerStep)
	}
	v[kindU8][2] = words
	words.minRows = minNestedRows
	words.panel = func(w *Matrix, dst, src []byte) {
		widenNestedAVX2(unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), unsafe.Pointer(&src[w.NestedOffset(0)]), w.KPad()/layout.NestedGroup)
	}
	v[kindU4Nested][2] = words
	v[kindBF16][1] = widening{
		minRows: minF32Rows, mostBytes: mostF32Bytes, kernels: &wideKernelsAVX2[wideF32], layout: wideAs(&formF32, 2), row: widenRowPairsAVX2, bytes: 4,
		panel: func(w *Matrix, dst, src []byte) {
			widenPairsAVX2(unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), w.KPad()/w.KPerStep)
		},
	}
	return v
}

// wideVNNI are the widenings of sets with it: few rows make the bytes of u4n as they multiply.
func wideVNNI(s *Set) (v widenings) {
	for digits := 1; digits <= maxDigits; digits++ {
		v[kindU4Nested][digits] = widening{
			minRows: s.linear[kindU4Nested][digits].tile + 1, kernels: &s.linear[kindU8][digits],
			layout: func(w *Matrix) layout.Linear { return w.wide }, panel: s.expandNested,
		}
	}
	return v
}
