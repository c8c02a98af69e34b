#include "textflag.h"

// Groups of 32 numbers, eight groups at a time: a lane of a vector is a group, so that each takes the steps of the Go code in its order, to the same bits.

#define CONSTANT(name, value) \
	DATA name<>(SB)/4, $value; \
	GLOBL name<>(SB), RODATA|NOPTR, $4

CONSTANT(magic, 0x4b400000)    // roundMagic
CONSTANT(magicMost, 0x4b40000f) // roundMagic + maxCode
CONSTANT(half, 0x3f000000)
CONSTANT(one, 0x3f800000)
CONSTANT(most, 0x41700000)     // maxCode and maxStep, 15
CONSTANT(halfMost, 0x40f00000) // 7.5
CONSTANT(lowest, 0xc3000000)   // -128
CONSTANT(highest, 0x42fe0000)  // 127
CONSTANT(mean, 0x3d000000)     // 1/32
CONSTANT(zero, 128)            // nestedZero
CONSTANT(byteMask, 0xff)

// The frame of nestedAVX2: 32 vectors of numbers at 0, then
#define MIDDLE  1024(SP)
#define INVERSE 1056(SP)
#define NONE    1088(SP) // all bits where a group has one number only
#define STEPS   1120(SP) // of the grid that covers the numbers
#define OFFSETS 1152(SP)
#define FEWER   1184(SP) // the step below
#define SHIFTED 1216(SP) // its offset

// Y0 to Y7 are the rows of a matrix, Y8 to Y15 become its columns.
#define TRANSPOSE \
	VUNPCKLPS Y1, Y0, Y8; \
	VUNPCKHPS Y1, Y0, Y9; \
	VUNPCKLPS Y3, Y2, Y10; \
	VUNPCKHPS Y3, Y2, Y11; \
	VUNPCKLPS Y5, Y4, Y12; \
	VUNPCKHPS Y5, Y4, Y13; \
	VUNPCKLPS Y7, Y6, Y14; \
	VUNPCKHPS Y7, Y6, Y15; \
	VUNPCKLPD Y10, Y8, Y0; \
	VUNPCKHPD Y10, Y8, Y1; \
	VUNPCKLPD Y11, Y9, Y2; \
	VUNPCKHPD Y11, Y9, Y3; \
	VUNPCKLPD Y14, Y12, Y4; \
	VUNPCKHPD Y14, Y12, Y5; \
	VUNPCKLPD Y15, Y13, Y6; \
	VUNPCKHPD Y15, Y13, Y7; \
	VPERM2F128 $0x20, Y4, Y0, Y8; \
	VPERM2F128 $0x20, Y5, Y1, Y9; \
	VPERM2F128 $0x20, Y6, Y2, Y10; \
	VPERM2F128 $0x20, Y7, Y3, Y11; \
	VPERM2F128 $0x31, Y4, Y0, Y12; \
	VPERM2F128 $0x31, Y5, Y1, Y13; \
	VPERM2F128 $0x31, Y6, Y2, Y14; \
	VPERM2F128 $0x31, Y7, Y3, Y15

// ordered: bits of numbers become integers of the same order, and back.
#define ORDERED(reg, temp) \
	VPSRAD $31, reg, temp; \
	VPSRLD $1, temp, temp; \
	VPXOR temp, reg, reg

// The least or most of eight integers, in the lowest lane.
#define REDUCE(op, y, x, tempY, tempX) \
	VEXTRACTI128 $1, y, tempX; \
	op tempX, x, x; \
	VPSHUFD $0x4e, x, tempX; \
	op tempX, x, x; \
	VPSHUFD $0xb1, x, tempX; \
	op tempX, x, x

// func spansAVX2(x, low, high *float32, groups int)
TEXT ·spansAVX2(SB), NOSPLIT, $0-32
	MOVQ x+0(FP), SI
	MOVQ low+8(FP), DI
	MOVQ high+16(FP), DX
	MOVQ groups+24(FP), CX
span:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VMOVDQU 64(SI), Y2
	VMOVDQU 96(SI), Y3
	ORDERED(Y0, Y4)
	ORDERED(Y1, Y5)
	ORDERED(Y2, Y6)
	ORDERED(Y3, Y7)
	VPMINSD Y1, Y0, Y4
	VPMAXSD Y1, Y0, Y5
	VPMINSD Y3, Y2, Y6
	VPMAXSD Y3, Y2, Y7
	VPMINSD Y6, Y4, Y4
	VPMAXSD Y7, Y5, Y5
	REDUCE(VPMINSD, Y4, X4, Y6, X6)
	REDUCE(VPMAXSD, Y5, X5, Y7, X7)
	ORDERED(X4, X6)
	ORDERED(X5, X7)
	VMOVD X4, (DI)
	VMOVD X5, (DX)
	ADDQ $128, SI
	ADDQ $4, DI
	ADDQ $4, DX
	DECQ CX
	JNZ span
	VZEROUPPER
	RET

// The offset of a grid of that step in the middle of the numbers: offset = round(middle - 7.5*step), at least -128, at most 127 - 15*step.
#define OFFSET(step, middle, offset, temp) \
	VBROADCASTSS halfMost<>(SB), temp; \
	VMULPS step, temp, temp; \
	VSUBPS temp, middle, offset; \
	VROUNDPS $0, offset, offset; \
	CLAMP(step, offset, temp)

#define CLAMP(step, offset, temp) \
	VBROADCASTSS lowest<>(SB), temp; \
	VMAXPS temp, offset, offset; \
	VBROADCASTSS most<>(SB), temp; \
	VMULPS step, temp, temp; \
	VSUBPS temp, Y15, temp; \
	VMINPS temp, offset, offset

// What is left over of numbers k at the grid (inverse, start), and its square, are added to sum and squares. Y14 is roundMagic, Y15 the one of the last code.
#define ERRORS(k, inverse, start, sum, squares) \
	VMULPS (k*32)(BX), inverse, Y12; \
	VSUBPS start, Y12, Y12; \
	VADDPS Y14, Y12, Y13; \
	VMINPS Y15, Y13, Y13; \
	VMAXPS Y14, Y13, Y13; \
	VSUBPS Y14, Y13, Y13; \
	VSUBPS Y13, Y12, Y12; \
	VADDPS Y12, sum, sum; \
	VMULPS Y12, Y12, Y12; \
	VADDPS Y12, squares, squares

// The codes of numbers k, in the lowest byte of code.
#define CODE(k, code) \
	VMULPS (k*32)(BX), Y8, code; \
	VSUBPS Y9, code, code; \
	VADDPS Y10, code, code; \
	VMINPS Y11, code, code; \
	VMAXPS Y10, code, code; \
	VPAND Y12, code, code

// Four codes of each group.
#define CODES(k, codes) \
	CODE((k), codes); \
	CODE((k+1), Y13); \
	VPSLLD $8, Y13, Y13; \
	VPOR Y13, codes, codes; \
	CODE((k+2), Y13); \
	VPSLLD $16, Y13, Y13; \
	VPOR Y13, codes, codes; \
	CODE((k+3), Y13); \
	VPSLLD $24, Y13, Y13; \
	VPOR Y13, codes, codes

// Eight numbers below 256 as bytes.
#define BYTES(y, x, tempX, to) \
	VEXTRACTI128 $1, y, tempX; \
	VPACKUSDW tempX, x, x; \
	VPACKUSWB x, x, x; \
	VMOVQ x, (to)

// func nestedAVX2(x, low, high *float32, inverse float32, codes, steps, offsets *uint8, batches int)
TEXT ·nestedAVX2(SB), 0, $1248-64
	MOVQ x+0(FP), SI
	MOVQ low+8(FP), R8
	MOVQ high+16(FP), R9
	MOVQ codes+32(FP), DI
	MOVQ steps+40(FP), R10
	MOVQ offsets+48(FP), R11
	MOVQ batches+56(FP), CX
batch:
	// Vector k of the frame is number k of the eight groups.
	MOVQ SP, BX
	MOVQ SI, AX
	MOVQ $4, DX
