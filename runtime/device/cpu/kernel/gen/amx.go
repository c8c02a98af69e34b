package main

import (
	"fmt"
	"strings"
)

// Go's assembler lacks AMX. These are its instructions that the kernels use, encoded as the Intel Software Developer's Manual says
// (volume 2, section 2.3 "VEX" and the instructions' pages). Tiles are 16 rows of 64 bytes.

const (
	tileRows  = 16
	tileRow   = 64 // bytes
	tileBytes = tileRows * tileRow
)

// vexPrefix is the pp field of a VEX prefix.
type vexPrefix byte

const (
	prefixNone vexPrefix = iota
	prefix66
	prefixF3
	prefixF2
)

// generalRegisters are numbered as in ModRM.
var generalRegisters = map[string]int{
	"AX": 0, "CX": 1, "DX": 2, "BX": 3, "SI": 6, "DI": 7, "R8": 8, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13, "R14": 14, "R15": 15,
}

// vex encodes the three-byte prefix of a 128-bit instruction of map 0F38 with W0; base and index are those of its memory operand, 0 without one.
func vex(prefix vexPrefix, opcode byte, vvvv, base, index int) []byte {
	const map0F38 = 0b00010
	p0 := byte(1<<7 | map0F38)
	if index < 8 {
		p0 |= 1 << 6
	}
	if base < 8 {
		p0 |= 1 << 5
	}
	return []byte{0xc4, p0, byte(^vvvv&15)<<3 | byte(prefix), opcode}
}

// vexTile encodes an instruction between tiles: ModRM.reg, ModRM.rm and VEX.vvvv.
func vexTile(prefix vexPrefix, opcode byte, reg, rm, vvvv int) []byte {
	return append(vex(prefix, opcode, vvvv, 0, 0), 0b11<<6|byte(reg)<<3|byte(rm))
}

// scales are the bits of the factors that an index of an address can have.
var scales = map[string]byte{"1": 0, "2": 1, "4": 2, "8": 3}

// scaled splits an index, such as R9 or R9*2, into its register and the bits of its factor.
func scaled(index string) (register int, scale byte) {
	name, factor, ok := strings.Cut(index, "*")
	if !ok {
		factor = "1"
	}
	return generalRegisters[name], scales[factor]
}

// vexRows encodes a move between a tile and rows that lie stride bytes, a scaled register, apart from base+disp.
func vexRows(prefix vexPrefix, tile, disp int, base, stride string) []byte {
	b := generalRegisters[base]
	i, scale := scaled(stride)
	code := append(vex(prefix, 0x4b, 0, b, i), 0b10<<6|byte(tile)<<3|0b100, scale<<6|byte(i&7)<<3|byte(b&7))
	return append(code, byte(disp), byte(disp>>8), byte(disp>>16), byte(disp>>24))
}

// rowsAt is the operand of rows that are stride bytes apart, as a comment shows it.
func rowsAt(disp int, base, stride string) string {
	if !strings.Contains(stride, "*") {
		stride += "*1"
	}
	return fmt.Sprintf("%d(%s)(%s)", disp, base, stride)
}

// tileLoad loads a tile from rows that are stride bytes apart.
func (f *function) tileLoad(disp int, base, stride string, tile int) {
	f.encoded(vexRows(prefixF2, tile, disp, base, stride), fmt.Sprintf("TILELOADD %s, T%d", rowsAt(disp, base, stride), tile))
}

// tileStore stores a tile to rows that are stride bytes apart.
func (f *function) tileStore(tile, disp int, base, stride string) {
	f.encoded(vexRows(prefixF3, tile, disp, base, stride), fmt.Sprintf("TILESTORED T%d, %s", tile, rowsAt(disp, base, stride)))
}

func (f *function) tileZero(tile int) {
	f.encoded(vexTile(prefixF2, 0x49, tile, 0, 0), fmt.Sprintf("TILEZERO T%d", tile))
}

// tileConfigure sets up the tiles as the 64 bytes at AX say.
func (f *function) tileConfigure() {
	f.encoded(append(vex(prefixNone, 0x49, 0, 0, 0), 0), "LDTILECFG (AX)")
}

// tileRelease gives the tiles up: a thread without any has less to save when it is switched.
func (f *function) tileRelease() {
	f.encoded(vexTile(prefixNone, 0x49, 0, 0, 0), "TILERELEASE")
}

// tileDot is an instruction that multiplies tiles: acc[m][n] += products of four (two) neighbours of row m of a with those of column n of b.
type tileDot struct {
	name   string
	opcode byte
	prefix vexPrefix
}

var (
	dotSigned         = tileDot{"TDPBSSD", 0x5e, prefixF2}   // signed bytes both
	dotSignedUnsigned = tileDot{"TDPBSUD", 0x5e, prefixF3}   // signed rows, unsigned columns
	dotBF16Tiles      = tileDot{"TDPBF16PS", 0x5c, prefixF3} // bf16 pairs
)

// tileDot adds the products of tiles a and b to acc.
func (f *function) tileDot(d tileDot, a, b, acc int) {
	f.encoded(vexTile(d.prefix, d.opcode, acc, a, b), fmt.Sprintf("%s T%d, T%d, T%d", d.name, b, a, acc))
}
