package grammar

import (
	"slices"
	"unicode/utf8"
)

// runeRange is the characters from lo to hi.
type runeRange struct{ lo, hi rune }

// runeSet is ranges in ascending order that do not touch. It never holds surrogates, which are no characters.
type runeSet []runeRange

const (
	maxRune        = utf8.MaxRune
	firstSurrogate = 0xd800
	lastSurrogate  = 0xdfff
)

var anyRune = runes(0, maxRune)

// runes makes a set of ranges, given as pairs in any order.
func runes(pairs ...rune) runeSet {
	var list []runeRange
	add := func(lo, hi rune) {
		if lo = max(lo, 0); lo <= min(hi, maxRune) {
			list = append(list, runeRange{lo, min(hi, maxRune)})
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		add(pairs[i], min(pairs[i+1], firstSurrogate-1))
		add(max(pairs[i], lastSurrogate+1), pairs[i+1])
	}
	slices.SortFunc(list, func(a, b runeRange) int { return int(a.lo - b.lo) })
	var s runeSet
	for _, r := range list {
		if n := len(s); n > 0 && r.lo <= s[n-1].hi+1 {
			s[n-1].hi = max(s[n-1].hi, r.hi)
		} else {
			s = append(s, r)
		}
	}
	return s
}

func (s runeSet) pairs() []rune {
	list := make([]rune, 0, 2*len(s))
	for _, r := range s {
		list = append(list, r.lo, r.hi)
	}
	return list
}

// inverse is every character that is not in the set.
func (s runeSet) inverse() runeSet {
	var pairs []rune
	next := rune(0)
	for _, r := range s {
		pairs = append(pairs, next, r.lo-1)
		next = r.hi + 1
	}
	return runes(append(pairs, next, maxRune)...)
}

func (s runeSet) without(other runeSet) runeSet {
	return runes(append(s.inverse().pairs(), other.pairs()...)...).inverse()
}

func (s runeSet) has(c rune) bool {
	return slices.ContainsFunc(s, func(r runeRange) bool { return r.lo <= c && c <= r.hi })
}

// byteRange is the bytes from lo to hi.
type byteRange struct{ lo, hi byte }

// utf8Sequences calls yield with ranges of bytes, one for each byte of a character, that together are exactly the UTF-8 of the set.
func (s runeSet) utf8Sequences(yield func([]byteRange)) {
	var lengths = [...]rune{0x7f, 0x7ff, 0xffff, maxRune} // last characters of one byte, of two, ...
	for _, r := range s {
		for _, last := range lengths {
			if r.lo <= min(last, r.hi) {
				splitUTF8(r.lo, min(last, r.hi), yield)
				r.lo = last + 1
			}
		}
	}
}

// splitUTF8 does a range of characters of one length.
func splitUTF8(lo, hi rune, yield func([]byteRange)) {
	var a, b [utf8.UTFMax]byte
	n := utf8.EncodeRune(a[:], lo)
	for i := 1; i < n; i++ {
		low := rune(1)<<(6*i) - 1 // the bits that the last i bytes hold
		if lo&^low == hi&^low {
			break
		}
		if lo&low != 0 {
			splitUTF8(lo, lo|low, yield)
			splitUTF8((lo|low)+1, hi, yield)
			return
		}
		if hi&low != low {
			splitUTF8(lo, hi&^low-1, yield)
			splitUTF8(hi&^low, hi, yield)
			return
		}
	}
	utf8.EncodeRune(b[:], hi)
	ranges := make([]byteRange, n)
	for i := range ranges {
		ranges[i] = byteRange{a[i], b[i]}
	}
	yield(ranges)
}
