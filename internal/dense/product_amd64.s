#include "textflag.h"

// ROW adds the product of element at of the row of a and the vectors Y8, Y9 to two sums.
#define ROW(at, low, high) \
	VBROADCASTSS at(SI), Y10; \
	VMULPS Y8, Y10, Y11; \
	VMULPS Y9, Y10, Y12; \
	VADDPS Y11, low, low; \
	VADDPS Y12, high, high

// func tileAVX2(c, a, b *float32, strideC, strideA, strideB, k int)
// Four rows of 16 numbers of c, in Y0 to Y7, gain a[l][0:4] times b[l][0:16] for each of the k rows l. Strides are in bytes.
TEXT ·tileAVX2(SB), NOSPLIT, $0-56
	MOVQ c+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), BX
	MOVQ strideC+24(FP), R8
	MOVQ strideA+32(FP), R9
	MOVQ strideB+40(FP), R10
	MOVQ k+48(FP), CX
	LEAQ (DI)(R8*2), DX
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS (DI)(R8*1), Y2
	VMOVUPS 32(DI)(R8*1), Y3
	VMOVUPS (DX), Y4
	VMOVUPS 32(DX), Y5
	VMOVUPS (DX)(R8*1), Y6
	VMOVUPS 32(DX)(R8*1), Y7

loop:
	VMOVUPS (BX), Y8
	VMOVUPS 32(BX), Y9
	ROW(0, Y0, Y1)
	ROW(4, Y2, Y3)
	ROW(8, Y4, Y5)
	ROW(12, Y6, Y7)
	ADDQ R9, SI
	ADDQ R10, BX
	DECQ CX
	JNZ loop

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, (DI)(R8*1)
	VMOVUPS Y3, 32(DI)(R8*1)
	VMOVUPS Y4, (DX)
	VMOVUPS Y5, 32(DX)
	VMOVUPS Y6, (DX)(R8*1)
	VMOVUPS Y7, 32(DX)(R8*1)
	VZEROUPPER
	RET