block:
	VMOVUPS (AX), Y0
	VMOVUPS 128(AX), Y1
	VMOVUPS 256(AX), Y2
	VMOVUPS 384(AX), Y3
	VMOVUPS 512(AX), Y4
	VMOVUPS 640(AX), Y5
	VMOVUPS 768(AX), Y6
	VMOVUPS 896(AX), Y7
	TRANSPOSE
	VMOVUPS Y8, (BX)
	VMOVUPS Y9, 32(BX)
	VMOVUPS Y10, 64(BX)
	VMOVUPS Y11, 96(BX)
	VMOVUPS Y12, 128(BX)
	VMOVUPS Y13, 160(BX)
	VMOVUPS Y14, 192(BX)
	VMOVUPS Y15, 224(BX)
	ADDQ $256, BX
	ADDQ $32, AX
	DECQ DX
	JNZ block

	// The smallest step that covers the numbers: the least whole number of which 15 are no less than high - low, at most 15.
	VBROADCASTSS inverse+24(FP), Y0
	VMOVUPS Y0, INVERSE
	VMULPS (R8), Y0, Y1
	VMULPS (R9), Y0, Y2
	VADDPS Y1, Y2, Y3
	VBROADCASTSS half<>(SB), Y4
	VMULPS Y4, Y3, Y3
	VMOVUPS Y3, MIDDLE
	VSUBPS Y1, Y2, Y4
	VBROADCASTSS most<>(SB), Y5
	VDIVPS Y5, Y4, Y6
	VROUNDPS $2, Y6, Y6
	VMULPS Y5, Y6, Y7
	VCMPPS $1, Y4, Y7, Y7 // the quotient was rounded down to a whole number
	VBROADCASTSS one<>(SB), Y8
	VANDPS Y8, Y7, Y7
	VADDPS Y7, Y6, Y6
	VMINPS Y5, Y6, Y6
	VXORPS Y9, Y9, Y9
	VCMPPS $0, Y9, Y6, Y9
	VMOVUPS Y9, NONE

	// Two grids: that step and the one below it.
	VBROADCASTSS highest<>(SB), Y15
	VMAXPS Y8, Y6, Y6
	VSUBPS Y8, Y6, Y7
	VMAXPS Y8, Y7, Y7
	OFFSET(Y6, Y3, Y4, Y5)
	VMOVUPS Y6, STEPS
	VMOVUPS Y4, OFFSETS
	VDIVPS Y6, Y4, Y1
	OFFSET(Y7, Y3, Y4, Y5)
	VMOVUPS Y7, FEWER
	VMOVUPS Y4, SHIFTED
	VDIVPS Y7, Y4, Y3
	VDIVPS Y7, Y0, Y2
	VDIVPS Y6, Y0, Y0
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	VXORPS Y8, Y8, Y8
	VXORPS Y9, Y9, Y9
	VXORPS Y10, Y10, Y10
	VXORPS Y11, Y11, Y11
	VBROADCASTSS magic<>(SB), Y14
	VBROADCASTSS magicMost<>(SB), Y15
	MOVQ SP, BX
	MOVQ $16, DX
