package gguf

// K-quants: blocks of 256 elements in groups of 16 or 32, whose scales (and minimums) are small integers times one or two of the block's in f16.

// decodeQ2K: 16 groups; scale and minimum have 4 bits each, codes 2. Four codes of a byte are 32 elements apart.
func decodeQ2K(dst []float32, src []byte) {
	for ; len(src) >= 84; dst, src = dst[256:], src[84:] {
		scales, codes, d, dmin := src[:16], src[16:80], half(src[80:]), half(src[82:])
		for i := range 256 {
			s := scales[i/16]
			code := codes[i/128*32+i%32] >> (i % 128 / 32 * 2) & 3
			dst[i] = float32(float32(d*float32(s&15))*float32(code)) - float32(dmin*float32(s>>4))
		}
	}
}

// decodeQ3K: 16 groups; scales of 6 bits less 32, codes of 2 bits with a third in the mask at the front, less 4.
func decodeQ3K(dst []float32, src []byte) {
	for ; len(src) >= 110; dst, src = dst[256:], src[110:] {
		mask, codes, scales, d := src[:32], src[32:96], src[96:108], half(src[108:])
		for i := range 256 {
			g := i / 16
			s := int(scales[g%8]>>(g/8*4)&15) | int(scales[8+g%4]>>(g/4*2)&3)<<4
			code := int(codes[i/128*32+i%32]>>(i%128/32*2)&3) | int(mask[i%32]>>(i/32)&1)<<2
			dst[i] = float32(d*float32(s-32)) * float32(code-4)
		}
	}
}

// scaleMin gives scale and minimum of group g of 8, of 6 bits each: bytes 0..3 hold the scales of the first four with two high bits of those of the last four,
// bytes 4..7 the minimums likewise, bytes 8..11 the low halves of the last four.
func scaleMin(packed []byte, g int) (scale, minimum byte) {
	if g < 4 {
		return packed[g] & 63, packed[g+4] & 63
	}
	return packed[g+4]&15 | packed[g-4]>>6<<4, packed[g+4]>>4 | packed[g]>>6<<4
}

// decodeQ4K: 8 groups of 32; codes of 4 bits, two groups share 32 bytes.
func decodeQ4K(dst []float32, src []byte) {
	for ; len(src) >= 144; dst, src = dst[256:], src[144:] {
		d, dmin, scales, codes := half(src), half(src[2:]), src[4:16], src[16:144]
		for g := range 8 {
			s, m := scaleMin(scales, g)
			step, low := d*float32(s), dmin*float32(m)
			for i := range 32 {
				code := codes[g/2*32+i] >> (g % 2 * 4) & 15
				dst[g*32+i] = float32(step*float32(code)) - low
			}
		}
	}
}

// decodeQ5K: as Q4_K with fifth bits, of which those of group g are bit g of 32 bytes.
func decodeQ5K(dst []float32, src []byte) {
	for ; len(src) >= 176; dst, src = dst[256:], src[176:] {
		d, dmin, scales, high, codes := half(src), half(src[2:]), src[4:16], src[16:48], src[48:176]
		for g := range 8 {
			s, m := scaleMin(scales, g)
			step, low := d*float32(s), dmin*float32(m)
			for i := range 32 {
				code := codes[g/2*32+i]>>(g%2*4)&15 | high[i]>>g&1<<4
				dst[g*32+i] = float32(step*float32(code)) - low
			}
		}
	}
}

// decodeQ6K: 16 groups with signed scales of 8 bits; codes of 4 bits with two more apart, less 32. The four quarters of each half share
// bytes: 64 with low bits, 32 with high ones.
func decodeQ6K(dst []float32, src []byte) {
	for ; len(src) >= 210; dst, src = dst[256:], src[210:] {
		low, high, scales, d := src[:128], src[128:192], src[192:208], half(src[208:])
		for i := range 256 {
			part, quarter := i/128, i%128/32
			l := low[part*64+quarter%2*32+i%32] >> (quarter / 2 * 4) & 15
			h := high[part*32+i%32] >> (quarter * 2) & 3
			dst[i] = float32(d*float32(int8(scales[i/16]))) * float32(int(l|h<<4)-32)
		}
	}
}
