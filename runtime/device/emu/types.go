package emu

import "llmc/runtime/device/emu/ptxtext"

const (
	warpSize = 32
	allLanes = ^uint32(0)
)

// vec is one register of a warp: lane i in element i. Values narrower than 64 bits are zero-extended.
type vec [warpSize]uint64

// kind of a type: how its bits are read.
type kind uint8

const (
	kBits kind = iota
	kUnsigned
	kSigned
	kFloat
	kBrain // bf16
	kPred
	kE4M3
	kE5M2
	kTF32
)

// typ is a type as instructions name it; pack counts the values in one register.
type typ struct {
	kind kind
	bits int
	pack int
}

func (t typ) size() int { return t.bits * t.pack / 8 } // bytes
func (t typ) width() int {
	return t.bits * t.pack
}
func (t typ) float() bool  { return t.kind >= kFloat && t.kind != kPred }
func (t typ) signed() bool { return t.kind == kSigned }

var typeWords = map[string]typ{
	"b8": {kBits, 8, 1}, "b16": {kBits, 16, 1}, "b32": {kBits, 32, 1}, "b64": {kBits, 64, 1}, "b128": {kBits, 128, 1},
	"u8": {kUnsigned, 8, 1}, "u16": {kUnsigned, 16, 1}, "u32": {kUnsigned, 32, 1}, "u64": {kUnsigned, 64, 1},
	"s8": {kSigned, 8, 1}, "s16": {kSigned, 16, 1}, "s32": {kSigned, 32, 1}, "s64": {kSigned, 64, 1},
	"u16x2": {kUnsigned, 16, 2}, "s16x2": {kSigned, 16, 2},
	"f16": {kFloat, 16, 1}, "f32": {kFloat, 32, 1}, "f64": {kFloat, 64, 1}, "f16x2": {kFloat, 16, 2},
	"bf16": {kBrain, 16, 1}, "bf16x2": {kBrain, 16, 2}, "tf32": {kTF32, 32, 1},
	"e4m3": {kE4M3, 8, 1}, "e5m2": {kE5M2, 8, 1}, "e4m3x2": {kE4M3, 8, 2}, "e5m2x2": {kE5M2, 8, 2}, "pred": {kPred, 1, 1},
}

// typesOf collects the type words among the modifiers, in order.
func typesOf(in *ptxtext.Inst) []typ {
	var list []typ
	for _, m := range in.Mods {
		if t, ok := typeWords[m]; ok {
			list = append(list, t)
		}
	}
	return list
}

func hasMod(in *ptxtext.Inst, word string) bool {
	for _, m := range in.Mods {
		if m == word {
			return true
		}
	}
	return false
}

// mask of the low n bits.
func lowBits(n int) uint64 {
	if n >= 64 {
		return ^uint64(0)
	}
	return 1<<n - 1
}

// signExtend reads the low n bits of v as a signed number.
func signExtend(v uint64, n int) int64 {
	return int64(v<<(64-n)) >> (64 - n)
}
