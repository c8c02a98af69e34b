package ucd

import (
	"sort"
	"unicode"
)

func contains(spans []span, r rune) bool {
	i := sort.Search(len(spans), func(i int) bool { return spans[i].hi >= r })
	return i < len(spans) && spans[i].lo <= r
}

// in16 gives the class of a code point that came with Unicode 15.1 or 16.0, or 0.
func in16(r rune) Class {
	i := sort.Search(len(cameWith16), func(i int) bool { return cameWith16[i].hi >= r })
	if i < len(cameWith16) && cameWith16[i].lo <= r {
		return cameWith16[i].class
	}
	return 0
}

// after8 and after9 report whether r was not yet assigned in Unicode 8.0 or 9.0. Code points that Go's tables
// do not know have no category there either, so they need no row.
func after8(r rune) bool { return contains(cameWith9, r) || after9(r) }
func after9(r rune) bool { return contains(cameWith10to15, r) || in16(r) != 0 }

// IsSpace is White_Space, the same in every version used.
func IsSpace(r rune) bool { return unicode.Is(unicode.White_Space, r) }

// IsWord is \w of the Rust regex crate: Alphabetic, M, Nd, Pc and Join_Control (Unicode 16.0).
func IsWord(r rune) bool {
	if r < unicode.MaxASCII {
		return r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z'
	}
	return unicode.In(r, unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc, unicode.Join_Control) ||
		in16(r)&(L|M|Nd) != 0
}

// numbers17 came with Unicode 17.0, which the Rust standard library already has.
var numbers17 = []span{{0x11de0, 0x11de9}, {0x16ff4, 0x16ff6}}

// IsNumeric is char::is_numeric of Rust: Nd, Nl and No of Unicode 17.0.
func IsNumeric(r rune) bool {
	if r <= unicode.MaxASCII {
		return '0' <= r && r <= '9'
	}
	return unicode.Is(unicode.N, r) || in16(r)&N != 0 || contains(numbers17, r)
}

// BERT's category tests come from a crate with Unicode 8.0, in which a few characters still had another category.

// IsBertPunct is ASCII punctuation (symbols too) or category P.
func IsBertPunct(r rune) bool {
	switch {
	case r <= unicode.MaxASCII:
		return unicode.IsPunct(r) || unicode.IsSymbol(r)
	case r == 0x166d || r == 0x111c9:
		return true
	}
	return unicode.IsPunct(r) && !after8(r)
}

// IsNonspacingMark is category Mn.
func IsNonspacingMark(r rune) bool {
	switch r {
	case 0x1734:
		return true
	case 0x1885, 0x1886, 0xa9bd, 0x111c9:
		return false
	}
	return unicode.Is(unicode.Mn, r) && !after8(r)
}

// IsOther is category Cc, Cf or Co; unassigned code points do not count.
func IsOther(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) && !after8(r)
}

// IsCombining is category M of Unicode 9.0, what StripAccents removes.
func IsCombining(r rune) bool {
	switch r {
	case 0x1cf2, 0x1cf3:
		return true
	case 0x111c9:
		return false
	}
	return unicode.IsMark(r) && !after9(r)
}
