package grammar

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Grammars are read in two notations, which vLLM's users send. GBNF, llama.cpp's:
//
//	root ::= "yes" | number          # the rule "root" is what outputs are
//	number ::= [0-9]+ ("." [0-9]{1,3})?
//
// and a part of Lark's:
//
//	start: "yes" | NUMBER            // the rule "start" is what outputs are
//	NUMBER: /[0-9]+/ ("." /[0-9]/~1..3)?
//
// of which %ignore, %import, priorities, templates and aliases are refused. A grammar that has "::=" is GBNF.

// ebnf reads a grammar.
type ebnf struct {
	source string
	at     int
	lark   bool
	rules  map[string]*rule
	first  map[string]int // where a rule is asked for first, by name
	depth  int
}

// grammarRules returns the rule that outputs are.
func grammarRules(source string) (*rule, error) {
	p := &ebnf{source: source, lark: !strings.Contains(source, "::="), rules: map[string]*rule{}, first: map[string]int{}}
	root := "root"
	if p.lark {
		root = "start"
	}
	if err := p.read(); err != nil {
		return nil, err
	}
	for name, r := range p.rules {
		if r.body == nil {
			return nil, wrong(p.place(p.first[name]), "rule %.64q is not defined", name)
		}
	}
	r := p.rules[root]
	if r == nil {
		return nil, wrong("", "there is no rule %q, which says what outputs are", root)
	}
	return r, nil
}

func (p *ebnf) place(at int) string { return "at byte " + strconv.Itoa(at) }

func (p *ebnf) wrong(format string, args ...any) error { return wrong(p.place(p.at), format, args...) }

// named returns a rule, defined or not.
func (p *ebnf) named(name string) *rule {
	r := p.rules[name]
	if r == nil {
		r = &rule{name: name}
		p.rules[name], p.first[name] = r, p.at
	}
	return r
}

func (p *ebnf) read() error {
	for p.space(true); p.at < len(p.source); p.space(true) {
		if p.lark && p.source[p.at] == '%' {
			return p.wrong("%.16q: Lark's directives are not supported; write the rules out", p.word(1))
		}
		p.take("?") // Lark's: about trees
		p.take("!")
		name := p.name()
		if name == "" {
			return p.wrong("a rule must begin here, with a name")
		}
		p.space(false)
		if sign := map[bool]string{false: "::=", true: ":"}[p.lark]; !p.take(sign) {
			return p.wrong("%q must follow the name %.64q", sign, name)
		}
		r := p.named(name)
		if r.body != nil {
			return p.wrong("rule %.64q is defined twice", name)
		}
		if len(p.rules) > maxRules {
			return p.wrong("more than %d rules", maxRules)
		}
		body, err := p.alternatives()
		if err != nil {
			return err
		}
		r.body = body
		if p.at < len(p.source) && p.source[p.at] != '\n' {
			return p.wrong("%.16q is not expected here", p.word(1))
		}
	}
	return nil
}

// word is the next bytes, for messages.
func (p *ebnf) word(least int) string {
	rest := p.source[p.at:]
	if i := strings.IndexFunc(rest, unicode.IsSpace); i >= least {
		rest = rest[:i]
	}
	return rest
}

// space goes past blanks and comments; across lines where a rule can not end there.
func (p *ebnf) space(lines bool) {
	for p.at < len(p.source) {
		c := p.source[p.at]
		comment := c == '#' && !p.lark || strings.HasPrefix(p.source[p.at:], "//") && p.lark
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' && lines:
			p.at++
		case comment:
			if i := strings.IndexByte(p.source[p.at:], '\n'); i >= 0 {
				p.at += i
			} else {
				p.at = len(p.source)
			}
		default:
			return
		}
	}
}

