package pattern

import (
	"strconv"
	"strings"
	"unicode"
)

// maxPrinted bounds the translated pattern: classes are written out as ranges, so a pattern of many classes grows.
const maxPrinted = 4 << 20

// printer writes a node in .NET syntax. Nothing is left to that engine's idea of a class, of case or of a line.
type printer struct {
	strings.Builder
	capture bool
}

func (p *printer) node(n node) {
	switch n := n.(type) {
	case one:
		p.set(n.set)
	case sequence:
		for _, part := range n {
			p.operand(part)
		}
	case choice:
		for i, alternative := range n {
			if i > 0 {
				p.WriteByte('|')
			}
			p.node(alternative)
		}
	case repeat:
		p.repeat(n)
	case group:
		open := n.open
		if open == "(" && !p.capture {
			open = "(?:"
		}
		p.WriteString(open)
		p.node(n.body)
		p.WriteByte(')')
	case assertion:
		p.WriteString(n.text)
	}
}

// operand writes n so that what stands beside it cannot become part of it.
func (p *printer) operand(n node) {
	if _, ok := n.(choice); ok {
		n = group{"(?:", n}
	}
	p.node(n)
}

func (p *printer) repeat(n repeat) {
	if n.mode == possessive {
		p.WriteString("(?>")
		defer p.WriteByte(')')
	}
	switch n.body.(type) {
	case one, group:
		p.node(n.body)
	default:
		p.node(group{"(?:", n.body})
	}
	switch {
	case n.min == 0 && n.max == 1:
		p.WriteByte('?')
	case n.min == 0 && n.max < 0:
		p.WriteByte('*')
	case n.min == 1 && n.max < 0:
		p.WriteByte('+')
	default:
		p.WriteString("{" + strconv.Itoa(n.min))
		if n.max != n.min {
			p.WriteByte(',')
			if n.max >= 0 {
				p.WriteString(strconv.Itoa(n.max))
			}
		}
		p.WriteByte('}')
	}
	if n.mode == lazy {
		p.WriteByte('?')
	}
}

// set writes a class as its ranges. The empty class never matches.
func (p *printer) set(s set) {
	switch {
	case len(s) == 0:
		p.WriteString("(?!)")
		return
	case len(s) == 1 && s[0][0] == s[0][1]:
		p.rune(s[0][0])
		return
	case len(s) == 1 && s[0][0] == 0 && s[0][1] == unicode.MaxRune:
		p.WriteString(`[\s\S]`)
		return
	}
	p.WriteByte('[')
	for _, r := range s {
		p.rune(r[0])
		if r[1] > r[0] {
			p.WriteByte('-')
			p.rune(r[1])
		}
	}
	p.WriteByte(']')
}

// rune writes a code point that stands for itself, inside and outside of classes.
func (p *printer) rune(r rune) {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _"
	switch {
	case r < unicode.MaxASCII && strings.ContainsRune(plain, r):
		p.WriteRune(r)
	case r <= 0xffff: // surrogates, which end a range such as \x{0}-\x{dfff}, cannot be written as themselves
		h := strconv.FormatUint(uint64(r), 16)
		p.WriteString(`\u` + strings.Repeat("0", 4-len(h)) + h)
	default:
		p.WriteRune(r)
	}
}
