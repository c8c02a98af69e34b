package pattern

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// A pattern of the file may backtrack without end: the search for one match may take searchLimit, all those of a
// text that much and perMegabyte for every MiB. Backtracking memory is bounded apart.
const (
	searchLimit = 2 * time.Second
	perMegabyte = 5 * time.Second
	maxStack    = 1 << 22
)

// ErrTimeout reports a pattern that backtracks too long.
var ErrTimeout = errors.New("pattern takes too long on this text")

// regex runs a translated pattern with regexp2, which works on code points.
type regex struct {
	compiled *regexp2.Regexp
	runes    sync.Pool // of *[]rune
}

func compileRegex(tree node, p *parser) (*regex, error) {
	out := &printer{capture: p.refs}
	out.node(tree)
	if out.Len() > maxPrinted {
		return nil, fmt.Errorf("too large (%d bytes with its classes written out)", out.Len())
	}
	compiled, err := regexp2.Compile(out.String(), regexp2.OptionMaxBacktrackingStackSize(maxStack))
	if err != nil {
		return nil, fmt.Errorf("%.200v", err)
	}
	compiled.MatchTimeout = searchLimit // tests shorten it
	return &regex{compiled: compiled}, nil
}

// AppendMatches finds matches as the Rust onig crate iterates them: an empty match right after the match
// before is passed over, and the search goes on one character later.
func (x *regex) AppendMatches(dst []Span, text []byte) ([]Span, error) {
	buf, _ := x.runes.Get().(*[]rune)
	if buf == nil {
		buf = new([]rune)
	}
	defer x.runes.Put(buf)
	runes := (*buf)[:0]
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		runes = append(runes, r)
		i += size
	}
	*buf = runes

	deadline := time.Now().Add(x.compiled.MatchTimeout + perMegabyte*time.Duration(len(text))>>20)
	o := offsets{text: text}
	from, last := 0, -1 // where to search, where the match before ended
	for from <= len(runes) {
		next := len(runes) + 1
		late := false
		err := x.compiled.FindRunesMatches(runes, from, func(m regexp2.MatchView) bool {
			start, length, _ := m.GroupRange(0)
			if length == 0 && start == last {
				next = start + 1
				return false
			}
			last = start + length
			dst = append(dst, Span{o.byteAt(start), o.byteAt(last)})
			if length == 0 {
				next = start // finds the same empty match again, which is then passed over
				return false
			}
			late = len(dst)%256 == 0 && time.Now().After(deadline)
			return !late
		})
		if err != nil || late || time.Now().After(deadline) {
			return dst, ErrTimeout
		}
		from = next
	}
	return dst, nil
}

// offsets turns ascending code point indexes of text into byte offsets.
type offsets struct {
	text     []byte
	rune, at int
}

func (o *offsets) byteAt(index int) int32 {
	for o.rune < index {
		_, size := utf8.DecodeRune(o.text[o.at:])
		o.at += size
		o.rune++
	}
	return int32(o.at)
}
