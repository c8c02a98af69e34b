package reply

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
)

// brackets looks for the end of a bracketed text that comes in pieces.
type brackets struct {
	at      int // bytes looked at
	depth   int
	quote   byte
	escaped bool
}

// closed looks at what is new of a text and returns the length of its bracketed beginning, -1 if it goes on.
func (b *brackets) closed(text string) int {
	for ; b.at < len(text); b.at++ {
		switch c := text[b.at]; {
		case b.escaped:
			b.escaped = false
		case b.quote != 0:
			b.escaped = c == '\\'
			if c == b.quote {
				b.quote = 0
			}
		case c == '"' || c == '\'':
			b.quote = c
		case c == '[' || c == '(' || c == '{':
			b.depth++
		case c == ']' || c == ')' || c == '}':
			if b.depth--; b.depth <= 0 {
				b.at++
				return b.at
			}
		}
	}
	return -1
}

// python is the state of calls as a list of Python: [f(a=1, b='x'), g()].
func (p *Parser) python() bool {
	p.object.bare = false
	if p.list.at == 0 {
		p.text = p.lead()
	}
	if p.text == "" {
		return false
	}
	length := -1
	if p.text[0] == '[' {
		if length = p.list.closed(p.text); length < 0 && !p.ended {
			return false
		}
	}
	p.list, p.state = brackets{}, (*Parser).afterList
	if length < 0 {
		length = 1
	}
	block := p.text[:length]
	p.text = p.text[length:]
	calls, ok := readPythonCalls(block)
	if !ok {
		p.state = (*Parser).content
		p.give(block)
		return true
	}
	for _, c := range calls {
		p.call(c.name)
		p.arguments(c.arguments)
	}
	return true
}

// afterList drops the marker behind a list.
func (p *Parser) afterList() bool {
	lead := p.lead()
	for _, end := range p.format.calls.ends {
		if rest, ok := strings.CutPrefix(lead, end); ok {
			p.text, p.state = rest, (*Parser).content
			return true
		}
	}
	if !p.ended && begins(p.format.calls.ends, lead) {
		return false
	}
	p.state = (*Parser).content
	return true
}

// quotes is the state of calls as Gemma 4 writes them: call:name{key:<|"|>text<|"|>,other:2}<tool_call|>.
func (p *Parser) quotes() bool {
	const end = "<tool_call|>"
	block, ok := p.until(end)
	if !ok {
		return false
	}
	p.state = (*Parser).content
	name, arguments, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(block), "call:"), "{")
	reader := literals{text: "{" + arguments, mark: `<|"|>`}
	value, read := reader.value(0)
	if !ok || !read || name == "" || callName.FindString(name) != name {
		p.give(block)
		return true
	}
	p.call(name)
	p.arguments(value)
	return true
}

type pythonCall struct{ name, arguments string }

// readPythonCalls reads a whole list of calls with keyword arguments.
func readPythonCalls(text string) (calls []pythonCall, ok bool) {
	r := literals{text: text}
	if !r.skip("[") {
		return nil, false
	}
	for !r.skip("]") {
		name := callName.FindString(r.rest())
		r.at += len(name)
		if name == "" || !r.skip("(") {
			return nil, false
		}
		arguments, ok := r.members(")", "=", 0)
		if !ok {
			return nil, false
		}
		calls = append(calls, pythonCall{name, arguments})
		if !r.skip(",") && !strings.HasPrefix(r.rest(), "]") {
			return nil, false
		}
	}
	return calls, len(calls) > 0 && r.rest() == ""
}

// literals reads values of Python, or of Gemma's own notation, and writes them as JSON.
type literals struct {
	text string
	at   int
	mark string // around strings; "": quotes
}

// deepest bounds the nesting of values.
const deepest = 64

func (r *literals) rest() string {
	for r.at < len(r.text) && unicode.IsSpace(rune(r.text[r.at])) {
		r.at++
	}
	return r.text[r.at:]
}

func (r *literals) skip(token string) bool {
	if strings.HasPrefix(r.rest(), token) {
		r.at += len(token)
		return true
	}
	return false
}

// members reads keys and values up to a closing token, as a JSON object.
func (r *literals) members(closing, between string, depth int) (string, bool) {
	inner, ok := r.several(closing, func() (string, bool) {
		key, ok := r.key()
		if !ok || !r.skip(between) {
			return "", false
		}
		value, ok := r.value(depth + 1)
		return string(quoted(key)) + ":" + value, ok
	})
	return "{" + inner + "}", ok
}

// several reads what is between commas up to a closing token; a comma may follow the last.
func (r *literals) several(closing string, one func() (string, bool)) (string, bool) {
	var out strings.Builder
	for n := 0; !r.skip(closing); n++ {
		if n > 0 {
			if !r.skip(",") {
				return "", false
			}
			if r.skip(closing) {
				break
			}
			out.WriteByte(',')
		}
		text, ok := one()
		if !ok {
			return "", false
		}
		out.WriteString(text)
	}
	return out.String(), true
}

// key reads a name or a string.
func (r *literals) key() (string, bool) {
	if text, ok := r.str(); ok {
		return text, true
	}
	name := callName.FindString(strings.SplitN(r.rest(), ":", 2)[0])
	r.at += len(name)
	return name, name != ""
}

var words = map[string]string{"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"}

func (r *literals) value(depth int) (string, bool) {
	if depth > deepest {
		return "", false
	}
	if text, ok := r.str(); ok {
		return string(quoted(text)), true
	}
	switch {
	case r.skip("{"):
		return r.members("}", ":", depth)
	case r.skip("["):
		return r.list("]", depth)
	case r.skip("("):
		return r.list(")", depth)
	}
	text := r.rest()
	length := strings.IndexAny(text, ",)]} \t\r\n:")
	if length < 0 {
		length = len(text)
	}
	text = text[:length]
	if word, ok := words[text]; ok {
		r.at += length
		return word, true
	}
	if !json.Valid([]byte(text)) || text == "" {
		number, err := strconv.ParseFloat(text, 64)
		if err != nil || number-number != 0 {
			return "", false
		}
		text = strconv.FormatFloat(number, 'g', -1, 64)
	}
	r.at += length
	return text, true
}

func (r *literals) list(closing string, depth int) (string, bool) {
	inner, ok := r.several(closing, func() (string, bool) { return r.value(depth + 1) })
	return "[" + inner + "]", ok
}

// escapes are those of Python's strings that are one character.
var escapes = map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': "\"", '\n': ""}

// str reads a string; false leaves the place.
func (r *literals) str() (string, bool) {
	text := r.rest()
	if r.mark != "" {
		inner, ok := strings.CutPrefix(text, r.mark)
		value, _, closed := strings.Cut(inner, r.mark)
		if !ok || !closed {
			return "", false
		}
		r.at += 2*len(r.mark) + len(value)
		return value, true
	}
	if text == "" || text[0] != '"' && text[0] != '\'' {
		return "", false
	}
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == text[0]:
			r.at += i + 1
			return out.String(), true
		case c == '\\' && i+1 < len(text):
			i++
			if plain, ok := escapes[text[i]]; ok {
				out.WriteString(plain)
			} else if n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[i]]; n > 0 && i+n < len(text) {
				code, err := strconv.ParseUint(text[i+1:i+1+n], 16, 32)
				if err != nil {
					return "", false
				}
				out.WriteRune(rune(code))
				i += n
			} else {
				out.WriteString(text[i-1 : i+1])
			}
		default:
			out.WriteByte(c)
		}
	}
	return "", false
}
