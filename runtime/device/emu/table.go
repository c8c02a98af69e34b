package emu

// decoders lists the instructions by opcode. Branches and calls are decoded apart: they need the decoder's labels.
var decoders = map[string]func(d *decoder){
	"add": decodeArith, "sub": decodeArith, "mul": decodeArith, "div": decodeArith, "rem": decodeArith, "min": decodeArith, "max": decodeArith,
	"mad": decodeMad, "fma": decodeMad, "addc": decodeAddc, "subc": decodeAddc, "madc": decodeMadc, "mul24": decodeMul24, "mad24": decodeMul24,
	"sad": decodeSad, "neg": decodeNegAbs, "abs": decodeNegAbs, "copysign": decodeCopysign, "testp": decodeTestp,

	"and": decodeLogic, "or": decodeLogic, "xor": decodeLogic, "not": decodeLogic, "cnot": decodeLogic,
	"shl": decodeShift, "shr": decodeShift, "shf": decodeShf, "bfe": decodeBfe, "bfi": decodeBfi, "bmsk": decodeBmsk, "fns": decodeFns,
	"popc": decodeBitCount, "clz": decodeBitCount, "brev": decodeBitCount, "bfind": decodeBitCount,
	"lop3": decodeLop3, "prmt": decodePrmt, "dp4a": decodeDot, "dp2a": decodeDot, "vshl": decodeVideo, "vshr": decodeVideo,

	"rcp": decodeApprox, "sqrt": decodeApprox, "rsqrt": decodeApprox, "sin": decodeApprox, "cos": decodeApprox, "lg2": decodeApprox, "ex2": decodeApprox, "tanh": decodeApprox,

	"setp": decodeSetp, "set": decodeSet, "selp": decodeSelp, "slct": decodeSlct, "mov": decodeMov, "cvt": decodeCvt, "cvta": decodeCvta, "isspacep": decodeIsspacep,
	"mapa": decodeMapa,

	"ld": decodeLoad, "ldu": decodeLoad, "st": decodeStore, "atom": decodeAtomic, "red": decodeAtomic,
	"prefetch": decodeNothing, "prefetchu": decodeNothing, "applypriority": decodeNothing, "discard": decodeNothing, "createpolicy": decodePolicy,
	"cp": decodeCp, "ldmatrix": decodeMatrixMove, "stmatrix": decodeMatrixMove, "movmatrix": decodeMovmatrix,

	"shfl": decodeShfl, "vote": decodeVote, "match": decodeMatch, "redux": decodeRedux, "activemask": decodeActivemask, "elect": decodeElect,
	"bar": decodeBar, "barrier": decodeBar, "membar": decodeFence, "fence": decodeFence, "mbarrier": decodeMbarrier,
	"mma": decodeMma, "wgmma": decodeWgmma, "setmaxnreg": decodeSetmaxnreg, "griddepcontrol": decodeNothing,
	"nanosleep": decodeNanosleep, "trap": decodeTrap, "brkpt": decodeTrap, "pmevent": decodeNothing,
}
