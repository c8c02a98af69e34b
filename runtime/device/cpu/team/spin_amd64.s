#include "textflag.h"

// func spin(value *atomic.Uint32, old uint32) bool
// 100 rounds of a load and PAUSE, which leaves the core to its sibling and avoids the penalty of a mispredicted memory order.
TEXT ·spin(SB), NOSPLIT, $0-17
	MOVQ value+0(FP), AX
	MOVL old+8(FP), CX
	MOVL $100, DX
again:
	CMPL (AX), CX
	JNE  changed
	PAUSE
	DECL DX
	JNZ  again
	MOVB $0, ret+16(FP)
	RET
changed:
	MOVB $1, ret+16(FP)
	RET
