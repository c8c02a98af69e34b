package gguf

// codesQ2K and those below take K-quants apart as the formats of package quant have them: see decodeQ2K and its like for where things lie.
func codesQ2K(r *codedRow, src []byte) {
	for s := 0; len(src) >= 84; s, src = s+1, src[84:] {
		scales, codes := src[:16], src[16:80]
		r.scales[2*s], r.scales[2*s+1] = half(src[80:]), half(src[82:])
		for g, both := range scales {
			r.steps[16*s+g], r.zeros[16*s+g] = both&15, both>>4
		}
		out := r.codes[256*s:][:256]
		for i := range out {
			out[i] = codes[i/128*32+i%32] >> (i % 128 / 32 * 2) & 3
		}
	}
}

func codesQ3K(r *codedRow, src []byte) {
	for s := 0; len(src) >= 110; s, src = s+1, src[110:] {
		mask, codes, scales := src[:32], src[32:96], src[96:108]
		r.scales[s] = half(src[108:])
		for g := range 16 {
			r.steps[16*s+g] = (scales[g%8]>>(g/8*4)&15 | scales[8+g%4]>>(g/4*2)&3<<4) - 32
		}
		out := r.codes[256*s:][:256]
		for i := range out {
			out[i] = codes[i/128*32+i%32]>>(i%128/32*2)&3 | mask[i%32]>>(i/32)&1<<2
		}
	}
}

func codesQ4K(r *codedRow, src []byte) {
	for s := 0; len(src) >= 144; s, src = s+1, src[144:] {
		r.twoScales(s, src)
		codes, out := src[16:144], r.codes[256*s:][:256]
		for i, c := range codes {
			at := i/32*64 + i%32
			out[at], out[at+32] = c&15, c>>4
		}
	}
}

func codesQ5K(r *codedRow, src []byte) {
	for s := 0; len(src) >= 176; s, src = s+1, src[176:] {
		r.twoScales(s, src)
		high, codes, out := src[16:48], src[48:176], r.codes[256*s:][:256]
		for i, c := range codes {
			g, at := i/32*2, i/32*64+i%32
			out[at], out[at+32] = c&15|high[i%32]>>g&1<<4, c>>4|high[i%32]>>(g+1)&1<<4
		}
	}
}

// twoScales takes over what Q4_K and Q5_K begin with.
func (r *codedRow) twoScales(s int, src []byte) {
	r.scales[2*s], r.scales[2*s+1] = half(src), half(src[2:])
	for g := range 8 {
		r.steps[8*s+g], r.zeros[8*s+g] = scaleMin(src[4:16], g)
	}
}

func codesQ6K(r *codedRow, src []byte) {
	for s := 0; len(src) >= 210; s, src = s+1, src[210:] {
		low, high := src[:128], src[128:192]
		copy(r.steps[16*s:], src[192:208])
		r.scales[s] = half(src[208:])
		out := r.codes[256*s:][:256]
		for i := range out {
			part, quarter := i/128, i%128/32
			out[i] = low[part*64+quarter%2*32+i%32]>>(quarter/2*4)&15 | high[part*32+i%32]>>(quarter*2)&3<<4
		}
	}
}
