package roofline

import "unsafe"

// Peaks lists the instructions that linear kernels are made of.
var Peaks = []Peak{
	{"f32 fma", "x86-64-v3", fmaAVX2, chains * 8 * 2},
	{"int4 vpmaddubsw", "x86-64-v3", maddNibblesAVX2, chains * 32 * 2},
	{"int8 vpmaddubsw", "x86-64-v3", maddBytesAVX2, chains * 32 * 2},
	{"f32 fma", "x86-64-v4", fmaAVX512, chains * 16 * 2},
	{"int4 vpmaddubsw", "x86-64-v4", maddNibblesAVX512, chains * 64 * 2},
	{"int8 vpmaddubsw", "x86-64-v4", maddBytesAVX512, chains * 64 * 2},
	{"int8 vpdpbusd", "x86-64-v4-vnni", dotBytesVNNI, chains * 64 * 2},
	{"bf16 vdpbf16ps", "x86-64-v4-bf16", dotBF16BF16, chains * 32 * 2},
	{"int8 tdpbssd", "x86-64-v4-amx", dotTilesAMX, chains * 16 * 16 * 64 * 2},
	{"bf16 tdpbf16ps", "x86-64-v4-amx", dotTilesBF16AMX, chains * 16 * 16 * 32 * 2},
}

// ReadUnit is what the length of what Read reads is rounded down to.
const ReadUnit = 512

// Read reads p front to back, up to a multiple of ReadUnit. It needs AVX2.
func Read(p []byte) uint64 {
	n := len(p) &^ (ReadUnit - 1)
	if n == 0 {
		return 0
	}
	return readAVX2(unsafe.Pointer(&p[0]), n)
}
