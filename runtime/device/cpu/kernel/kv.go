package kernel

import (
	"math"
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// StoreKV stores key and value [Heads*Dim] of a position at slot of a page, of latent rows the key alone; block is the layer's part of the page. The odd partner of an even
// slot is zeroed in V, padding channels too, so that a page never holds numbers left over from its last owner beside new ones.
func (s *Set) StoreKV(sc *Scratch, c layout.KV, block []byte, slot int, k, v []float32) {
	block = block[:c.Bytes()]
	base := unsafe.Pointer(&block[0])
	kernels := &s.attend[kvKind(c)]
	if c.Rank > 0 {
		s.storeLatent(&sc.store, kernels, c, base, slot, k[:c.Dim])
		return
	}
	if kernels.convert != nil {
		s.storeElements(&sc.store, kernels, c, base, slot, k, v)
		return
	}
	key, value, size := unsafe.Add(base, c.K(0, slot, 0)), unsafe.Add(base, c.V(0, slot-slot%c.Pack(), 0)), c.HeadBytes()
	pad := c.Pack() == 1 || slot%2 == 0
	for h := range c.Heads {
		kernels.storeKey(key, &k[h*c.Dim:][:c.Dim][0], c.Dim)
		kernels.storeValue[slot%2](value, &v[h*c.Dim:][:c.Dim][0], c.Dim)
		if pad {
			clear(unsafe.Slice((*float32)(value), c.DimV())[c.Dim:])
		}
		kernels.padKey(c, key)
		key, value = unsafe.Add(key, size), unsafe.Add(value, size)
	}
}

// storeElements is StoreKV for formats that are converted: f16 and codes.
func (s *Set) storeElements(room *storeScratch, kernels *attendKernels, c layout.KV, base unsafe.Pointer, slot int, k, v []float32) {
	keys, values := keyPlace(c), valuePlace(c)
	for h := range c.Heads {
		s.storeRow(room, kernels, c, unsafe.Add(base, c.K(h, slot, 0)), unsafe.Add(base, c.KScale(h, slot)), k[h*c.Dim:][:c.Dim], keys)
		s.storeRow(room, kernels, c, unsafe.Add(base, c.V(h, slot, 0)), unsafe.Add(base, c.VScale(h, slot)), v[h*c.Dim:][:c.Dim], values)
	}
}

// place is how a row lies: zeros up to width elements; run of them lie side by side, the next ones distance bytes behind the first. Of codes that share bytes those
// of a byte are run channels apart, and neighbours distance bytes.
type place struct{ width, run, distance int }

func keyPlace(c layout.KV) place {
	if c.Halves() {
		return place{c.DimK(), c.Pack(), 1}
	}
	return place{c.DimK(), c.Pack(), panelPositions * c.LaneBytes()}
}

func valuePlace(c layout.KV) place {
	if c.Halves() {
		return place{c.DimV(), panelPositions, c.Pack()}
	}
	return place{c.DimV(), 1, c.LaneBytes()}
}

// storeRow stores a row that is converted, with its scale, where it has one.
func (s *Set) storeRow(room *storeScratch, kernels *attendKernels, c layout.KV, dst, scale unsafe.Pointer, row []float32, to place) {
	inverse := float32(1)
	if c.Scaled() {
		row = s.turnedRow(room, c, row)
		inverse = s.storeScale((*uint16)(scale), c.DType, row)
	}
	if c.Halves() {
		s.pack(room, dst, row, inverse, to)
		return
	}
	kernels.spread(room, dst, row, inverse, c.DType.Size(), to)
}

// padKey zeroes what follows the last channel of a key of f32.
func (k *attendKernels) padKey(c layout.KV, key unsafe.Pointer) {
	if c.Pack() == 1 && c.DimK() > c.Dim {
		*at[float32](key, 4*panelPositions*c.Dim) = 0
	}
}

// spread stores a row as elements of size bytes.
func (k *attendKernels) spread(room *storeScratch, dst unsafe.Pointer, row []float32, inverse float32, size int, place place) {
	width, run, distance := place.width, place.run, place.distance
	const part = storePart
	elements := room.elements[:]
	from := unsafe.Pointer(&elements[0])
	for d := 0; d < width; d += part {
		n := min(part, width-d)
		if used := min(n, len(row)-d); used > 0 {
			k.convert(from, &row[d], used, inverse)
			clear(elements[used*size:])
		} else {
			clear(elements[:])
		}
		to := unsafe.Add(dst, d/run*distance)
		switch {
		case distance == size:
			copy(unsafe.Slice((*byte)(to), n*size), elements[:])
		case run > 1: // they fill a lane of 4 bytes
			for i := range n / run {
				*at[uint32](to, i*distance) = *at[uint32](from, 4*i)
			}
		case size == 1:
			for i, code := range elements[:n] {
				*at[uint8](to, i*distance) = code
			}
		default:
			for i := range n {
				*at[uint16](to, i*distance) = *at[uint16](from, 2*i)
			}
		}
	}
}

// LoadKV reads the key and the value of one KV head at slot: what StoreKV's numbers have become.
func LoadKV(c layout.KV, block []byte, head, slot int, k, v []float32) {
	base := unsafe.Pointer(&block[:c.Bytes()][0])
	load := func(row []float32, scaleAt int, value bool, offset func(head, slot, d int) int) {
		scale := float32(1)
		if c.Scaled() {
			scale = dtype.F16ToF32(*at[uint16](base, scaleAt))
		}
		for d := range row {
			row[d] = kvLevel(c, unsafe.Add(base, offset(head, slot, d)), c.High(d, value)) * scale
		}
	}
	load(k[:c.Dim], c.KScale(head, slot), false, c.K)
	load(v[:c.Values()], c.VScale(head, slot), true, c.V)
	if f := scaledFormats[c.DType]; f != nil && f.Turned {
		block := f.Block(c.Dim, c.Rank)
		refHadamard.transform(k[:c.Dim], k[:c.Dim], block)
		refHadamard.transform(v[:c.Values()], v[:c.Values()], block)
	}
}

// kvLevel is what an element stands for at scale one; of one that shares its byte, whether it is the upper half.
func kvLevel(c layout.KV, at unsafe.Pointer, high bool) float32 {
	var element uint16
	if c.DType.Size() == 2 {
		element = *(*uint16)(at)
	} else if element = uint16(*(*uint8)(at)); high {
		element >>= 4
	}
	switch f := scaledFormats[c.DType]; {
	case c.Halves():
		return f.Level(element & 15)
	case f != nil:
		return f.Level(element)
	case c.DType == dtype.BF16:
		return dtype.BF16ToF32(element)
	case c.DType == dtype.F16:
		return dtype.F16ToF32(element)
	}
	return *(*float32)(at)
}

// kvKinds by element type. Codes that share bytes become those of i8.
var kindOfKV = [256]uint8{dtype.F32: kvF32, dtype.BF16: kvBF16, dtype.F16: kvF16, dtype.F8E4M3: kvE4M3, dtype.I8: kvI8, dtype.I16: kvI16, dtype.U4: kvI8}

func kvKind(c layout.KV) int { return int(kindOfKV[c.DType]) }

// zeroI8 is what codes of i8 have added.
const zeroI8 = 128

// Codes of i16 are numbers with 13 bits behind the point, times a scale a little above the largest magnitude.
const (
	wordUnit = 1.0 / (1 << 13)
	mostI16  = 1<<13 - 1
)

// smallE4M3 is what kernels' levels of e4m3 are too small by: a code's bits are those of a number of f16, whose exponents have another bias.
// Queries and the scales of values make up for it.
const smallE4M3 = 256

// levelE4M3 is a code as a number, smallE4M3 times too small. Codes that are not numbers count as 480: their scales are not numbers either.
func levelE4M3(code uint8) float32 {
	return dtype.F16ToF32(uint16(code&0x80)<<8 | uint16(code&0x7f)<<7)
}

func convertF16(dst unsafe.Pointer, x *float32, n int, _ float32) {
	for i, v := range unsafe.Slice(x, n) {
		*at[uint16](dst, 2*i) = dtype.F32ToF16(v)
	}
}

func convertI16(dst unsafe.Pointer, x *float32, n int, inverse float32) {
	for i, v := range unsafe.Slice(x, n) {
		code := float32(v * inverse)
		if !(code > -mostI16) {
			code = -mostI16
		}
		*at[int16](dst, 2*i) = int16(math.RoundToEven(float64(min(code, mostI16))))
	}
}

func widenScales(dst *float32, scales unsafe.Pointer, n int) {
	for i := range unsafe.Slice(dst, n) {
		*at[float32](unsafe.Pointer(dst), 4*i) = dtype.F16ToF32(*at[uint16](scales, 2*i))
	}
}

func storeKeyF32(dst unsafe.Pointer, x *float32, n int) {
	for d, v := range unsafe.Slice(x, n) {
		*at[float32](dst, 4*panelPositions*d) = v
	}
}

func storeValueF32(dst unsafe.Pointer, x *float32, n int) {
	copy(unsafe.Slice((*float32)(dst), n), unsafe.Slice(x, n))
}

func (r rounding) storeKey(dst unsafe.Pointer, x *float32, n int) {
	row := unsafe.Slice(x, n)
	for d := 0; d < n; d += 2 {
		pair := at[[2]uint16](dst, 4*panelPositions*d/2)
		pair[0], pair[1] = r.round(row[d]), 0
		if d+1 < n {
			pair[1] = r.round(row[d+1])
		}
	}
}

func (r rounding) storeEven(dst unsafe.Pointer, x *float32, n int) {
	for d, v := range unsafe.Slice(x, n) {
		*at[[2]uint16](dst, 4*d) = [2]uint16{r.round(v), 0}
	}
}

func (r rounding) storeOdd(dst unsafe.Pointer, x *float32, n int) {
	for d, v := range unsafe.Slice(x, n) {
		at[[2]uint16](dst, 4*d)[1] = r.round(v)
	}
}
