package ptxtext

import (
	"math"
	"strconv"
	"strings"
)

// parseNumber reads a literal (PTX ISA, "Constants").
func parseNumber(t token) (Number, error) {
	bad := func() (Number, error) {
		return Number{}, &Error{t.pos, "bad number " + strconv.Quote(clip(t.text))}
	}
	text := t.text
	if len(text) == 10 && text[0] == '0' && text[1]|0x20 == 'f' {
		bits, err := strconv.ParseUint(text[2:], 16, 32)
		if err != nil {
			return bad()
		}
		return Number{widenSingle(uint32(bits)), true, true}, nil
	}
	if len(text) > 2 && text[0] == '0' && text[1]|0x20 == 'd' {
		bits, err := strconv.ParseUint(text[2:], 16, 64)
		if err != nil || len(text) != 18 {
			return bad()
		}
		return Number{bits, true, false}, nil
	}
	hex := strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X")
	if !hex && strings.ContainsAny(text, ".eE") && !strings.HasPrefix(text, "0b") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil && !math.IsInf(f, 0) {
			return bad()
		}
		return Number{math.Float64bits(f), true, false}, nil
	}
	digits := strings.TrimSuffix(text, "U")
	if strings.ContainsRune(digits, '_') {
		return bad()
	}
	bits, err := strconv.ParseUint(digits, 0, 64)
	if err != nil {
		return bad()
	}
	return Number{Bits: bits}, nil
}

// widenSingle turns the pattern of a single into that of a double of the same value; NaN payloads keep their bits.
func widenSingle(bits uint32) uint64 {
	if bits&0x7f800000 == 0x7f800000 && bits&0x7fffff != 0 {
		return uint64(bits&0x80000000)<<32 | 0x7ff<<52 | uint64(bits&0x7fffff)<<29
	}
	return math.Float64bits(float64(math.Float32frombits(bits)))
}

// Int is the literal as an integer pattern.
func (n Number) Int() uint64 {
	if n.Float {
		return uint64(int64(math.Float64frombits(n.Bits)))
	}
	return n.Bits
}

// Float32Bits is the literal as the pattern of a single. Integer literals keep their pattern: PTX writes -1 into a .b32.
func (n Number) Float32Bits() uint32 {
	if !n.Float {
		return uint32(n.Bits)
	}
	if n.Bits&(0x7ff<<52) == 0x7ff<<52 && n.Bits&(1<<52-1) != 0 {
		return uint32(n.Bits>>32)&0x80000000 | 0x7f800000 | uint32(n.Bits>>29)&0x7fffff
	}
	return math.Float32bits(float32(math.Float64frombits(n.Bits)))
}

// Negated is the literal with a minus before it.
func (n Number) Negated() Number {
	if n.Float {
		n.Bits ^= 1 << 63
	} else {
		n.Bits = -n.Bits
	}
	return n
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}
