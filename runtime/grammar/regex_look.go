package grammar

import "strings"

// look is a part "(?=...)" or "(?!...)" at the beginning of an expression: what must, or must not, come there. It is the only place where look-ahead is supported,
// and where it is written most: pydantic's pattern of decimal numbers has one.
type look struct {
	source string
	wanted bool
}

// lookAhead cuts these off an expression that has to match from the beginning.
func lookAhead(source string, anchored bool) (looks []look, rest string) {
	begin := ""
	rest = source
	if strings.HasPrefix(rest, "^") {
		begin, rest = "^", rest[1:]
	} else if !anchored {
		return nil, source
	}
	for strings.HasPrefix(rest, "(?!") || strings.HasPrefix(rest, "(?=") {
		end := groupEnd(rest)
		if end < 0 || end+1 < len(rest) && strings.IndexByte("*+?{", rest[end+1]) >= 0 {
			return nil, source
		}
		looks = append(looks, look{rest[3:end], rest[2] == '='})
		rest = rest[end+1:]
	}
	if len(looks) == 0 || alternatives(rest) {
		return nil, source
	}
	return looks, begin + rest
}

// groupEnd is where the group ends that an expression begins with; -1: nowhere.
func groupEnd(source string) int {
	depth := 0
	found := -1
	scan(source, func(i int, char byte) bool {
		switch char {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				found = i
			}
		}
		return found < 0
	})
	return found
}

// alternatives tells whether an expression is several, side by side.
func alternatives(source string) bool {
	depth, found := 0, false
	scan(source, func(_ int, char byte) bool {
		switch char {
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			found = found || depth == 0
		}
		return !found
	})
	return found
}

// scan calls visit with the bytes of an expression that are neither escaped nor in a class, until that returns false.
func scan(source string, visit func(i int, char byte) bool) {
	class := false
	for i := 0; i < len(source); i++ {
		switch c := source[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
			if i+1 < len(source) && source[i+1] == '^' {
				i++
			}
			if i+1 < len(source) && source[i+1] == ']' { // Go reads it as a member
				i++
			}
		case !visit(i, c):
			return
		}
	}
}
