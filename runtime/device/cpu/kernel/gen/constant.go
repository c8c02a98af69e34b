package main

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// constants are vectors in memory that kernels use as operands, and what else they read.
var constants = map[string][]uint64{
	"oddHalves":      every(0xffff0000),
	"evenBytes":      every(0x00ff00ff),
	"signBytes":      every(0x80808080),
	"oneWords":       every(0x00010001),
	"lowNibbles":     every(0x0f0f0f0f),
	"lowBits":        every(0xf),
	"sixteens":       every(16),
	"fifthBits":      every(0x10101010),
	"e4m3AsF16Scale": number(256),
	"lowBytes":       every(0xff),
	"minusOnes":      every(0xffffffff),
	"eighth":         number(0.125),
	"iq4Levels":      levelBytes(&dtype.IQ4NL, 0),
	"iq4LevelsU8":    levelBytes(&dtype.IQ4NL, 128),
	"lowNibbleWords": every(0x000f000f),
	"minusZeroU8":    every(0xffffff80),
	"e4m3AsF16":      every(0xbfffbfff),                                                                // without the second copy of the sign
	"wordTwice":      {0x0504050401000100, 0x0d0c0d0c09080908, 0x0504050401000100, 0x0d0c0d0c09080908}, // the lower word of each dword, twice

	"signBit":     every(0x80000000),
	"evenSign":    {0x80000000, 0x80000000, 0x80000000, 0x80000000},
	"absBits":     every(0x7fffffff),
	"oneBit":      every(1),
	"halfUlp":     every(0x7fff),
	"quietBit":    every(0x0040),
	"one":         number(1),
	"lowest":      number(-127),
	"steps127":    number(127),
	"leastMax":    number(1e-30),
	"restStep":    number(1.0 / layout.RestSteps),
	"restSteps":   number(layout.RestSteps),
	"restStepF64": slices.Repeat([]uint64{math.Float64bits(1.0 / layout.RestSteps)}, 4),
	"leastI8":     number(-128),
	"leastI16":    number(-8191),
	"mostI16":     number(8191),
	"zeroI8":      every(128),
	"minusInf":    number(float32(math.Inf(-1))),
	// of e4m3, see internal/dtype
	"infinity":  every(0x7f800000),
	"e4m3Most":  number(448),
	"e4m3Magic": number(1 << 14),
	"e4m3Small": every(0x3c7fffff), // the last number below the normal ones
	"e4m3Round": every(0xc407ffff), // half a unit, less one, and the difference of exponents
	"e4m3NaN":   every(0x7f),
	"e4m3Half":  every(0x7ffff),
	"e4m3Kept":  every(0xfff00000),
	// of caches of int4
	"kvLevels": kvLevels(),
	"kvBound0": number(quant.KVBounds[0]), "kvBound1": number(quant.KVBounds[1]), "kvBound2": number(quant.KVBounds[2]), "kvBound3": number(quant.KVBounds[3]),
	"kvBound4": number(quant.KVBounds[4]), "kvBound5": number(quant.KVBounds[5]), "kvBound6": number(quant.KVBounds[6]),
	"kvStep0": kvStep(0), "kvStep1": kvStep(1), "kvStep2": kvStep(2), "kvStep3": kvStep(3), "kvStep4": kvStep(4), "kvStep5": kvStep(5), "kvStep6": kvStep(6),
	// The bytes of two positions of two channels, and of four positions of four, by channel.
	"turnBF16": {0x0706030205040100, 0x0f0e0b0a0d0c0908, 0x0706030205040100, 0x0f0e0b0a0d0c0908},
	"turnI8":   {0x0d0905010c080400, 0x0f0b07030e0a0602, 0x0d0905010c080400, 0x0f0b07030e0a0602},
	// tailMask: the 8 dwords that start 8-n before its middle have n ones.
	"tailMask": {^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), 0, 0, 0, 0},

	// Configurations of tiles: bytes in a row, rows. All 16 rows of 64 bytes; those of A 32 bytes long, of B 8 rows.
	"wholeTiles": {1, 0, 0x0040004000400040, 0x0040004000400040, 0, 0, 0x1010101010101010, 0},
	"shortTiles": {1, 0, 0x0040004000400040, 0x0040004000200020, 0, 0, 0x0808101010101010, 0},
	// 0 to 15, then -16 to -1, as bf16.
	"wholeNumbers": {0x404040003f800000, 0x40e040c040a04080, 0x4130412041104100, 0x4170416041504140,
		0xc150c160c170c180, 0xc110c120c130c140, 0xc0a0c0c0c0e0c100, 0xbf80c000c040c080},
	// The upper halves of 32 dwords, the second and the third of four having changed places; those of two digits one digit after the other.
	"upperWords1": {0x0007000300050001, 0x000f000b000d0009, 0x0017001300150011, 0x001f001b001d0019,
		0x0027002300250021, 0x002f002b002d0029, 0x0037003300350031, 0x003f003b003d0039},
	"upperWords2": {0x0007000300050001, 0x0017001300150011, 0x0027002300250021, 0x0037003300350031,
		0x000f000b000d0009, 0x001f001b001d0019, 0x002f002b002d0029, 0x003f003b003d0039},
	// Twice what the codes of e2m1 stand for: as bf16, the same again for indices from 16 on, and as bytes with 16 added.
	"e2m1Numbers": {0x404040003f800000, 0x4140410040c04080, 0xc040c000bf800000, 0xc140c100c0c0c080,
		0x404040003f800000, 0x4140410040c04080, 0xc040c000bf800000, 0xc140c100c0c0c080},
	"e2m1Levels": {0x1c18161413121110, 0x04080a0c0d0e0f10, 0x1c18161413121110, 0x04080a0c0d0e0f10},
	// Four codes of the first digit in steps of the second, four of the second.
	"digitSteps": {0x4380000043800000, 0x4380000043800000, 0x3f8000003f800000, 0x3f8000003f800000,
		0x4380000043800000, 0x4380000043800000, 0x3f8000003f800000, 0x3f8000003f800000},
	// Every second dword of two vectors, as bytes.
	"evenWords": {0x0e0c0a0806040200, 0x1e1c1a1816141210},
	"oddWords":  {0x0f0d0b0907050301, 0x1f1d1b1917151311},
	"eights":    every(0x08080808),
	"oneBytes":  every(0x01010101),
	// For each of 16 lanes the byte of its number, in both words or in all four bytes; the upper bytes of words are zero.
	"spreadWords": spread(func(lane uint64) uint64 { return 0x80008000 | lane<<16 | lane }),
	"spreadBytes": spread(func(lane uint64) uint64 { return 0x01010101 * lane }),
	// laneSigns: for each bit of a lane's number, four vectors of 64 bytes, 1 where it is clear and -1 where it is set.
	"laneSigns": laneSigns(),

	// exp, see float_ref.go
	"expLow":  number(-87.33654),
	"expHigh": number(88.37),
	"log2e":   number(1.442695),
	"ln2High": number(0.69140625),
	"ln2Low":  number(0.00174093060),
	// exp2, see attend_integers.go
	"exp2Low": number(-125),
	"exp2P0":  number(0.9999993),
	"exp2P1":  number(0.6931218),
	"exp2P2":  number(0.24024744),
	"exp2P3":  number(0.05591786),
	"exp2P4":  number(0.009570102),
	"expP0":   number(0.49999994),
	"expP1":   number(0.16666521),
	"expP2":   number(0.04166839),
	"expP3":   number(0.008368745),
	"expP4":   number(0.0013814541),

	// gelu, see activation.go
	"erfScale":  number(0.3275911 / math.Sqrt2),
	"erf0":      number(0.254829592 / 2),
	"erf1":      number(-0.284496736 / 2),
	"erf2":      number(1.421413741 / 2),
	"erf3":      number(-1.453152027 / 2),
	"erf4":      number(1.061405429 / 2),
	"minusHalf": number(-0.5),

	// softplus, see state.go
	"two":    number(2),
	"atanh1": number(1.0 / 3),
	"atanh2": number(1.0 / 5),
	"atanh3": number(1.0 / 7),
	"atanh4": number(1.0 / 9),
	"atanh5": number(1.0 / 11),
	"atanh6": number(1.0 / 13),
}

