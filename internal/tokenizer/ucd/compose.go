package ucd

import (
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Hangul syllables compose by arithmetic (The Unicode Standard, section 3.12).
const (
	hangulBase, hangulCount = 0xac00, 11172
	leadBase, leadCount     = 0x1100, 19
	vowelBase, vowelCount   = 0x1161, 21
	trailBase, trailCount   = 0x11a7, 28 // the first trail means none
)

func isHangulSyllable(r rune) bool { return r >= hangulBase && r < hangulBase+hangulCount }

func appendJamo(dst []mark, r rune) []mark {
	s := r - hangulBase
	dst = append(dst, mark{leadBase + s/(vowelCount*trailCount), 0}, mark{vowelBase + s/trailCount%vowelCount, 0})
	if t := s % trailCount; t != 0 {
		dst = append(dst, mark{trailBase + t, 0})
	}
	return dst
}

func composeHangul(a, b rune) (rune, bool) {
	switch {
	case a >= leadBase && a < leadBase+leadCount && b >= vowelBase && b < vowelBase+vowelCount:
		return hangulBase + ((a-leadBase)*vowelCount+(b-vowelBase))*trailCount, true
	case isHangulSyllable(a) && (a-hangulBase)%trailCount == 0 && b > trailBase && b < trailBase+trailCount:
		return a + (b - trailBase), true
	}
	return 0, false
}

// No character at or above this one both has a canonical decomposition into two and may be composed again.
const compositesEnd = 0x12000

// composites maps pairs of code points to their primary composite.
var composites = sync.OnceValue(func() map[[2]rune]rune {
	pairs := make(map[[2]rune]rune, 1024)
	var buf [utf8.UTFMax]byte
	for r := rune(0xc0); r < compositesEnd; r++ {
		if isHangulSyllable(r) || r >= 0xd800 && r < 0xe000 || after9(r) {
			continue
		}
		d := norm.NFD.Properties(buf[:utf8.EncodeRune(buf[:], r)]).Decomposition()
		if d == nil || norm.NFC.String(string(r)) != string(r) { // none, or excluded from composition
			continue
		}
		second, size := utf8.DecodeLastRune(d)
		first := norm.NFC.Bytes(d[:len(d)-size])
		if base, n := utf8.DecodeRune(first); n == len(first) {
			pairs[[2]rune{base, second}] = r
		}
	}
	return pairs
})

func composePair(a, b rune) (rune, bool) {
	if c, ok := composeHangul(a, b); ok {
		return c, true
	}
	c, ok := composites()[[2]rune{a, b}]
	return c, ok
}
