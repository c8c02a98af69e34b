package pattern

import "unicode/utf8"

// A run matches single characters one after the other, of which only the last may repeat: no backtracking is needed.
// Most patterns of normalizers (\s+, " {2,}") and many of splits are of this kind.
type run struct {
	fixed []quickSet // one character each
	tail  quickSet   // then min to max characters of this set, as many as there are
	min   int
	max   int // < 0: no bound
}

// maxRun bounds the characters that a failed attempt may read, for each start: without it matching were quadratic.
const maxRun = 64

// quickSet is a set with a table for ASCII.
type quickSet struct {
	ascii [utf8.RuneSelf]bool
	set   set
}

func newQuickSet(s set) quickSet {
	q := quickSet{set: s}
	for r := range q.ascii {
		q.ascii[r] = s.contains(rune(r))
	}
	return q
}

// match gives the length of the character at the start of text if it is in the set, else 0.
func (q *quickSet) match(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	if text[0] < utf8.RuneSelf {
		if q.ascii[text[0]] {
			return 1
		}
		return 0
	}
	r, size := utf8.DecodeRune(text)
	if q.set.contains(r) {
		return size
	}
	return 0
}

func unwrap(n node) node {
	if g, ok := n.(group); ok && (g.open == "(" || g.open == "(?:") {
		return g.body
	}
	return n
}

// asRun turns a tree of that shape into a run.
func asRun(tree node) (*run, bool) {
	parts, ok := tree.(sequence)
	if !ok {
		parts = sequence{tree}
	}
	out := &run{}
	for i, part := range parts {
		switch part := unwrap(part).(type) {
		case one:
			if i < len(parts)-1 {
				out.fixed = append(out.fixed, newQuickSet(part.set))
				continue
			}
			out.tail, out.min, out.max = newQuickSet(part.set), 1, 1
		case repeat:
			body, single := unwrap(part.body).(one)
			if i < len(parts)-1 || !single || part.mode == lazy || part.min == 0 {
				return nil, false
			}
			out.tail, out.min, out.max = newQuickSet(body.set), part.min, part.max
		default:
			return nil, false
		}
	}
	return out, len(parts) > 0 && len(out.fixed)+out.min <= maxRun
}

func (x *run) AppendMatches(dst []Span, text []byte) ([]Span, error) {
	for i := 0; i < len(text); {
		if end := x.at(text, i); end >= 0 {
			dst = append(dst, Span{int32(i), int32(end)})
			i = end
			continue
		}
		i += characterSize(text, i)
	}
	return dst, nil
}

// at gives the end of the match that starts at text[i], or -1.
func (x *run) at(text []byte, i int) int {
	for f := range x.fixed {
		n := x.fixed[f].match(text[i:])
		if n == 0 {
			return -1
		}
		i += n
	}
	for count := 0; ; count++ {
		n := 0
		if x.max < 0 || count < x.max {
			n = x.tail.match(text[i:])
		}
		if n == 0 {
			if count < x.min {
				return -1
			}
			return i
		}
		i += n
	}
}

func characterSize(text []byte, i int) int {
	if text[i] < utf8.RuneSelf {
		return 1
	}
	_, size := utf8.DecodeRune(text[i:])
	return size
}