// every repeats a 32-bit pattern.
func every(v uint32) []uint64 {
	word := uint64(v)<<32 | uint64(v)
	return []uint64{word, word, word, word}
}

// levelBytes returns 16 whole numbers, with so much added, as bytes, twice.
func levelBytes(levels *[16]float32, add int) []uint64 {
	words := make([]uint64, 4)
	for i := range 32 {
		words[i/8] |= uint64(uint8(int(levels[i%16])+add)) << (i % 8 * 8)
	}
	return words
}

func laneSigns() []uint64 {
	var words []uint64
	for bit := range 4 {
		for pair := range 8 {
			sign := func(lane int) uint64 { return uint64(math.Float32bits(float32(1 - 2*(lane>>bit&1)))) }
			words = append(words, sign(2*pair+1)<<32|sign(2*pair))
		}
	}
	return words
}

// spread returns the dwords of 16 lanes.
func spread(dword func(lane uint64) uint64) []uint64 {
	var words []uint64
	for lane := uint64(0); lane < 16; lane += 2 {
		words = append(words, dword(lane+1)<<32|dword(lane))
	}
	return words
}

// number repeats an f32.
func number(v float32) []uint64 { return every(math.Float32bits(v)) }

// kvStep is how much the magnitude of code i+1 of int4 is more than that of code i.
func kvStep(i int) []uint64 { return number(float32(quant.KVLevels[i+1] - quant.KVLevels[i])) }

// kvLevels are what 16 codes of int4 stand for as codes of i8, twice.
func kvLevels() []uint64 {
	var levels [16]float32
	for i, level := range quant.KVLevels {
		levels[i], levels[i+8] = float32(level), -float32(level)
	}
	return levelBytes(&levels, 128)
}

// constant is the operand of a constant.
func constant(name string) string {
	if _, ok := constants[name]; !ok {
		panic("no constant " + name)
	}
	return name + "<>(SB)"
}

// defineConstants returns the definitions of those that the text uses.
func defineConstants(text string) string {
	var names []string
	for name := range constants {
		if strings.Contains(text, name+"<>") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteByte('\n')
		for i, word := range constants[name] {
			fmt.Fprintf(&b, "DATA %s<>+%d(SB)/8, $0x%016x\n", name, 8*i, word)
		}
		fmt.Fprintf(&b, "GLOBL %s<>(SB), RODATA|NOPTR, $%d\n", name, 8*len(constants[name]))
	}
	return b.String()
}
