package tokenizer

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fuse makes one token of all.
type fuse struct{}

func (fuse) middle(token []byte) []byte         { return token }
func (fuse) stage(next stage, _ *failure) stage { return &fuseStage{next} }

type fuseStage struct{ next stage }

func (s *fuseStage) put(fragment []byte, _ bool) { s.next.put(fragment, false) }
func (s *fuseStage) close() {
	s.next.put(nil, true)
	s.next.close()
}

// byteLevelDecoder turns tokens in the byte-level alphabet into text, all of them into one token. Bytes that are no
// UTF-8 become U+FFFD, one for every maximal part of a character.
type byteLevelDecoder struct{}

func (byteLevelDecoder) middle(token []byte) []byte { return appendFromByteLevel(nil, token) }

func (byteLevelDecoder) stage(next stage, _ *failure) stage {
	var pending, buf []byte // pending: bytes not passed on; between tokens, the start of a character
	flush := func(final bool) {
		var rest []byte
		buf, rest = appendValid(buf[:0], pending, final)
		pending = append(pending[:0], rest...)
		if len(buf) > 0 {
			next.put(buf, false)
		}
	}
	return &wholeTokens{
		next: next,
		token: func(token []byte) {
			pending = appendFromByteLevel(pending, token)
			flush(false)
		},
		last: func() {
			flush(true)
			next.put(nil, true)
		},
	}
}

const replacement = "\ufffd"

// appendValid appends src with U+FFFD for what is no UTF-8: one for each maximal prefix of a character (The Unicode
// Standard, "U+FFFD Substitution of Maximal Subparts"). Unless final, an unfinished character at the end is returned
// instead.
func appendValid(dst, src []byte, final bool) (out, rest []byte) {
	for len(src) > 0 {
		if utf8.Valid(src) {
			return append(dst, src...), nil
		}
		n := 0
		for n < len(src) {
			r, size := utf8.DecodeRune(src[n:])
			if r == utf8.RuneError && size <= 1 {
				break
			}
			n += size
		}
		dst, src = append(dst, src[:n]...), src[n:]
		part, unfinished := brokenCharacter(src)
		if unfinished && part == len(src) && !final {
			return dst, src
		}
		dst, src = append(dst, replacement...), src[part:]
	}
	return dst, nil
}

// brokenCharacter gives the length of the longest prefix of src that starts a character (at least 1), and whether more
// bytes could complete it. src does not start with a complete character.
func brokenCharacter(src []byte) (length int, unfinished bool) {
	need := 0
	low, high := byte(0x80), byte(0xbf) // range of the second byte
	switch b := src[0]; {
	case b >= 0xc2 && b <= 0xdf:
		need = 2
	case b >= 0xe0 && b <= 0xef:
		need = 3
		if b == 0xe0 {
			low = 0xa0
		} else if b == 0xed {
			high = 0x9f
		}
	case b >= 0xf0 && b <= 0xf4:
		need = 4
		if b == 0xf0 {
			low = 0x90
		} else if b == 0xf4 {
			high = 0x8f
		}
	default:
		return 1, false
	}
	for length = 1; length < need && length < len(src); length++ {
		if b := src[length]; b < low || b > high {
			return length, false
		}
		low, high = 0x80, 0xbf
	}
	return length, length < need
}

// byteFallbackDecoder turns runs of byte tokens such as <0xE4> into text. A run that is no UTF-8 becomes one U+FFFD for
// every byte, so nothing of a run can be passed on before its end.
type byteFallbackDecoder struct{}

// byteOf gives the byte that a token stands for.
func byteOf(token []byte) (byte, bool) {
	if len(token) != len("<0x00>") || !bytes.HasPrefix(token, []byte("<0x")) || token[5] != '>' {
		return 0, false
	}
	digits := strings.TrimPrefix(string(token[3:5]), "+") // Rust's parser of integers accepts a sign
	b, err := strconv.ParseUint(digits, 16, 8)
	return byte(b), err == nil
}

func (byteFallbackDecoder) middle(token []byte) []byte {
	if b, ok := byteOf(token); ok {
		return []byte{b}
	}
	return token
}

func (byteFallbackDecoder) stage(next stage, _ *failure) stage {
	var run []byte
	flush := func() {
		if utf8.Valid(run) {
			if len(run) > 0 {
				next.put(run, true)
			}
		} else {
			for range run {
				next.put([]byte(replacement), true)
			}
		}
		run = run[:0]
	}
	return &wholeTokens{next: next, last: flush, token: func(token []byte) {
		if b, ok := byteOf(token); ok {
			run = append(run, b)
			return
		}
		flush()
		next.put(token, true)
	}}
}

// stripDecoder removes up to start copies of a character at the start of each token and up to stop at its end.
type stripDecoder struct {
	content     string
	start, stop int
	fused       bool // a decoder before this one makes one token of all
}

// middle strips the token, unless there is only one token: then its middle is not concerned.
func (d stripDecoder) middle(token []byte) []byte {
	if d.fused {
		return token
	}
	var out output
	d.stage(&out, nil).put(token, true)
	return out.text
}

// first strips a token in front of all others.
func (d stripDecoder) first(token []byte) []byte {
	if !d.fused {
		return d.middle(token)
	}
	for left := d.start; left > 0; left-- {
		rest, ok := bytes.CutPrefix(token, []byte(d.content))
		if !ok || d.content == "" {
			break
		}
		token = rest
	}
	return token
}

// markFused tells the parts of a decoder that see all tokens as one.
func markFused(list []decoder) {
	fused := false
	for i, d := range list {
		switch d := d.(type) {
		case fuse, byteLevelDecoder:
			fused = true
		case stripDecoder:
			d.fused = fused
			list[i] = d
		}
	}
}

func (d stripDecoder) stage(next stage, _ *failure) stage {
	return &stripStage{stripDecoder: d, next: next, left: d.start}
}

type stripStage struct {
	stripDecoder
	next stage
	left int // how many more to remove at the start of this token
	held int // how many copies at the end so far are held back
	buf  []byte
}

func (s *stripStage) put(fragment []byte, end bool) {
	s.buf = s.buf[:0]
	for len(fragment) > 0 {
		_, size := utf8.DecodeRune(fragment)
		c := fragment[:size]
		fragment = fragment[size:]
		same := string(c) == s.content
		switch {
		case same && s.left > 0:
			s.left--
			continue
		case same && s.held < s.stop:
			s.held++
		case same: // the oldest copy held back cannot be among the last any more
			s.buf = append(s.buf, c...)
		default:
			for ; s.held > 0; s.held-- {
				s.buf = append(s.buf, s.content...)
			}
			s.buf = append(s.buf, c...)
		}
		s.left = 0
	}
	if end {
		s.left, s.held = s.start, 0
	}
	if end || len(s.buf) > 0 {
		s.next.put(s.buf, end)
	}
}

func (s *stripStage) close() { s.next.close() }
