package template

import "unicode"

// The questions that Python's str answers about its characters.

var classMethods = []*function{
	classMethod("isspace", func(s string) bool { return all(s, isSpace) }),
	classMethod("isalpha", func(s string) bool { return all(s, unicode.IsLetter) }),
	classMethod("isdecimal", func(s string) bool { return all(s, func(r rune) bool { return unicode.Is(unicode.Nd, r) }) }),
	classMethod("isdigit", func(s string) bool { return all(s, isDigit) }),
	classMethod("isnumeric", func(s string) bool { return all(s, isNumeric) }),
	classMethod("isalnum", func(s string) bool {
		return all(s, func(r rune) bool { return unicode.IsLetter(r) || isNumeric(r) })
	}),
	classMethod("isascii", func(s string) bool { return s == "" || all(s, func(r rune) bool { return r <= unicode.MaxASCII }) }),
	classMethod("isprintable", func(s string) bool { return s == "" || all(s, unicode.IsPrint) }),
	classMethod("isidentifier", func(s string) bool {
		first := true
		return all(s, func(r rune) bool {
			ok := isNameStart(r) || !first && isNamePart(r)
			first = false
			return ok
		})
	}),
	classMethod("islower", isLowerText),
	classMethod("isupper", isUpperText),
	classMethod("istitle", isTitleText),
}

func classMethod(name string, is func(string) bool) *function {
	return builtin(name, "/", func(st *state, self Value, _ args) (Value, error) {
		s, _ := asText(self)
		return boolValue(is(s)), st.scan(len(s))
	})
}

// all tells whether there are characters and each of them passes.
func all(s string, is func(rune) bool) bool {
	for _, r := range s {
		if !is(r) {
			return false
		}
	}
	return s != ""
}

// isLowerText wants at least one cased character and none that is upper or title case.
func isLowerText(s string) bool {
	cased := false
	for _, r := range s {
		if isUpper(r) || unicode.IsTitle(r) {
			return false
		}
		cased = cased || isLower(r)
	}
	return cased
}

func isUpperText(s string) bool {
	cased := false
	for _, r := range s {
		if isLower(r) || unicode.IsTitle(r) {
			return false
		}
		cased = cased || isUpper(r)
	}
	return cased
}

func isTitleText(s string) bool {
	cased, inWord := false, false
	for _, r := range s {
		switch {
		case isUpper(r) || unicode.IsTitle(r):
			if inWord {
				return false
			}
			inWord, cased = true, true
		case isLower(r):
			if !inWord {
				return false
			}
			cased = true
		default:
			inWord = false
		}
	}
	return cased
}
