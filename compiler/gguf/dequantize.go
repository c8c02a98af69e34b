package gguf

import (
	"encoding/binary"
	"math"

	"llmc/internal/dtype"
)

// The formats of ggml-quants, as the gguf package for Python dequantizes them: products and differences in f32, each rounded. A block begins with its
// scale in f16, or ends with it.

func half(b []byte) float32 { return dtype.F16ToF32(binary.LittleEndian.Uint16(b)) }

// decodeQ4_0: code-8 times a scale. Element i is in the low half of byte i, element i+16 in the high half.
func decodeQ4_0(dst []float32, src []byte) {
	for ; len(src) >= 18; dst, src = dst[32:], src[18:] {
		d, codes := half(src), src[2:18]
		for i, c := range codes {
			dst[i], dst[i+16] = d*float32(int(c&15)-8), d*float32(int(c>>4)-8)
		}
	}
}

// decodeQ4_1: code times a scale, plus a minimum.
func decodeQ4_1(dst []float32, src []byte) {
	for ; len(src) >= 20; dst, src = dst[32:], src[20:] {
		d, m, codes := half(src), half(src[2:]), src[4:20]
		for i, c := range codes {
			dst[i], dst[i+16] = float32(d*float32(c&15))+m, float32(d*float32(c>>4))+m
		}
	}
}

// decodeQ5_0: as Q4_0, with the fifth bits of the 32 codes in one word, less 16.
func decodeQ5_0(dst []float32, src []byte) {
	for ; len(src) >= 22; dst, src = dst[32:], src[22:] {
		d, high, codes := half(src), binary.LittleEndian.Uint32(src[2:]), src[6:22]
		for i, c := range codes {
			lo, hi := fiveBits(c, high, i)
			dst[i], dst[i+16] = d*float32(lo-16), d*float32(hi-16)
		}
	}
}

// decodeQ5_1: as Q4_1, with fifth bits.
func decodeQ5_1(dst []float32, src []byte) {
	for ; len(src) >= 24; dst, src = dst[32:], src[24:] {
		d, m, high, codes := half(src), half(src[2:]), binary.LittleEndian.Uint32(src[4:]), src[8:24]
		for i, c := range codes {
			lo, hi := fiveBits(c, high, i)
			dst[i], dst[i+16] = float32(d*float32(lo))+m, float32(d*float32(hi))+m
		}
	}
}

// fiveBits puts together codes i and i+16.
func fiveBits(c byte, high uint32, i int) (lo, hi int) {
	return int(c&15) | int(high>>i&1)<<4, int(c>>4) | int(high>>(i+16)&1)<<4
}

// decodeQ8_0: signed codes times a scale.
func decodeQ8_0(dst []float32, src []byte) {
	for ; len(src) >= 34; dst, src = dst[32:], src[34:] {
		d, codes := half(src), src[2:34]
		for i, c := range codes {
			dst[i] = float32(int8(c)) * d
		}
	}
}

// decodeIQ4NL: a level times a scale.
func decodeIQ4NL(dst []float32, src []byte) {
	for ; len(src) >= 18; dst, src = dst[32:], src[18:] {
		d, codes := half(src), src[2:18]
		for i, c := range codes {
			dst[i], dst[i+16] = d*dtype.IQ4NL[c&15], d*dtype.IQ4NL[c>>4]
		}
	}
}

// decodeMXFP4: codes of e2m1 (OCP Microscaling Formats, version 1.0) times a power of two; places as in Q4_0.
func decodeMXFP4(dst []float32, src []byte) {
	for ; len(src) >= 17; dst, src = dst[32:], src[17:] {
		d, codes := powerOfTwo(src[0]), src[1:17]
		for i, c := range codes {
			dst[i], dst[i+16] = dtype.E2M1ToF32(c)*d, dtype.E2M1ToF32(c>>4)*d
		}
	}
}

// powerOfTwo is that of an exponent with 127 added.
func powerOfTwo(exponent byte) float32 { return float32(math.Ldexp(1, int(exponent)-127)) }
