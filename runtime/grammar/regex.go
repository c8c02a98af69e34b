package grammar

import (
	"regexp/syntax"
	"strings"
	"unicode"
)

// A regular expression is read as Go's package regexp reads it: RE2's syntax, that of most languages without look-around (but see regex_look.go), back references and word boundaries.

// edgeMode says what an end of a part of an expression is.
type edgeMode uint8

const (
	inner  edgeMode = iota // something comes before, or behind
	whole                  // the text's: "^" or "$" change nothing there
	search                 // the text's, and anything may be there unless "^" or "$" say otherwise
)

// pattern reads a regular expression. Characters are written as char says, a set of them.
type pattern struct {
	char func(runeSet) *expr
	any  *expr // what may be around an expression that is searched for
}

var plainText = pattern{char: class, any: repeat(class(anyRune), 0, -1)}

// regex is the rule of a regular expression that a whole text must match.
func regex(source string) (*rule, error) {
	e, err := plainText.read(source, whole)
	if err != nil {
		return nil, err
	}
	return &rule{name: "regex", body: e}, nil
}

func (p *pattern) read(source string, ends edgeMode) (*expr, error) {
	looks, rest := lookAhead(source, ends == whole)
	e, err := p.parse(rest, ends)
	for _, l := range looks {
		var ahead *expr
		if err == nil {
			ahead, err = p.parse("^(?:"+l.source+")", search)
		}
		switch {
		case err != nil:
			return nil, err
		case l.wanted:
			e = both(e, ahead)
		default:
			e = but(e, ahead)
		}
	}
	return e, err
}

func (p *pattern) parse(source string, ends edgeMode) (*expr, error) {
	tree, err := syntax.Parse(codeUnits(source), syntax.Perl)
	if err != nil {
		return nil, wrong("", "the regular expression can not be read: %v", err)
	}
	e := p.part(tree, ends, ends)
	if e == nil {
		return nil, wrong("", `the regular expression %.64q has \b, \B, or ^ or $ in its middle: these are not supported`, source)
	}
	return e, nil
}

// codeUnits writes \uXXXX, which ECMAScript has and Go has not, as Go has it.
func codeUnits(source string) string {
	if !strings.Contains(source, `\u`) {
		return source
	}
	var b strings.Builder
	for i := 0; i < len(source); i++ {
		switch {
		case strings.HasPrefix(source[i:], `\u`) && len(source) >= i+6 && hexadecimal(source[i+2:i+6]):
			b.WriteString(`\x{` + source[i+2:i+6] + `}`)
			i += 5
		case source[i] == '\\' && i+1 < len(source):
			b.WriteString(source[i : i+2])
			i++
		default:
			b.WriteByte(source[i])
		}
	}
	return b.String()
}

func hexadecimal(s string) bool {
	return strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// part is the expression of a part; nil: it has what is not supported. left and right say what its ends are.
func (p *pattern) part(re *syntax.Regexp, left, right edgeMode) *expr {
	switch re.Op {
	case syntax.OpAlternate:
		return alt(p.parts(re.Sub, left, right)...).whole(len(re.Sub))
	case syntax.OpCapture:
		return p.part(re.Sub[0], left, right)
	case syntax.OpConcat:
		return p.concat(re.Sub, left, right)
	case syntax.OpBeginText, syntax.OpBeginLine:
		if left == inner {
			return nil
		}
		return p.around(empty, inner, right)
	case syntax.OpEndText, syntax.OpEndLine:
		if right == inner {
			return nil
		}
		return p.around(empty, left, inner)
	}
	e := p.plain(re)
	if e == nil {
		return nil
	}
	return p.around(e, left, right)
}

// whole is nil where subs are missing.
func (e *expr) whole(subs int) *expr {
	if len(e.subs) != subs {
		return nil
	}
	return e
}

func (p *pattern) parts(list []*syntax.Regexp, left, right edgeMode) []*expr {
	var subs []*expr
	for _, re := range list {
		if e := p.part(re, left, right); e != nil {
			subs = append(subs, e)
		}
	}
	return subs
}

// around adds what may be before and behind an expression that is searched for.
func (p *pattern) around(e *expr, left, right edgeMode) *expr {
	if left == search {
		e = seq(p.any, e)
	}
	if right == search {
		e = seq(e, p.any)
	}
	return e
}

func (p *pattern) concat(list []*syntax.Regexp, left, right edgeMode) *expr {
	for len(list) > 0 && left != inner && (list[0].Op == syntax.OpBeginText || list[0].Op == syntax.OpBeginLine) {
		list, left = list[1:], whole
	}
	for n := len(list); n > 0 && right != inner && (list[n-1].Op == syntax.OpEndText || list[n-1].Op == syntax.OpEndLine); n = len(list) {
		list, right = list[:n-1], whole
	}
	if len(list) == 0 {
		return p.around(empty, left, right)
	}
	var subs []*expr
	for i, re := range list {
		l, r := inner, inner
		if i == 0 {
			l = left
		}
		if i == len(list)-1 {
			r = right
		}
		e := p.part(re, l, r)
		if e == nil {
			return nil
		}
		subs = append(subs, e)
	}
	return seq(subs...)
}

// plain is the expression of what has no anchors.
func (p *pattern) plain(re *syntax.Regexp) *expr {
	switch re.Op {
	case syntax.OpNoMatch:
		return nothing
	case syntax.OpEmptyMatch:
		return empty
	case syntax.OpLiteral:
		var subs []*expr
		for _, c := range re.Rune {
			pairs := []rune{c, c}
			for f := unicode.SimpleFold(c); re.Flags&syntax.FoldCase != 0 && f != c; f = unicode.SimpleFold(f) {
				pairs = append(pairs, f, f)
			}
			subs = append(subs, p.char(runes(pairs...)))
		}
		return seq(subs...)
	case syntax.OpCharClass:
		return p.char(runes(re.Rune...))
	case syntax.OpAnyCharNotNL:
		return p.char(anyRune.without(runes('\n', '\n')))
	case syntax.OpAnyChar:
		return p.char(anyRune)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		sub := p.part(re.Sub[0], inner, inner)
		if sub == nil {
			return nil
		}
		bounds := map[syntax.Op][2]int{syntax.OpStar: {0, -1}, syntax.OpPlus: {1, -1}, syntax.OpQuest: {0, 1}, syntax.OpRepeat: {re.Min, re.Max}}[re.Op]
		return repeat(sub, bounds[0], bounds[1])
	}
	return nil // word boundaries
}
