package grammar

import "fmt"

// JSON is written with no more white space than people do: after "{", "[", "," and ":" and before "}" and "]" at most one space, or a line's end and an indentation.
// Without a bound, models have been seen to write nothing else. In keys and in strings that a schema has something to say about, every character has one spelling, so that a
// text is equal to another where its bytes are.

const maxIndent = 32

// jsonRules are those that all JSON has in common.
type jsonRules struct {
	space  *expr
	free   *rule // strings of any content
	number *expr
	whole  *expr // integers
}

var (
	digit  = one('0', '9')
	hex    = one('0', '9', 'a', 'f', 'A', 'F')
	digits = repeat(digit, 0, -1)
)

func newJSONRules(compact bool) *jsonRules {
	j := &jsonRules{space: empty}
	if !compact {
		indent := repeat(one(' ', ' ', '\t', '\t'), 0, maxIndent)
		j.space = call(&rule{name: "space", body: alt(empty, text(" "), seq(text("\n"), indent))})
	}
	// Halves of surrogate pairs are left out.
	unit := seq(text("u"), alt(
		seq(one('0', '9', 'a', 'c', 'e', 'f', 'A', 'C', 'E', 'F'), repeat(hex, 3, 3)),
		seq(one('d', 'd', 'D', 'D'), one('0', '7'), repeat(hex, 2, 2))))
	char := alt(class(rawChars), seq(text(`\`), alt(one('"', '"', '\\', '\\', '/', '/', 'b', 'b', 'f', 'f', 'n', 'n', 'r', 'r', 't', 't'), unit)))
	j.free = &rule{name: "string", body: seq(text(`"`), repeat(char, 0, -1), text(`"`))}
	// Numbers of any reader: within float64, and integers within 64 bits.
	natural := func(most int) *expr { return alt(text("0"), seq(one('1', '9'), repeat(digit, 0, most-1))) }
	sign := optional(text("-"))
	j.whole = seq(sign, natural(18))
	j.number = seq(sign, natural(15), optional(seq(text("."), repeat(digit, 1, 15))),
		optional(seq(one('e', 'e', 'E', 'E'), optional(one('+', '+', '-', '-')), repeat(digit, 1, 2))))
	return j
}

// rawChars stand for themselves in strings.
var rawChars = anyRune.without(runes(0, 0x1f, '"', '"', '\\', '\\'))

// spelled are the characters that have to be escaped, as they are written.
var spelled = func() map[rune]string {
	m := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\t': `\t`, '\r': `\r`, '\b': `\b`, '\f': `\f`}
	for c := range rune(0x20) {
		if m[c] == "" {
			m[c] = fmt.Sprintf(`\u%04x`, c)
		}
	}
	return m
}()

// jsonChar is a character of a set as it is written in a string.
func jsonChar(s runeSet) *expr {
	subs := []*expr{class(s.without(rawChars.inverse()))}
	for c := range rune(0x80) {
		if spelling := spelled[c]; spelling != "" && s.has(c) {
			subs = append(subs, text(spelling))
		}
	}
	return alt(subs...)
}

var (
	anyJSONChar = jsonChar(anyRune)
	// countedChar is one of strings whose characters are counted; control characters without a letter of their own are left out, for fewer states.
	countedChar = alt(class(rawChars), seq(text(`\`), one('"', '"', '\\', '\\', 'b', 'b', 'f', 'f', 'n', 'n', 'r', 'r', 't', 't')))
	anyContent  = repeat(anyJSONChar, 0, -1)
	jsonText    = pattern{char: jsonChar, any: anyContent}
)

// spell is the content of a string as it is written.
func spell(s string) string {
	var b []byte
	for _, c := range s {
		if spelling := spelled[c]; spelling != "" {
			b = append(b, spelling...)
		} else {
			b = append(b, string(c)...)
		}
	}
	return string(b)
}

func quoted(content *expr) *expr { return seq(text(`"`), content, text(`"`)) }
