package grammar

import (
	"fmt"
	"strings"

	"llmc/runtime/server/strictjson"
)

// formats are those of draft 2020-12 that a regular expression can keep to; what is written is less than what is valid.
var formats = map[string]string{
	"date":                  day,
	"time":                  clock,
	"date-time":             day + "T" + clock,
	"duration":              `P(\d{1,4}W|\d{1,4}D|\d{1,4}M(\d{1,4}D)?|\d{1,4}Y(\d{1,4}M(\d{1,4}D)?)?)|P(\d{1,4}D)?T(\d{1,4}S|\d{1,4}M(\d{1,4}S)?|\d{1,4}H(\d{1,4}M(\d{1,4}S)?)?)`,
	"email":                 `[A-Za-z0-9_+-]{1,16}(\.[A-Za-z0-9_+-]{1,15}){0,2}@` + host,
	"idn-email":             `[A-Za-z0-9_+-]{1,16}(\.[A-Za-z0-9_+-]{1,15}){0,2}@` + host,
	"hostname":              host,
	"idn-hostname":          host,
	"regex":                 `[A-Za-z0-9_ ]{1,32}([.?*+]?[A-Za-z0-9_ -]{1,16}){0,8}`,
	"json-pointer":          `(/[A-Za-z0-9_.-]{0,32}){0,16}`,
	"relative-json-pointer": `(0|[1-9][0-9]{0,2})(#|(/[A-Za-z0-9_.-]{0,32}){0,16})`,
	"iri":                   uri,
	"uri-reference":         uri + `|` + relative,
	"iri-reference":         uri + `|` + relative,
	"uri-template":          `(https?://` + host + `)?(/[A-Za-z0-9_.~-]{0,32}|/\{[A-Za-z0-9_]{1,32}\}){1,16}(\{\?[A-Za-z0-9_]{1,32}(,[A-Za-z0-9_]{1,32}){0,8}\})?`,
	"ipv4":                  octet + `(\.` + octet + `){3}`,
	"ipv6":                  `([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|([0-9a-f]{1,4}:){1,3}(:[0-9a-f]{1,4}){1,4}|::([0-9a-f]{1,4}(:[0-9a-f]{1,4}){0,6})?`,
	"uuid":                  `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`,
	"uri":                   uri,
}

const (
	uri      = `(https?|ftp)://` + host + `(:[1-9][0-9]{0,3})?` + behind
	behind   = `(/[A-Za-z0-9_.~-]{0,32}){0,16}(\?[A-Za-z0-9_.~=&-]{0,128})?(#[A-Za-z0-9_.~-]{0,32})?`
	relative = `[A-Za-z0-9_.~-]{0,32}` + behind
	day      = `(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))`
	clock    = `([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])`
	octet    = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	host     = `[a-z]([a-z0-9]{0,15}|[a-z0-9]{0,8}-[a-z0-9]{1,8})(\.[a-z]([a-z0-9]{0,15})){1,4}`
)

// stringKeywords are those that say something about strings.
var stringKeywords = []string{"minLength", "maxLength", "pattern", "!pattern", "format", "!enum"}

// stringOf is the expression of strings.
func (s *schema) stringOf(c conjunction, _ typeSet) (*expr, error) {
	if !c.has(stringKeywords...) {
		return call(s.free), nil
	}
	content, err := s.content(c)
	if err != nil {
		return nil, err
	}
	if content == anyContent {
		return call(s.free), nil
	}
	key := c.said(stringKeywords)
	if s.strings[key] == nil {
		s.strings[key] = &rule{name: "string", body: quoted(content)} // a rule of its own, whose masks other schemas find again
	}
	return call(s.strings[key]), nil
}

// said is what schemas say by some keywords that take values.
func (c conjunction) said(keywords []string) string {
	var b strings.Builder
	for _, n := range c {
		for _, k := range keywords {
			if v := n.keywords[k]; v != nil {
				fmt.Fprintf(&b, "%s:%s\n", k, v)
			}
		}
	}
	return b.String()
}

// content is the expression of what lies between the quotes.
func (s *schema) content(c conjunction) (*expr, error) {
	least, most, err := c.counts("minLength", "maxLength")
	if err != nil {
		return nil, err
	}
	var all, none []*expr
	if least > 0 || most >= 0 {
		if most >= 0 && most < least {
			return nothing, nil
		}
		all = append(all, repeat(countedChar, least, most))
	}
	for _, n := range c {
		for _, read := range []func(n *node) (*expr, error){readPattern("pattern"), readFormat} {
			e, err := read(n)
			if err != nil {
				return nil, err
			}
			if e != nil {
				all = append(all, e)
			}
		}
		e, err := readPattern("!pattern")(n)
		if err != nil {
			return nil, err
		}
		if e != nil {
			none = append(none, e)
		}
	}
	e := anyContent
	for i, other := range all {
		if e = other; i > 0 {
			e = both(all[0], other)
			all[0] = e
		}
	}
	if len(none) > 0 {
		e = but(e, alt(none...))
	}
	return c.without(e, func(v strictjson.Value) *expr {
		if value, ok := v.Text(); ok {
			return text(spell(value))
		}
		return nil
	}), nil
}

func readPattern(keyword string) func(n *node) (*expr, error) {
	return func(n *node) (*expr, error) {
		v := n.keywords[keyword]
		if v == nil {
			return nil, nil
		}
		source, ok := v.Text()
		if !ok {
			return nil, wrong(n.where, "pattern must be a string")
		}
		e, err := jsonText.read(source, search)
		if err != nil {
			return nil, wrong(n.where, "pattern: %v", err)
		}
		return e, nil
	}
}

// readFormat is the expression of a format; those that are not known say nothing, as the standard has it.
func readFormat(n *node) (*expr, error) {
	v := n.keywords["format"]
	if v == nil {
		return nil, nil
	}
	name, ok := v.Text()
	if !ok {
		return nil, wrong(n.where, "format must be a string")
	}
	source, ok := formats[name]
	if ok {
		return jsonText.read(source, whole)
	}
	for known := range formats {
		if len(name) > 3 && distance(known, strings.ToLower(name), 1) <= 1 {
			return nil, wrong(n.where, "format %.32q is not known; if it is to be %s, write it so", name, known)
		}
	}
	return nil, nil
}