errors:
	ERRORS(0, Y0, Y1, Y4, Y6)
	ERRORS(0, Y2, Y3, Y8, Y10)
	ERRORS(1, Y0, Y1, Y5, Y7)
	ERRORS(1, Y2, Y3, Y9, Y11)
	ADDQ $64, BX
	DECQ DX
	JNZ errors
	VADDPS Y5, Y4, Y4
	VADDPS Y7, Y6, Y6
	VADDPS Y9, Y8, Y8
	VADDPS Y11, Y10, Y10

	// The one with less loss, moved to where the mean error is least.
	VMOVUPS STEPS, Y0
	VMOVUPS FEWER, Y1
	VMULPS Y0, Y0, Y2
	VMULPS Y2, Y6, Y6
	VMULPS Y1, Y1, Y3
	VMULPS Y3, Y10, Y10
	VCMPPS $1, Y6, Y10, Y5
	VBLENDVPS Y5, Y1, Y0, Y0
	VBLENDVPS Y5, Y8, Y4, Y4
	VMOVUPS OFFSETS, Y1
	VMOVUPS SHIFTED, Y2
	VBLENDVPS Y5, Y2, Y1, Y1
	VMULPS Y0, Y4, Y4
	VBROADCASTSS mean<>(SB), Y3
	VMULPS Y3, Y4, Y4
	VROUNDPS $0, Y4, Y4
	VADDPS Y4, Y1, Y1
	VBROADCASTSS highest<>(SB), Y15
	CLAMP(Y0, Y1, Y4)
	VMOVUPS INVERSE, Y8
	VDIVPS Y0, Y8, Y8
	VDIVPS Y0, Y1, Y9

	// A group of one number has no step.
	VMOVUPS NONE, Y2
	VMOVUPS MIDDLE, Y3
	VROUNDPS $0, Y3, Y3
	VANDNPS Y0, Y2, Y0
	CLAMP(Y0, Y3, Y4)
	VBLENDVPS Y2, Y3, Y1, Y1
	VBROADCASTSS byteMask<>(SB), Y12
	VANDNPS Y12, Y2, Y12
	VCVTPS2DQ Y0, Y0
	VCVTPS2DQ Y1, Y1
	VPBROADCASTD zero<>(SB), Y4
	VPADDD Y4, Y1, Y1
	BYTES(Y0, X0, X4, R10)
	BYTES(Y1, X1, X5, R11)

	VBROADCASTSS magic<>(SB), Y10
	VBROADCASTSS magicMost<>(SB), Y11
	MOVQ SP, BX
	CODES(0, Y0)
	CODES(4, Y1)
	CODES(8, Y2)
	CODES(12, Y3)
	CODES(16, Y4)
	CODES(20, Y5)
	CODES(24, Y6)
	CODES(28, Y7)
	TRANSPOSE
	VMOVUPS Y8, (DI)
	VMOVUPS Y9, 32(DI)
	VMOVUPS Y10, 64(DI)
	VMOVUPS Y11, 96(DI)
	VMOVUPS Y12, 128(DI)
	VMOVUPS Y13, 160(DI)
	VMOVUPS Y14, 192(DI)
	VMOVUPS Y15, 224(DI)
	ADDQ $1024, SI
	ADDQ $256, DI
	ADDQ $32, R8
	ADDQ $32, R9
	ADDQ $8, R10
	ADDQ $8, R11
	DECQ CX
	JNZ batch
	VZEROUPPER
	RET

// func nestedNumbersAVX2(dst *float32, codes, steps, offsets *uint8, scale float32, groups int)
TEXT ·nestedNumbersAVX2(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ codes+8(FP), SI
	MOVQ steps+16(FP), R10
	MOVQ offsets+24(FP), R11
	VBROADCASTSS scale+32(FP), Y5
	MOVQ groups+40(FP), CX
group:
	MOVBLZX (R10), AX
	VMOVD AX, X6
	VPBROADCASTD X6, Y6
	MOVBLZX (R11), AX
	SUBL $128, AX
	VMOVD AX, X7
	VPBROADCASTD X7, Y7
	VPMOVZXBD (SI), Y0
	VPMOVZXBD 8(SI), Y1
	VPMOVZXBD 16(SI), Y2
	VPMOVZXBD 24(SI), Y3
	VPMADDWD Y6, Y0, Y0
	VPMADDWD Y6, Y1, Y1
	VPMADDWD Y6, Y2, Y2
	VPMADDWD Y6, Y3, Y3
	VPADDD Y7, Y0, Y0
	VPADDD Y7, Y1, Y1
	VPADDD Y7, Y2, Y2
	VPADDD Y7, Y3, Y3
	VCVTDQ2PS Y0, Y0
	VCVTDQ2PS Y1, Y1
	VCVTDQ2PS Y2, Y2
	VCVTDQ2PS Y3, Y3
	VMULPS Y5, Y0, Y0
	VMULPS Y5, Y1, Y1
	VMULPS Y5, Y2, Y2
	VMULPS Y5, Y3, Y3
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	ADDQ $32, SI
	ADDQ $128, DI
	INCQ R10
	INCQ R11
	DECQ CX
	JNZ group
	VZEROUPPER
	RET
