package tokenizer

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// charsmap is sentencepiece's compiled normalization: a Darts double-array trie whose values are places in a text of
// replacements, each ended by a zero byte. Layout: size of the trie in bytes (u32), its units (u32), the text.
type charsmap struct {
	trie  []uint32
	text  []byte
	ascii [utf8.RuneSelf]bool // characters that are left alone
}

func newCharsmap(data []byte) (*charsmap, error) {
	if len(data) < 4 {
		return nil, errors.New("precompiled_charsmap is too short")
	}
	size := int(binary.LittleEndian.Uint32(data))
	data = data[4:]
	if size/4 == 0 || size > len(data) {
		return nil, errors.New("precompiled_charsmap is shorter than its trie")
	}
	m := &charsmap{text: data[size/4*4:]}
	for i := range size / 4 {
		m.trie = append(m.trie, binary.LittleEndian.Uint32(data[4*i:]))
	}
	if !utf8.Valid(m.text) {
		return nil, errors.New("precompiled_charsmap holds invalid UTF-8")
	}
	for b := range m.ascii {
		_, found := m.lookup([]byte{byte(b)})
		m.ascii[b] = !found
	}
	return m, nil
}

// lookup gives the replacement of the shortest key that s starts with. The units of the trie: bits 0-7 label (with
// bit 31, which leaves have), bit 8 has a leaf, bit 9 and 10-31 offset; in a leaf bits 0-30 are the value.
func (m *charsmap) lookup(s []byte) ([]byte, bool) {
	offset := func(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }
	at := offset(m.trie[0])
	for _, b := range s {
		if b == 0 {
			break
		}
		at ^= uint32(b)
		if int(at) >= len(m.trie) {
			break
		}
		unit := m.trie[at]
		if unit&(1<<31|0xff) != uint32(b) {
			break
		}
		at ^= offset(unit)
		if unit>>8&1 == 1 {
			if int(at) >= len(m.trie) {
				break
			}
			return m.replacement(m.trie[at] & (1<<31 - 1))
		}
	}
	return nil, false
}

func (m *charsmap) replacement(at uint32) ([]byte, bool) {
	if int(at) > len(m.text) {
		return nil, false
	}
	end := int(at)
	for end < len(m.text) && m.text[end] != 0 {
		end++
	}
	return m.text[at:end], utf8.Valid(m.text[at:end])
}

// maxCluster is one more than the longest grapheme cluster in bytes that is looked up as a whole.
const maxCluster = 6

// apply replaces grapheme clusters: a short one by the replacement of any key it starts with, even where that key is
// only its first character; the characters of others one by one.
func (m *charsmap) apply(dst []byte, in piece, most int) (piece, bool, error) {
	w := rewriter{out: dst, start: len(dst), in: in}
	for i := 0; i < len(in.text); {
		if len(w.out)-w.start > most {
			return in, false, errTooLong
		}
		size := clusterSize(in.text[i:])
		cluster := in.text[i : i+size]
		i += size
		if size == 1 && cluster[0] < utf8.RuneSelf && m.ascii[cluster[0]] {
			w.replace(cluster, cluster)
			continue
		}
		if size < maxCluster {
			if text, ok := m.lookup(cluster); ok {
				w.replace(cluster, text)
				continue
			}
		}
		for len(cluster) > 0 {
			_, n := utf8.DecodeRune(cluster)
			text, ok := m.lookup(cluster[:n])
			if !ok {
				text = cluster[:n]
			}
			w.replace(cluster[:n], text)
			cluster = cluster[n:]
		}
	}
	return piece{w.out[w.start:], w.head}, true, nil
}

// clusterSize gives the length of the grapheme cluster that text starts with (UAX #29).
func clusterSize(text []byte) int {
	if text[0] < utf8.RuneSelf && (len(text) == 1 || text[1] < utf8.RuneSelf) && (text[0] != '\r' || len(text) == 1 || text[1] != '\n') {
		return 1
	}
	size, _, _ := graphemes.SplitFunc(text, true)
	if size <= 0 {
		return len(text)
	}
	return size
}

// A rewriter keeps track of which output stems from the first character of the text. Like the reference it pairs
// replacement characters with the replaced ones in order; where a replacement is empty, the character before it takes
// the replaced ones, and at the start of the text the pairing lags behind.
type rewriter struct {
	out   []byte
	start int
	in    piece
	at    int // in.text[:at] is paired
	head  int
}

func (w *rewriter) replace(old, text []byte) {
	if w.at >= w.in.head { // past the first character: nothing to keep track of
		w.out = append(w.out, text...)
		return
	}
	surplus := utf8.RuneCount(text) - utf8.RuneCount(old)
	paired := utf8.RuneCount(text) - max(surplus, 0)
	for i := 0; len(text) > 0; i++ {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		w.out = utf8.AppendRune(w.out, r)
		if i < paired && w.at < w.in.head || i >= paired && w.at <= w.in.head {
			w.head = len(w.out) - w.start
		}
		if i < paired {
			w.advance(1)
		}
	}
	if surplus < 0 && len(w.out) > w.start {
		w.advance(-surplus)
	}
}

func (w *rewriter) advance(characters int) {
	for ; characters > 0 && w.at < len(w.in.text); characters-- {
		_, size := utf8.DecodeRune(w.in.text[w.at:])
		w.at += size
	}
}
