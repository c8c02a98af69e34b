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
	codesU4 func(dst *uint8, x *float32, n int, inverse float32)
	// openU4 makes two lines of 64 codes of i8 of each line of codes of 4 bits: of the lower halves of its bytes, then of the upper ones. As many lines from
	// ahead on will be wanted.
	openU4 func(dst, src unsafe.Pointer, lines int, ahead unsafe.Pointer)
}

// codeReference is codeKernels by the words of internal/quant.
var codeReference = codeKernels{
	lossE4M3: refLoss(func(x float32) float32 { return dtype.E4M3ToF32(dtype.F32ToE4M3(min(x, dtype.E4M3Max))) }),
	lossU4:   refLoss(func(x float32) float32 { return float32(quant.KVLevels[codeU4(x)]) }),
	codesU4: func(dst *uint8, x *float32, n int, inverse float32) {
		for i, v := range unsafe.Slice(x, n) {
			*at[uint8](unsafe.Pointer(dst), i) = codeU4(float32(v * inverse))
		}
	},
	openU4: func(dst, src unsafe.Pointer, lines int, _ unsafe.Pointer) {
		for i := range lines * layout.Align {
			code := *at[uint8](src, i)
			to := i + i/layout.Align*layout.Align
			*at[uint8](dst, to), *at[uint8](dst, to+layout.Align) = levelsU4[code&15], levelsU4[code>>4]
		}
	},
}

func refLoss(level func(x float32) float32) func(x *float32, n int, inverse float32) float32 {
	return func(x *float32, n int, inverse float32) float32 {
		var lanes [squareLanes]float32
		for i, v := range unsafe.Slice(x, n) {
			v = float32(math.Abs(float64(float32(v * inverse))))
			d := level(v) - v
			lanes[i%squareLanes] = fma32(d, d, lanes[i%squareLanes])
		}
		return foldLanes(lanes[:])
	}
}

// codeU4 is the code of a number in units of the scale.
func codeU4(x float32) (code uint8) {
	for _, bound := range quant.KVBounds {
		if math.Abs(float64(x)) > float64(bound) {
			code++
		}
	}
	return code | uint8(math.Float32bits(x)>>31)<<3
}

// levelsU4 are codes of i8 by codes of 4 bits.
var levelsU4 = func() (levels [16]uint8) {
	for i, level := range quant.KVLevels {
		levels[i], levels[i+8] = uint8(zeroI8+int(level)), uint8(zeroI8-int(level))
	}
	return levels
}()

// scaledFormats are the formats of scaled caches.
var scaledFormats = func() (formats [256]*quant.KVFormat) {
	for i := range quant.KVFormats {
		if f := &quant.KVFormats[i]; f.Scaled() {
			formats[f.DType] = f
		}
	}
	return formats
}()

// storeScale stores the scale of a row that loses least of those that its format tries, and returns what numbers are multiplied with to become codes: 0 where
// the scale is.
func (s *Set) storeScale(dst *uint16, t dtype.Type, row []float32) (inverse float32) {
	f := scaledFormats[t]
	top := s.row.maxAbs(&row[0], len(row)) / f.Most
	*dst = dtype.F32ToF16(top)
	if len(f.Tries) > 1 {
		*dst = s.leastLoss(*dst, top, f, row)
	}
	scale := dtype.F16ToF32(*dst)
	switch {
	case scale == 0:
		return 0
	case t == dtype.I16:
		return 1 / wordUnit / scale
	}
	return 1 / scale
}

// leastLoss looks for a scale, from the first one on.
func (s *Set) leastLoss(first uint16, top float32, f *quant.KVFormat, row []float32) (best uint16) {
	loss := s.row.lossE4M3
	if f.DType == dtype.U4 {
		loss = s.row.lossU4
	}
	of := func(half uint16) float32 {
		scale, inverse := dtype.F16ToF32(half), float32(0)
		if scale != 0 {
			inverse = 1 / scale
		}
		return loss(&row[0], len(row), inverse) * float32(scale*scale)
	}
	best = first
	least := of(first)
	for _, try := range f.Tries[1:] {
		half := dtype.F32ToF16(float32(top * try))
		if lost := of(half); lost < least {
			best, least = half, lost
		}
	}
	return best
}

// storeScratch is what a worker needs to store rows. Functions of a set are called by their addresses, so that what they are given is on the heap.
type storeScratch struct {
	elements [2 * storePart]byte
	row      []float32 // [Dim], turned
}

// storePart is how many elements are stored at a time.
const storePart = 64

// storeHalves is StoreKV for codes that share bytes, of rows that are turned.
func (s *Set) storeHalves(room *storeScratch, c layout.KV, base unsafe.Pointer, slot int, k, v []float32) {
	for h := range c.Heads {
		s.storeHalf(room, c, at[uint16](base, c.KScale(h, slot)), unsafe.Add(base, c.K(h, slot, 0)), k[h*c.Dim:][:c.Dim], false)
		if c.Rank == 0 {
			s.storeHalf(room, c, at[uint16](base, c.VScale(h, slot)), unsafe.Add(base, c.V(h, slot, 0)), v[h*c.Dim:][:c.Dim], true)
		}
	}
}

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

// storeHalf stores a row with its scale.
func (s *Set) storeHalf(room *storeScratch, c layout.KV, scale *uint16, dst unsafe.Pointer, row []float32, value bool) {
	const part = 2 * panelPositions // channels at a time
	turned, codes := s.turnedRow(room, c, row), room.elements[:part]
	inverse := s.storeScale(scale, c.DType, turned)
	for d := 0; d < len(turned); d += part {
		n := min(part, len(turned)-d)
		s.row.codesU4(&codes[0], &turned[d], n, inverse)
		clear(codes[n:])
		if value {
			to := unsafe.Add(dst, d*2)
			for i := range panelPositions {
				*at[uint8](to, 4*i) = codes[i] | codes[panelPositions+i]<<4
			}
			continue
		}
		from := unsafe.Pointer(&codes[0])
		for i := 0; i < n; i += 8 {
			word := *at[uint32](from, i) | *at[uint32](from, i+4)<<4
			*at[uint32](dst, (d+i)/8*layout.Align) = word
		}
	}
}
