// Package layout says where every byte lies in what CPU kernels read: packed linear weights, quantized activations and
// pages of the KV cache. It owns descriptors, sizes, offsets, packing and the slow, obvious unpacking that defines what
// packed bytes mean. It multiplies nothing and knows nothing of quantization methods: codes and scales come ready made.
//
// # Linear weights
//
// A weight [N, K] is cut into panels of 32 outputs (the last one padded with outputs whose weights are zero), stored one after
// the other. A panel is a sequence of steps of 128 bytes: 4 bytes for each of the 32 outputs (lanes), holding 1 (f32), 2 (bf16),
// 4 (8-bit) or 8 (4-bit) consecutive k. So one 64-byte vector holds one step of 16 outputs, the form that FMA, VDPBF16PS
// and VPDPBUSD consume, and a matrix-vector product reads the weight front to back. All CPU targets share the bytes.
//
//	f32    [Kp][32] f32
//	bf16   [Kp/2][32][2] bf16
//	bf16s  the same of what e4m3 stands for, then [32] f32 scales
//	bf16s.gG  per group of G k: [Gp/2][32][2] bf16, then [32] f32 scales
//	e4m3s, e4m3s.gG  the codes themselves, [Kp/4][4][32] e4m3, with the same scales
//	u8     [Kp/4][32][4] code+128, then [32] f32 scales
//	u4.gG  per group of G k: [Gp/8][32][4] bytes, byte j = code(k=j) | code(k=4+j)<<4, then [32] f16 scales; zero point 8
//	u4z.gG the same, and after the last group [groups][32] u8 zero points, padded to 64 bytes
//	u4n.g32 [Kp/8][32][4] bytes as in u4, then [32] f32 scales, then per group of 32 k [16] bytes of steps, those of outputs i and 16+i in its
//	       halves, and [32] u8 offsets; code*step + offset is that of u8; padded to 64 bytes
//	u4e.g32 the steps of u4 with codes of e2m1, and after the last group [groups][32] u8 exponents, less one, of powers of two, padded to 64 bytes: an
//	       element is twice what its code stands for (a whole number), times half the scale
//	u4f.g16 per 32 k, two groups: steps as in u4e, then [2][32] u8 scales of e4m3; after the last ones [32] f32 scales of outputs times 128: an element is
//	       twice what its code stands for, times the product of a 256th of the group's scale and what is stored of the output's
//	q2k.g256 to q6k.g256 the codes of K-quants in steps of u4 (q2k, q3k, q4k) or of u8 (q5k, q6k, whose codes are below 64), each 256 k after their scales, steps and offsets: see super.go
//	u4*.s32 f32 instead of f16 scales, for imported weights whose scales f16 cannot hold exactly
//
// Kp is K rounded up to 64; Gp is G, or for a short last group its length rounded up to 32. Padding is zero: code 128 in u8,
// the zero point in u4; the last group of u4n may go on behind K, where inputs are zero.
package layout
