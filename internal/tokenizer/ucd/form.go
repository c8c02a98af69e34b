package ucd

import (
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A Form is one of the four normalization forms of Unicode 9.0 (UAX #15). x/text/unicode/norm supplies the
// character data; its own String methods differ in two ways that show: newer characters, and the stream-safe
// format, which inserts U+034F into long runs of marks.
type Form struct {
	data    norm.Form
	compose bool
}

// The normalization forms.
var (
	NFC  = Form{norm.NFC, true}
	NFD  = Form{norm.NFD, false}
	NFKC = Form{norm.NFKC, true}
	NFKD = Form{norm.NFKD, false}
)

// mark is a code point with its canonical combining class.
type mark struct {
	r   rune
	ccc uint8
}

// Append appends the normalized form of src, which is valid UTF-8, to dst. It reports false, and appends nothing,
// when src is normalized already.
func (f Form) Append(dst, src []byte) ([]byte, bool) {
	start, changed := 0, false // src[start:i] is normalized and not copied yet
	var segment []mark
	for i := 0; i < len(src); {
		if src[i] < utf8.RuneSelf && (i+1 == len(src) || src[i+1] < utf8.RuneSelf) {
			i++
			continue
		}
		end, runes := f.segment(src[i:])
		end += i
		if runes > 1 || f.decomposes(src[i:end]) {
			segment = f.decompose(segment[:0], src[i:end])
			sortMarks(segment)
			if f.compose {
				segment = compose(segment)
			}
			if !equal(segment, src[i:end]) {
				dst = append(dst, src[start:i]...)
				for _, m := range segment {
					dst = utf8.AppendRune(dst, m.r)
				}
				start, changed = end, true
			}
		}
		i = end
	}
	if !changed {
		return dst, false
	}
	return append(dst, src[start:]...), true
}

func equal(segment []mark, src []byte) bool {
	for _, m := range segment {
		r, n := utf8.DecodeRune(src)
		if r != m.r || n == 0 {
			return false
		}
		src = src[n:]
	}
	return len(src) == 0
}

// segment gives the length of the longest prefix of src in which characters can reorder or combine: one character and
// everything after it that is no starter or combines backwards.
func (f Form) segment(src []byte) (end, runes int) {
	for end < len(src) {
		r, size := utf8.DecodeRune(src[end:])
		if runes > 0 && (r < utf8.RuneSelf || after9(r) || f.data.Properties(src[end:]).BoundaryBefore()) {
			break
		}
		end += size
		runes++
	}
	return end, runes
}

// decomposes reports whether the single character src has a decomposition in this form.
func (f Form) decomposes(src []byte) bool {
	r, _ := utf8.DecodeRune(src)
	if isHangulSyllable(r) {
		return !f.compose
	}
	return !after9(r) && f.data.Properties(src).Decomposition() != nil
}

func (f Form) decompose(dst []mark, src []byte) []mark {
	for len(src) > 0 {
		r, size := utf8.DecodeRune(src)
		switch {
		case isHangulSyllable(r):
			dst = appendJamo(dst, r)
		case after9(r):
			dst = append(dst, mark{r, 0})
		default:
			p := f.data.Properties(src)
			if d := p.Decomposition(); d != nil {
				dst = appendDecomposition(dst, d)
			} else {
				dst = append(dst, mark{r, p.CCC()})
			}
		}
		src = src[size:]
	}
	return dst
}

// appendDecomposition appends the code points of a full decomposition.
func appendDecomposition(dst []mark, d []byte) []mark {
	for len(d) > 0 {
		r, size := utf8.DecodeRune(d)
		dst = append(dst, mark{r, norm.NFD.Properties(d).CCC()})
		d = d[size:]
	}
	return dst
}

// sortMarks brings every run of non-starters into canonical order, keeping the order within a class.
func sortMarks(s []mark) {
	for i := 0; i < len(s); {
		if s[i].ccc == 0 {
			i++
			continue
		}
		end := i
		for end < len(s) && s[end].ccc != 0 {
			end++
		}
		slices.SortStableFunc(s[i:end], func(a, b mark) int { return int(a.ccc) - int(b.ccc) })
		i = end
	}
}

// compose is the canonical composition algorithm of UAX #15, in place.
func compose(s []mark) []mark {
	starter := -1 // index in s[:n] of the last starter
	n := 0
	var last uint8 // class of the last mark kept since the starter
	for i, m := range s {
		if starter >= 0 {
			adjacent := n == starter+1
			if adjacent || last < m.ccc {
				if c, ok := composePair(s[starter].r, m.r); ok {
					s[starter].r = c
					continue
				}
			}
		}
		if m.ccc == 0 {
			starter, last = n, 0
		} else {
			last = m.ccc
		}
		s[n] = s[i]
		n++
	}
	return s[:n]
}
