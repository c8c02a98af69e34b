package ucd

import (
	"unicode"
	"unicode/utf8"
)

// lower17 lists the lower-case mappings of Unicode 16.0 and 17.0 that Go's tables do not have: every step-th code
// point of lo..hi maps to itself plus delta.
var lower17 = []struct{ lo, hi, step, delta rune }{
	{0x1c89, 0x1c89, 1, 1},
	{0xa7cb, 0xa7cb, 1, 0x264 - 0xa7cb},
	{0xa7cc, 0xa7ce, 2, 1},
	{0xa7d2, 0xa7d4, 2, 1},
	{0xa7da, 0xa7da, 1, 1},
	{0xa7dc, 0xa7dc, 1, 0x19b - 0xa7dc},
	{0x10d50, 0x10d65, 1, 0x20},
	{0x16ea0, 0x16eb8, 1, 0x1b},
}

// AppendLower appends the full lower-case mapping of r, without conditions on its neighbours (char::to_lowercase).
func AppendLower(dst []byte, r rune) []byte {
	if r <= unicode.MaxASCII {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return append(dst, byte(r))
	}
	if r == 0x130 { // the only character whose mapping is longer than one
		return append(dst, "i\u0307"...)
	}
	for _, row := range lower17 {
		if row.lo <= r && r <= row.hi && (r-row.lo)%row.step == 0 {
			return utf8.AppendRune(dst, r+row.delta)
		}
	}
	return utf8.AppendRune(dst, unicode.ToLower(r))
}
