package kernel

import (
	"math"
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// codeKernels are what caches of codes need whose scales are looked for, and codes of 4 bits.
type codeKernels struct {
	// lossE4M3 and lossU4 add up, as sumSquares does, the squares of what codes lose of magnitudes of x*inverse.
	lossE4M3, lossU4 func(x *float32, n int, inverse float32) float32
	// codesU4 stores codes of 4 bits, each in a byte.
	codesU4 convertFunc
	// openU4 makes two lines of 64 codes of i8 of each line of codes of 4 bits: of the lower halves of its bytes, then of the upper ones. As many lines from
	// ahead on will be wanted.
	openU4 func(dst, src unsafe.Pointer, lines int, ahead unsafe.Pointer)
}

// codeReference is codeKernels by the words of internal/quant.
var codeReference = codeKernels{
	lossE4M3: refLoss(dtype.F8E4M3), lossU4: refLoss(dtype.U4), codesU4: refCodes(dtype.U4),
	openU4: func(dst, src unsafe.Pointer, lines int, _ unsafe.Pointer) {
		for i := range lines * layout.Align {
			code := *at[uint8](src, i)
			to := i + i/layout.Align*layout.Align
			*at[uint8](dst, to), *at[uint8](dst, to+layout.Align) = openedU4(code&15), openedU4(code>>4)
		}
	},
}

func refLoss(t dtype.Type) func(x *float32, n int, inverse float32) float32 {
	f := scaledFormats[t]
	return func(x *float32, n int, inverse float32) float32 {
		var lanes [squareLanes]float32
		for i, v := range unsafe.Slice(x, n) {
			v = float32(math.Abs(float64(float32(v * inverse))))
			d := f.Level(f.Code(v)) - v
			lanes[i%squareLanes] = fma32(d, d, lanes[i%squareLanes])
		}
		return foldLanes(lanes[:])
	}
}

// refCodes stores codes that a byte holds.
func refCodes(t dtype.Type) convertFunc {
	f := scaledFormats[t]
	return func(dst unsafe.Pointer, x *float32, n int, inverse float32) {
		for i, v := range unsafe.Slice(x, n) {
			*at[uint8](dst, i) = uint8(f.Code(float32(v * inverse)))
		}
	}
}

// openedU4 is the code of i8 of a code of 4 bits.
func openedU4(code uint8) uint8 {
	return uint8(zeroI8 + int(scaledFormats[dtype.U4].Level(uint16(code))))
}

// scaledFormats are the formats of scaled caches.
var scaledFormats = func() (formats [256]*quant.KVFormat) {
	for i := range quant.KVFormats {
		if f := &quant.KVFormats[i]; f.Scaled() {
			formats[f.DType] = f
		}
	}
	return formats
}()

// storeScale stores the scale of a row, and returns what numbers are multiplied with to become codes.
func (s *Set) storeScale(dst *uint16, t dtype.Type, row []float32) (inverse float32) {
	loss := s.row.lossE4M3
	if t == dtype.U4 {
		loss = s.row.lossU4
	}
	scale, inverse := scaledFormats[t].Scale(s.row.maxAbs(&row[0], len(row)), func(inverse float32) float32 { return loss(&row[0], len(row), inverse) })
	*dst = dtype.F32ToF16(scale)
	if t == dtype.I16 {
		inverse /= wordUnit
	}
	return inverse
}

// storeScratch is what a worker needs to store rows. Functions of a set are called by their addresses, so that what they are given is on the heap.
type storeScratch struct {
	elements [2 * storePart]byte
	row      []float32 // [Dim], turned
}

// storePart is how many elements are stored at a time.
const storePart = 64

// turnedRow returns a row as it becomes codes.
func (s *Set) turnedRow(room *storeScratch, c layout.KV, row []float32) []float32 {
	f := scaledFormats[c.DType]
	if f == nil || !f.Turned {
		return row
	}
	grow(&room.row, len(row))
	turned := room.row[:len(row)]
	s.Hadamard(turned, row, f.Block(c.Dim, c.Rank))
	return turned
}

// pack stores a row as codes that share bytes: blocks of a line, in each of which the codes of a byte are run channels apart.
func (s *Set) pack(room *storeScratch, dst unsafe.Pointer, row []float32, inverse float32, to place) {
	const part = storePart
	codes := room.elements[:part]
	for d := 0; d < len(row); d += part {
		n := min(part, len(row)-d)
		s.row.codesU4(unsafe.Pointer(&codes[0]), &row[d], n, inverse)
		clear(codes[n:])
		for i := 0; i < n; i += 2 * to.run {
			line := unsafe.Add(dst, (d+i)/(2*to.run)*layout.Align)
			for j, low := range codes[i : i+to.run] {
				*at[uint8](line, j*to.distance) = low | codes[i+to.run+j]<<4
			}
		}
	}
}
