package tokenizer

import "unicode/utf8"

// byteAlphabet is the byte-level alphabet of GPT-2: bytes that are printable in Latin-1 are written as themselves, the
// others as the characters from U+0100 on, in order.
type byteAlphabet struct {
	spelled [256]string
	byteOf  [byteRunesEnd]int16 // -1: no letter of the alphabet
}

const byteRunesEnd = 0x144

var alphabet = newByteAlphabet()

func newByteAlphabet() *byteAlphabet {
	a := &byteAlphabet{}
	for r := range a.byteOf {
		a.byteOf[r] = -1
	}
	next := rune(0x100)
	for b := range a.spelled {
		r := rune(b)
		if r < '!' || r > '~' && r < 0xa1 || r == 0xad {
			r = next
			next++
		}
		a.spelled[b], a.byteOf[r] = string(r), int16(b)
	}
	return a
}

// appendByteLevel writes bytes in the alphabet.
func appendByteLevel(dst, src []byte) []byte {
	for _, b := range src {
		dst = append(dst, alphabet.spelled[b]...)
	}
	return dst
}

func appendByteLevelRune(dst []byte, r rune) []byte {
	var buf [utf8.UTFMax]byte
	return appendByteLevel(dst, buf[:utf8.EncodeRune(buf[:], r)])
}

// appendFromByteLevel appends the bytes that a token stands for; a token with a character outside of the alphabet
// stands for itself.
func appendFromByteLevel(dst, token []byte) []byte {
	start := len(dst)
	for i := 0; i < len(token); {
		r, size := rune(token[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(token[i:])
		}
		if r >= byteRunesEnd || alphabet.byteOf[r] < 0 {
			return append(dst[:start], token...)
		}
		dst = append(dst, byte(alphabet.byteOf[r]))
		i += size
	}
	return dst
}
