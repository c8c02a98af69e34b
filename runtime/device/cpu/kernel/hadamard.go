package kernel

import (
	"math"
	"unsafe"
)

// hadamardKernels are the parts of a Hadamard transform. Its stages, sums and differences of numbers whose distance doubles, come in order from
// distance 1 on, so that all sets give the same bits.
type hadamardKernels struct {
	lanes int // the stages up to this distance are those of vectors
	// vectors does them on x*scale, n a multiple of the lanes.
	vectors func(dst, x *float32, n int, scale float32)
	// pairs does one stage, quads that of distance and that of twice distance, a multiple of the lanes; n is one of 2*distance or 4*distance.
	pairs, quads func(x *float32, n, distance int)
}

// Hadamard multiplies each block of x, whose length is a multiple of block, a power of two, with the orthogonal Hadamard matrix of its size. dst may be x.
func (s *Set) Hadamard(dst, x []float32, block int) {
	n := len(dst)
	if n == 0 {
		return
	}
	if block < 1 || block&(block-1) != 0 || n%block != 0 {
		panic("kernel: a row is not whole blocks of a power of two")
	}
	k := &s.row.hadamard
	if block < k.lanes {
		k = &refHadamard
	}
	k.transform(dst, x, block)
}

// transform is Hadamard for blocks of at least the lanes.
func (k *hadamardKernels) transform(dst, x []float32, block int) {
	n := len(dst)
	k.vectors(&dst[0], &x[:n][0], n, float32(1/math.Sqrt(float64(block))))
	distance := k.lanes
	for ; 4*distance <= block; distance *= 4 {
		k.quads(&dst[0], n, distance)
	}
	if distance < block {
		k.pairs(&dst[0], n, distance)
	}
}

// refHadamard has vectors of one lane.
var refHadamard = hadamardKernels{
	lanes: 1,
	vectors: func(dst, x *float32, n int, scale float32) {
		d := unsafe.Slice(dst, n)
		for i, v := range unsafe.Slice(x, n) {
			d[i] = v * scale
		}
	},
	pairs: refPairs,
	quads: func(x *float32, n, distance int) {
		refPairs(x, n, distance)
		refPairs(x, n, 2*distance)
	},
}

func refPairs(x *float32, n, distance int) {
	row := unsafe.Slice(x, n)
	for i := range row {
		if i&distance == 0 {
			row[i], row[i+distance] = row[i]+row[i+distance], row[i]-row[i+distance]
		}
	}
}
