package template

import (
	"strings"
	"unicode/utf8"
)

// The parts of Python's str that fill text up.

var padMethods = []*function{
	builtin("ljust", "width fillchar? /", padMethod(func(pad, _ int) int { return 0 })),
	builtin("rjust", "width fillchar? /", padMethod(func(pad, _ int) int { return pad })),
	builtin("center", "width fillchar? /", padMethod(centerLeft)),
	builtin("zfill", "width /", func(st *state, self Value, a args) (Value, error) {
		width, err := a.int(0, 0)
		if err != nil {
			return nil, err
		}
		s, _ := asText(self)
		sign := ""
		if s != "" && (s[0] == '+' || s[0] == '-') {
			sign, s = s[:1], s[1:]
		}
		s, err = st.pad(s, width-len(sign), "0", func(pad, _ int) int { return pad })
		return like(self, sign+s), err
	}),
	builtin("expandtabs", "tabsize?", func(st *state, self Value, a args) (Value, error) {
		size, err := a.int(0, 8)
		if err != nil {
			return nil, err
		}
		s, _ := asText(self)
		s, err = st.expandTabs(s, size)
		return like(self, s), err
	}),
}

// centerLeft is how many of the characters CPython puts on the left: of an odd number, the extra one goes left when the
// width is odd.
func centerLeft(pad, width int) int { return pad/2 + pad&width&1 }

func padMethod(left func(pad, width int) int) func(st *state, self Value, a args) (Value, error) {
	return func(st *state, self Value, a args) (Value, error) {
		width, err := a.int(0, 0)
		if err != nil {
			return nil, err
		}
		fill, err := a.text(1, " ")
		if err != nil {
			return nil, err
		}
		if isMarkup(self) {
			if fill, err = st.escape(fill); err != nil {
				return nil, err
			}
		}
		if utf8.RuneCountInString(fill) != 1 {
			return nil, typeError("The fill character must be exactly one character long")
		}
		s, _ := asText(self)
		s, err = st.pad(s, width, fill, left)
		return like(self, s), err
	}
}

// pad fills s up to width characters.
func (st *state) pad(s string, width int, fill string, left func(pad, width int) int) (string, error) {
	n, err := st.runeCount(s)
	if err != nil || width <= n {
		return s, err
	}
	pad := width - n
	if pad > st.limits.Output/len(fill) {
		return "", &LimitError{"output", int64(st.limits.Output)}
	}
	if err := st.text(len(s) + pad*len(fill)); err != nil {
		return "", err
	}
	before := left(pad, width)
	return strings.Repeat(fill, before) + s + strings.Repeat(fill, pad-before), nil
}

func (st *state) expandTabs(s string, size int) (string, error) {
	if tabs := strings.Count(s, "\t"); size > 0 && tabs > st.limits.Output/size {
		return "", &LimitError{"output", int64(st.limits.Output)}
	} else if err := st.text(len(s) + tabs*max(size, 0)); err != nil {
		return "", err
	}
	var b strings.Builder
	column := 0
	for _, r := range s {
		switch r {
		case '\t':
			if size > 0 {
				n := size - column%size
				b.WriteString(strings.Repeat(" ", n))
				column += n
			}
		case '\n', '\r':
			b.WriteRune(r)
			column = 0
		default:
			b.WriteRune(r)
			column++
		}
	}
	return b.String(), nil
}
