package emu

import "strings"

// opcode is a row of the instruction table: how to decode it, and the types it may end in (no check where empty).
type opcode struct {
	decode func(d *decoder)
	types  string
}

// Lists of type words.
const (
	bytesTypes = " b8 u8 s8 "
	bitTypes   = " b16 b32 b64 "
	ints       = " u16 u32 u64 s16 s32 s64 "
	packedInts = " u16x2 s16x2 "
	floats     = " f32 f64 "
	halves     = " f16 f16x2 bf16 bf16x2 "
)

// opcodes lists the instructions (PTX ISA, "Instructions"). Branches and calls are decoded apart: they need the decoder's labels.
var opcodes = map[string]opcode{
	"add":            {decodeArith, ints + packedInts + floats + halves},
	"sub":            {decodeArith, ints + packedInts + floats + halves},
	"mul":            {decodeArith, ints + floats + halves},
	"div":            {decodeArith, ints + floats},
	"rem":            {decodeArith, ints},
	"min":            {decodeArith, ints + packedInts + floats + halves},
	"max":            {decodeArith, ints + packedInts + floats + halves},
	"mad":            {decodeMad, ints + floats},
	"fma":            {decodeMad, floats + halves},
	"addc":           {decodeAddc, ints},
	"subc":           {decodeAddc, ints},
	"madc":           {decodeMadc, ints},
	"mul24":          {decodeMul24, " u32 s32 "},
	"mad24":          {decodeMul24, " u32 s32 "},
	"sad":            {decodeSad, ints},
	"neg":            {decodeNegAbs, ints + floats + halves},
	"abs":            {decodeNegAbs, ints + floats + halves},
	"copysign":       {decodeCopysign, floats},
	"testp":          {decodeTestp, floats},
	"and":            {decodeLogic, bitTypes + " pred "},
	"or":             {decodeLogic, bitTypes + " pred "},
	"xor":            {decodeLogic, bitTypes + " pred "},
	"not":            {decodeLogic, bitTypes + " pred "},
	"cnot":           {decodeLogic, bitTypes},
	"shl":            {decodeShift, bitTypes},
	"shr":            {decodeShift, bitTypes + ints},
	"shf":            {decodeShf, " b32 "},
	"bfe":            {decodeBfe, " u32 u64 s32 s64 "},
	"bfi":            {decodeBfi, " b32 b64 "},
	"bmsk":           {decodeBmsk, " b32 "},
	"fns":            {decodeFns, " b32 "},
	"popc":           {decodeBitCount, " b32 b64 "},
	"clz":            {decodeBitCount, " b32 b64 "},
	"brev":           {decodeBitCount, " b32 b64 "},
	"bfind":          {decodeBitCount, " u32 u64 s32 s64 "},
	"lop3":           {decodeLop3, " b32 "},
	"prmt":           {decodePrmt, " b32 f4e b4e rc8 ecl ecr rc16 "},
	"dp4a":           {decodeDot, " u32 s32 "},
	"dp2a":           {decodeDot, " u32 s32 "},
	"vshl":           {decodeVideo, ""},
	"vshr":           {decodeVideo, ""},
	"rcp":            {decodeApprox, floats},
	"sqrt":           {decodeApprox, floats},
	"rsqrt":          {decodeApprox, floats},
	"sin":            {decodeApprox, " f32 "},
	"cos":            {decodeApprox, " f32 "},
	"lg2":            {decodeApprox, " f32 "},
	"ex2":            {decodeApprox, " f32 " + halves},
	"tanh":           {decodeApprox, " f32 " + halves},
	"setp":           {decodeSetp, bitTypes + ints + floats + halves},
	"set":            {decodeSet, bitTypes + ints + floats + halves},
	"selp":           {decodeSelp, bitTypes + ints + floats},
	"slct":           {decodeSlct, " s32 f32 "},
	"mov":            {decodeMov, bitTypes + ints + floats + halves + " pred "},
	"cvt":            {decodeCvt, ""},
	"cvta":           {decodeCvta, " u32 u64 "},
	"isspacep":       {decodeIsspacep, ""},
	"mapa":           {decodeMapa, " u32 u64 "},
	"ld":             {decodeLoad, bytesTypes + bitTypes + ints + floats + halves},
	"ldu":            {decodeLoad, bytesTypes + bitTypes + ints + floats + halves},
	"st":             {decodeStore, bytesTypes + bitTypes + ints + floats + halves},
	"atom":           {decodeAtomic, bitTypes + ints + floats + halves},
	"red":            {decodeAtomic, bitTypes + ints + floats + halves},
	"prefetch":       {decodeNothing, ""},
	"prefetchu":      {decodeNothing, ""},
	"applypriority":  {decodeNothing, ""},
	"discard":        {decodeNothing, ""},
	"createpolicy":   {decodePolicy, ""},
	"cp":             {decodeCp, ""},
	"ldmatrix":       {decodeMatrixMove, ""},
	"stmatrix":       {decodeMatrixMove, ""},
	"movmatrix":      {decodeMovmatrix, ""},
	"shfl":           {decodeShfl, ""},
	"vote":           {decodeVote, ""},
	"match":          {decodeMatch, " b32 b64 "},
	"redux":          {decodeRedux, " b32 u32 s32 "},
	"activemask":     {decodeActivemask, ""},
	"elect":          {decodeElect, ""},
	"bar":            {decodeBar, ""},
	"barrier":        {decodeBar, ""},
	"membar":         {decodeFence, ""},
	"fence":          {decodeFence, ""},
	"mbarrier":       {decodeMbarrier, ""},
	"mma":            {decodeMma, ""},
	"wgmma":          {decodeWgmma, ""},
	"setmaxnreg":     {decodeSetmaxnreg, ""},
	"griddepcontrol": {decodeDependency, ""},
	"nanosleep":      {decodeNanosleep, ""},
	"trap":           {decodeTrap, ""},
	"brkpt":          {decodeTrap, ""},
	"pmevent":        {decodeNothing, ""},
}

// accepts checks the type that the instruction ends in: its last word that is a type.
func (o *opcode) accepts(mods []string) bool {
	if o.types == "" {
		return true
	}
	for i := len(mods) - 1; i >= 0; i-- {
		if _, ok := typeWords[mods[i]]; ok {
			return strings.Contains(o.types, " "+mods[i]+" ")
		}
	}
	return false
}
