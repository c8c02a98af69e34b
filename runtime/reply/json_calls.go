package reply

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Keys of the objects that calls are written as.
var (
	nameKeys     = map[string]bool{"name": true, "tool_name": true}
	argumentKeys = map[string]bool{"arguments": true, "parameters": true}
)

// longestName bounds names that stand before the object of their arguments.
const longestName = 256

// jsonCalls is the state between the objects of calls: lists of them, or one after the other, or a name before each object of arguments.
func (p *Parser) jsonCalls() bool {
	if p.object.open() || p.object.bare {
		return p.objectText()
	}
	f := p.format.calls
	lead := p.lead()
	if lead == "" {
		return false
	}
	for _, end := range f.ends {
		if rest, ok := strings.CutPrefix(lead, end); ok && p.object.before == "" {
			p.text, p.state = rest, (*Parser).content
			return true
		}
	}
	for _, noise := range f.noise {
		if rest, ok := strings.CutPrefix(lead, noise); ok {
			p.text = rest
			return true
		}
	}
	if !p.ended && (begins(f.ends, lead) || begins(f.noise, lead)) {
		return false
	}
	switch b := lead[0]; {
	case b == '{':
		p.text = lead
		p.object = object{before: p.object.before}
		p.since.Reset()
		return p.objectText()
	case p.object.before == "" && (b == '[' || b == ',' || b == ']'):
		p.text = lead[1:]
		return true
	}
	return p.nameBefore(lead)
}

// begins tells whether one of markers begins with all of a text.
func begins(markers []string, text string) bool {
	for _, m := range markers {
		if strings.HasPrefix(m, text) {
			return true
		}
	}
	return false
}

var (
	callName = regexp.MustCompile(`^[A-Za-z_][\w.:/-]*`)
	numbered = regexp.MustCompile(`^functions\.(.+?)(:\d+)?$`)
)

// nameBefore reads the name that stands before an object; what is none is content.
func (p *Parser) nameBefore(lead string) bool {
	name := callName.FindString(lead)
	if len(name) > longestName {
		name = ""
	}
	if p.object.before == "" && len(name) == len(lead) && !p.ended {
		return false
	}
	after := strings.TrimLeftFunc(lead[len(name):], unicode.IsSpace)
	follows := func() bool {
		at, noise := first(after, p.format.calls.noise)
		return strings.HasPrefix(after, "{") || at == 0 && noise != "" || !p.ended && (after == "" || begins(p.format.calls.noise, after))
	}
	if name == "" || p.object.before != "" || !follows() {
		p.text = p.object.spelled + p.text
		p.object, p.state = object{}, (*Parser).content
		lead := strings.TrimLeftFunc(p.text, unicode.IsSpace)
		_, size := utf8.DecodeRuneInString(lead)
		cut := len(p.text) - len(lead) + size // so that it is not taken for the same again
		p.give(p.text[:cut])
		p.text = p.text[cut:]
		return true
	}
	spaces := len(p.text) - len(lead)
	p.object.spelled, p.text = p.text[:spaces+len(name)], lead[len(name):]
	if m := numbered.FindStringSubmatch(name); m != nil {
		name = m[1]
	}
	p.object.before = name
	return true
}

// object is a call in JSON that is being read: an object with a name and arguments, or that of the arguments alone.
type object struct {
	before  string // the name that stood before it: the object is the arguments
	spelled string // as it was written, with the white space before it
	bare    bool   // it may be no call at all, and has not begun

	depth             int
	inString, escaped bool
	inValue           bool   // of a key of the object itself
	key               string // of that value
	raw               []byte // of the key or value
	named             bool
	passing           bool   // bytes are arguments, and handed on
	given             bool   // arguments have been given
	early             string // arguments that came before the name
}

// open tells whether the object has begun and not ended.
func (o *object) open() bool { return o.depth > 0 }

// objectText reads more of an object.
func (p *Parser) objectText() bool {
	o := &p.object
	o.bare = false
	if !o.named && o.before != "" {
		o.named = true
		p.call(o.before)
	}
	from := 0 // of the arguments in this text
	for i := 0; i < len(p.text); i++ {
		wasPassing := o.passing
		p.step(p.text[i])
		switch {
		case o.passing && !wasPassing:
			from = i
		case !o.passing && wasPassing:
			p.arguments(p.text[from : i+1])
			o.given = true
		}
		if o.depth == 0 {
			rest := p.text[i+1:]
			p.finishObject(p.since.String() + p.text[:i+1])
			p.text = rest
			return true
		}
	}
	if o.passing {
		p.arguments(p.text[from:])
	}
	if !o.named {
		p.since.WriteString(p.text)
	}
	p.text = ""
	return false
}

// step takes one byte of an object.
func (p *Parser) step(b byte) {
	o := &p.object
	switch {
	case o.escaped:
		o.escaped = false
	case o.inString:
		o.escaped, o.inString = b == '\\', b != '"'
	case b == '"':
		o.inString = true
	case b == '{' || b == '[':
		o.depth++
		if o.depth == 1 {
			o.passing = o.before != ""
			return
		}
		o.passing = o.passing || o.depth == 2 && b == '{' && o.inValue && o.named && argumentKeys[o.key] && len(strings.TrimSpace(string(o.raw))) == 0
	case b == '}' || b == ']':
		o.depth--
		if o.depth == 0 {
			o.passing = false
			p.member()
			return
		}
		if o.depth == 1 && o.passing && o.before == "" {
			o.passing = false
			return
		}
	case b == ':' && o.depth == 1 && !o.inValue:
		var key string
		_ = json.Unmarshal(o.raw, &key) // what is no string is no key of a call
		o.key, o.inValue, o.raw = key, true, o.raw[:0]
		return
	case b == ',' && o.depth == 1:
		p.member()
		return
	}
	if !o.passing {
		o.raw = append(o.raw, b)
	}
}

// member is called at the end of each member of the object.
func (p *Parser) member() {
	o := &p.object
	value := strings.TrimSpace(string(o.raw))
	o.inValue, o.raw = false, o.raw[:0]
	switch {
	case o.before != "":
	case nameKeys[o.key]:
		var name string
		if json.Unmarshal([]byte(value), &name) == nil && name != "" && !o.named {
			o.named = true
			p.call(name)
		}
	case argumentKeys[o.key] && value != "" && value != "null":
		var text string
		if json.Unmarshal([]byte(value), &text) == nil { // an object in a string
			value = text
		}
		if o.named && !o.given {
			p.arguments(value)
			o.given = true
		} else {
			o.early = value
		}
	}
	o.key = ""
}

// finishObject ends an object, of which text is all that there is. What had no name is content.
func (p *Parser) finishObject(text string) {
	o := &p.object
	closed := o.depth == 0
	switch {
	case !o.named:
		p.state = (*Parser).content
		p.give(text)
	case !o.given && closed && o.before == "":
		if o.early == "" {
			o.early = "{}"
		}
		p.arguments(o.early)
	}
	*o = object{}
	p.since.Reset()
}