func (p *ebnf) take(s string) bool {
	if strings.HasPrefix(p.source[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

func (p *ebnf) name() string {
	start := p.at
	for p.at < len(p.source) {
		c := p.source[p.at]
		if c >= utf8.RuneSelf || c != '_' && (c != '-' || p.lark) && !unicode.IsLetter(rune(c)) && !unicode.IsDigit(rune(c)) {
			break
		}
		p.at++
	}
	return p.source[start:p.at]
}

// alternatives reads up to what can not belong to them. A line that begins with "|" goes on with the one before.
func (p *ebnf) alternatives() (*expr, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, p.wrong("groups are nested deeper than %d", maxNesting)
	}
	defer func() { p.depth-- }()
	var subs []*expr
	for {
		s, err := p.sequence()
		if err != nil {
			return nil, err
		}
		subs = append(subs, s)
		before := p.at
		if p.space(true); !p.take("|") {
			if p.depth == 1 { // a group goes on across lines
				p.at = before
			}
			return alt(subs...), nil
		}
	}
}

func (p *ebnf) sequence() (*expr, error) {
	var subs []*expr
	for first := true; ; first = false {
		p.space(first || p.depth > 1)
		if p.at == len(p.source) || strings.IndexByte("\n|)]", p.source[p.at]) >= 0 || first && p.begins() {
			return seq(subs...), nil
		}
		e, err := p.item()
		if err == nil {
			e, err = p.counted(e)
		}
		if err != nil {
			return nil, err
		}
		subs = append(subs, e)
	}
}

// begins tells whether the next rule begins here: an empty alternative at the end of a rule.
func (p *ebnf) begins() bool {
	before := p.at
	defer func() { p.at = before }()
	if p.name() == "" || p.depth > 1 {
		return false
	}
	p.space(false)
	return p.take("::=") || p.lark && p.take(":")
}

func (p *ebnf) item() (*expr, error) {
	c := p.source[p.at]
	switch {
	case c == '"':
		return p.literal()
	case c == '(' || c == '[' && p.lark:
		return p.group(c)
	case c == '[':
		return p.characters()
	case c == '/' && p.lark:
		return p.regex()
	case c == '.' && !p.lark:
		p.at++
		return class(anyRune), nil
	}
	name := p.name()
	if name == "" {
		return nil, p.wrong("%.16q is not expected here", p.word(1))
	}
	if p.lark && p.at < len(p.source) && strings.IndexByte("{.", p.source[p.at]) >= 0 {
		return nil, p.wrong("templates and priorities are not supported")
	}
	return call(p.named(name)), nil
}

func (p *ebnf) group(open byte) (*expr, error) {
	p.at++
	e, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	closing := map[byte]string{'(': ")", '[': "]"}[open]
	if p.space(true); !p.take(closing) {
		return nil, p.wrong("%q is missing", closing)
	}
	if open == '[' {
		e = optional(e)
	}
	return e, nil
}

// counted reads what may follow an item: how often it comes.
func (p *ebnf) counted(e *expr) (*expr, error) {
	for p.at < len(p.source) {
		c := p.source[p.at]
		switch {
		case c == '*':
			e = repeat(e, 0, -1)
		case c == '+':
			e = repeat(e, 1, -1)
		case c == '?':
			e = optional(e)
		case c == '{' && !p.lark:
			end := strings.IndexByte(p.source[p.at:], '}')
			if end < 0 {
				return nil, p.wrong(`"}" is missing`)
			}
			min, max, ok := bounds(p.source[p.at+1:p.at+end], ",")
			if !ok {
				return nil, p.wrong("%.32q is no count of repetitions, such as {2} or {2,5}; there may be at most %d", p.source[p.at:p.at+end+1], maxRepeat)
			}
			p.at += end
			e = repeat(e, min, max)
		case c == '~' && p.lark:
			count := strings.TrimLeft(p.source[p.at+1:], "0123456789.")
			digits := p.source[p.at+1 : len(p.source)-len(count)]
			min, max, ok := bounds(digits, "..")
			if !ok || max < 0 {
				return nil, p.wrong("%.32q is no count of repetitions, such as ~2 or ~2..5; there may be at most %d", "~"+digits, maxRepeat)
			}
			p.at += len(digits)
			e = repeat(e, min, max)
		default:
			return e, nil
		}
		p.at++
	}
	return e, nil
}

// bounds reads "2", "2,5" and "2,".
func bounds(s, sign string) (min, max int, ok bool) {
	low, high, two := strings.Cut(strings.TrimSpace(s), sign)
	min, err := strconv.Atoi(strings.TrimSpace(low))
	if err != nil && !(two && low == "") || min < 0 || min > maxRepeat {
		return 0, 0, false
	}
	switch high = strings.TrimSpace(high); {
	case !two:
		return min, min, true
	case high == "":
		return min, -1, true
	}
	max, err = strconv.Atoi(high)
	return min, max, err == nil && max >= min && max <= maxRepeat
}
