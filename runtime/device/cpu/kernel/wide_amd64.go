package kernel

import (
	"unsafe"

	"llmc/engine/layout"
)

// Fewer rows than these are faster as they are, and so are inputs of one digit whatever their number.
const minWordRows, minNestedRows, minPairRows = 5, 6, 3

// wideAVX2 are the widenings of sets without VNNI.
func wideAVX2() (v widenings) {
	words := widening{minRows: minWordRows, kernels: &wideKernelsAVX2[wideWords], row: widenRowAVX2, bytes: 2}
	words.part = func(w *Matrix, dst, panel []byte, lo, n int) {
		widenU8AVX2(unsafe.Pointer(&dst[0]), unsafe.Pointer(&panel[w.StepOffset(lo)]), (n+w.KPerStep-1)/w.KPerStep)
	}
	v[kindU8][2] = words
	words.minRows = minNestedRows
	words.part = func(w *Matrix, dst, panel []byte, lo, n int) {
		nested := panel[w.NestedOffset(lo/layout.NestedGroup):]
		widenNestedAVX2(unsafe.Pointer(&dst[0]), unsafe.Pointer(&panel[w.StepOffset(lo)]), unsafe.Pointer(&nested[0]), (n+layout.NestedGroup-1)/layout.NestedGroup)
	}
	v[kindU4Nested][2] = words
	v[kindBF16][1] = widening{minRows: minPairRows, kernels: &wideKernelsAVX2[widePairs], row: widenRowPairsAVX2, bytes: 4}
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
