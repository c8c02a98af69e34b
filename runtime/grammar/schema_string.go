package grammar

// formats are those of draft 2020-12 that a regular expression can keep to; what is written is less than what is valid.
var formats = map[string]string{
	"date":      day,
	"time":      clock,
	"date-time": day + "T" + clock,
	"duration":  `P(\d{1,4}W|\d{1,4}D|\d{1,4}M(\d{1,4}D)?|\d{1,4}Y(\d{1,4}M(\d{1,4}D)?)?)|P(\d{1,4}D)?T(\d{1,4}S|\d{1,4}M(\d{1,4}S)?|\d{1,4}H(\d{1,4}M(\d{1,4}S)?)?)`,
	"email":     `[A-Za-z0-9_+-]{1,16}(\.[A-Za-z0-9_+-]{1,15}){0,2}@` + host,
	"idn-email": `[A-Za-z0-9_+-]{1,16}(\.[A-Za-z0-9_+-]{1,15}){0,2}@` + host,
	"hostname":  host,
	"ipv4":      octet + `(\.` + octet + `){3}`,
	"ipv6":      `([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|([0-9a-f]{1,4}:){1,3}(:[0-9a-f]{1,4}){1,4}|::([0-9a-f]{1,4}(:[0-9a-f]{1,4}){0,6})?`,
	"uuid":      `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`,
	"uri":       `(https?|ftp)://` + host + `(:[1-9][0-9]{0,3})?(/[A-Za-z0-9_.~-]{0,32}){0,16}(\?[A-Za-z0-9_.~=&-]{0,128})?(#[A-Za-z0-9_.~-]{0,32})?`,
}

const (
	day   = `[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))`
	clock = `([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])`
	octet = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	host  = `[a-z]([a-z0-9]{0,15}|[a-z0-9]{0,8}-[a-z0-9]{1,8})(\.[a-z]([a-z0-9]{0,15})){1,4}`
)

// stringOf is the expression of strings.
func (s *schema) stringOf(c conjunction, _ typeSet) (*expr, error) {
	if !c.has(keywordsOf[typeString]...) {
		return call(s.free), nil
	}
	content, err := s.content(c)
	if err != nil {
		return nil, err
	}
	return call(&rule{name: "string", body: quoted(content)}), nil // a rule of its own, whose masks other schemas find again
}

// content is the expression of what lies between the quotes.
func (s *schema) content(c conjunction) (*expr, error) {
	least, most, err := c.counts("minLength", "maxLength")
	if err != nil {
		return nil, err
	}
	var all []*expr
	if least > 0 || most >= 0 {
		if most >= 0 && most < least {
			return nothing, nil
		}
		all = append(all, repeat(anyJSONChar, least, most))
	}
	for _, n := range c {
		for _, read := range []func(n *node) (*expr, error){readPattern, readFormat} {
			e, err := read(n)
			if err != nil {
				return nil, err
			}
			if e != nil {
				all = append(all, e)
			}
		}
	}
	if len(all) == 0 {
		return anyContent, nil
	}
	e := all[0]
	for _, other := range all[1:] {
		e = both(e, other)
	}
	return e, nil
}

func readPattern(n *node) (*expr, error) {
	v := n.keywords["pattern"]
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

func readFormat(n *node) (*expr, error) {
	v := n.keywords["format"]
	if v == nil {
		return nil, nil
	}
	name, _ := v.Text()
	source, ok := formats[name]
	if !ok {
		return nil, wrong(n.where, "format %.32s is not supported in constrained output", v)
	}
	return jsonText.read(source, whole)
}
