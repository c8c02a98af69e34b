package template

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// isSpace is Python's str.isspace and the \s of its regular expressions.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
}

func isLower(r rune) bool { return unicode.IsLower(r) || unicode.Is(unicode.Other_Lowercase, r) }

func isUpper(r rune) bool { return unicode.IsUpper(r) || unicode.Is(unicode.Other_Uppercase, r) }

func isCased(r rune) bool { return isLower(r) || isUpper(r) || unicode.IsTitle(r) }

func isDigit(r rune) bool { return unicode.Is(unicode.Nd, r) || unicode.Is(nonDecimalDigits, r) }

func isNumeric(r rune) bool { return unicode.IsNumber(r) || unicode.Is(ideographNumbers, r) }

// isWord is \w of Python's regular expressions.
func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || isNumeric(r) }

func appendUpper(b []byte, r rune) []byte {
	if s, ok := fullUpper[r]; ok {
		return append(b, s...)
	}
	return utf8.AppendRune(b, unicode.ToUpper(r))
}

func appendTitle(b []byte, r rune) []byte {
	if s, ok := fullTitle[r]; ok {
		return append(b, s...)
	}
	t := unicode.ToTitle(r)
	if s, ok := fullUpper[r]; ok && t == r && !unicode.IsTitle(r) {
		return append(b, s...)
	}
	return utf8.AppendRune(b, t)
}

// appendLower lowers the character at s[i:]. A sigma at the end of a word has a form of its own.
func appendLower(b []byte, s string, i int, r rune) []byte {
	switch r {
	case 'İ':
		return append(b, "i\u0307"...)
	case 'Σ':
		if endsWord(s, i) {
			return append(b, "ς"...)
		}
	}
	return utf8.AppendRune(b, unicode.ToLower(r))
}

// endsWord is the Final_Sigma condition: a cased letter before, none after, looking past what casing ignores.
func endsWord(s string, i int) bool {
	before := strings.TrimRightFunc(s[:i], ignoredByCasing)
	last, _ := utf8.DecodeLastRuneInString(before)
	after := strings.TrimLeftFunc(s[i+len("Σ"):], ignoredByCasing)
	next, _ := utf8.DecodeRuneInString(after)
	return before != "" && isCased(last) && (after == "" || !isCased(next))
}

// ignoredByCasing is the property Case_Ignorable.
func ignoredByCasing(r rune) bool {
	return strings.ContainsRune("'.:^`\u00a8\u00ad\u00af\u00b4\u00b7\u00b8\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a", r) ||
		unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk)
}

func toUpper(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = appendUpper(b, r)
	}
	return string(b)
}

func toLower(s string) string {
	b := make([]byte, 0, len(s))
	for i, r := range s {
		b = appendLower(b, s, i, r)
	}
	return string(b)
}

// foldCase is str.casefold. The full folding is the lowercase of the uppercase, except for Cherokee, which folds upwards,
// the dotless i, which stays, and two capitals that fold to two letters.
func foldCase(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		switch {
		case r == 'ı':
			b = append(b, "ı"...)
		case r >= 0x13a0 && r <= 0x13fd || r >= 0xab70 && r <= 0xabbf:
			b = utf8.AppendRune(b, unicode.ToUpper(r))
		case r == 'İ':
			b = append(b, "i\u0307"...)
		case r == 'ẞ':
			b = append(b, "ss"...)
		default:
			for _, u := range string(appendUpper(nil, r)) {
				b = utf8.AppendRune(b, unicode.ToLower(u))
			}
		}
	}
	return string(b)
}

func swapCase(s string) string {
	b := make([]byte, 0, len(s))
	for i, r := range s {
		switch {
		case isUpper(r):
			b = appendLower(b, s, i, r)
		case isLower(r):
			b = appendUpper(b, r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

func capitalize(s string) string {
	b := make([]byte, 0, len(s))
	for i, r := range s {
		if i == 0 {
			b = appendTitle(b, r)
		} else {
			b = appendLower(b, s, i, r)
		}
	}
	return string(b)
}

// titleCase is str.title: the first letter of each run of cased letters is capitalized.
func titleCase(s string) string {
	b := make([]byte, 0, len(s))
	inWord := false
	for i, r := range s {
		if inWord {
			b = appendLower(b, s, i, r)
		} else {
			b = appendTitle(b, r)
		}
		inWord = isCased(r)
	}
	return string(b)
}

var casingMethods = []*function{
	builtin("upper", "/", casingMethod(toUpper)),
	builtin("lower", "/", casingMethod(toLower)),
	builtin("casefold", "/", casingMethod(foldCase)),
	builtin("swapcase", "/", casingMethod(swapCase)),
	builtin("capitalize", "/", casingMethod(capitalize)),
	builtin("title", "/", casingMethod(titleCase)),
}

// casingMethod wraps a mapping, whose result has at most three times the bytes.
func casingMethod(convert func(string) string) func(st *state, self Value, a args) (Value, error) {
	return func(st *state, self Value, _ args) (Value, error) {
		s, _ := asText(self)
		if err := st.text(len(s)); err != nil {
			return nil, err
		}
		return like(self, convert(s)), nil
	}
}
