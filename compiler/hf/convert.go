package hf

import (
	"encoding/binary"
	"math"

	"llmc/internal/dtype"
)

// converters turn the bytes of len(dst) elements into numbers. They are written for speed: a build reads every weight once through them.
var converters = map[dtype.Type]func(dst []float32, src []byte){
	dtype.F32:  convertF32,
	dtype.BF16: convertBF16,
	dtype.F16:  convertF16,
	dtype.F64:  convertF64,
}

func convertF32(dst []float32, src []byte) {
	src = src[:4*len(dst)]
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

// convertBF16 takes four elements from each 8 bytes.
func convertBF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for len(dst) >= 4 && len(src) >= 8 {
		w := binary.LittleEndian.Uint64(src)
		dst[0] = math.Float32frombits(uint32(w) << 16)
		dst[1] = math.Float32frombits(uint32(w) & 0xffff0000)
		dst[2] = math.Float32frombits(uint32(w>>32) << 16)
		dst[3] = math.Float32frombits(uint32(w>>32) & 0xffff0000)
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = dtype.BF16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// convertF16 takes four elements from each 8 bytes, like convertBF16.
func convertF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for len(dst) >= 4 && len(src) >= 8 {
		w := binary.LittleEndian.Uint64(src)
		dst[0], dst[1] = halfToFloat(uint32(w)&0xffff), halfToFloat(uint32(w)>>16)
		w >>= 32
		dst[2], dst[3] = halfToFloat(uint32(w)&0xffff), halfToFloat(uint32(w)>>16)
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = halfToFloat(uint32(binary.LittleEndian.Uint16(src[2*i:])))
	}
}

// halfToFloat shifts exponent and mantissa into place and corrects the exponent's bias with an exact multiplication, which also
// normalizes subnormal numbers. Infinities and NaNs then lack the upper bits of the exponent.
func halfToFloat(h uint32) float32 {
	u := math.Float32bits(math.Float32frombits(h&0x7fff<<13) * 0x1p112)
	if u >= 0x47800000 {
		u |= 0x7f800000
	}
	return math.Float32frombits(u | h&0x8000<<16)
}

func convertF64(dst []float32, src []byte) {
	src = src[:8*len(dst)]
	for i := range dst {
		dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
	}
}
