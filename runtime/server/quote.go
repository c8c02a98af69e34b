package server

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// appendQuoted appends a JSON string. Only what must be escaped is; bytes that are no UTF-8 become U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	clean := 0 // s[clean:i] needs no escape
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[clean:i]...)
		switch {
		case c >= utf8.RuneSelf:
			dst = append(dst, "\ufffd"...)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i += size
		clean = i
	}
	return append(append(dst, s[clean:]...), '"')
}

// leastLogprob stands for minus infinity, which JSON can not say, as in the OpenAI API.
const leastLogprob = -9999

// appendLogprob appends a log-probability; NaN, that of a token nothing came before, is null.
func appendLogprob(dst []byte, p float32) []byte {
	if p != p {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, math.Max(float64(p), leastLogprob), 'g', -1, 32)
}

// appendInts appends a JSON array.
func appendInts(dst []byte, ids []int32) []byte {
	dst = append(dst, '[')
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(id), 10)
	}
	return append(dst, ']')
}
