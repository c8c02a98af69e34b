package template

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// str is Python's str(v), the text that a template prints.
func (st *state) str(v Value) (string, error) {
	switch v := v.(type) {
	case strValue:
		return string(v), nil
	case markupValue:
		return string(v), nil
	case *undefinedValue:
		return "", nil
	}
	return st.repr(v)
}

// repr is Python's repr(v).
func (st *state) repr(v Value) (string, error) {
	p := printer{st: st}
	if err := p.repr(v); err != nil {
		return "", err
	}
	return string(p.text), nil
}

// quickRepr is repr for messages: long values are left out by a small budget, and so are those that would have to be
// evaluated first, for which the state has no environment.
func quickRepr(v Value) string {
	st := &state{meter: newMeter(Limits{Steps: 1000, Memory: 1 << 16, Depth: 20})}
	s, err := st.repr(v)
	if err != nil {
		return "<" + v.typeName() + ">"
	}
	return s
}

// printer writes representations of nested values.
type printer struct {
	st         *state
	text       []byte
	open       []Value // containers being printed, outermost first
	namespaces int     // among them; without one, nothing can contain itself
}

// contains tells whether v is being printed already.
func (p *printer) contains(v Value) bool {
	if p.namespaces == 0 {
		return false
	}
	p.st.steps -= int64(len(p.open) / itemsAStep)
	return slices.Contains(p.open, v)
}

func (p *printer) write(s string) error {
	if len(p.text)+len(s) > p.st.limits.Output {
		return &LimitError{"output", int64(p.st.limits.Output)}
	}
	if err := p.st.text(len(s)); err != nil {
		return err
	}
	p.text = append(p.text, s...)
	return nil
}

func (p *printer) repr(v Value) error {
	if err := p.st.enter(1); err != nil {
		return err
	}
	defer p.st.leave(1)
	switch v := v.(type) {
	case noneValue:
		return p.write("None")
	case boolValue:
		if v {
			return p.write("True")
		}
		return p.write("False")
	case intValue:
		return p.write(strconv.FormatInt(int64(v), 10))
	case bigValue:
		s, err := bigText(v)
		if err != nil {
			return err
		}
		return p.write(s)
	case floatValue:
		return p.write(floatRepr(float64(v)))
	case strValue:
		return p.write(quote(string(v)))
	case markupValue:
		return p.write("Markup(" + quote(string(v)) + ")")
	case *listValue, *tupleValue, *dictValue, *dictView, *namespaceValue:
		return p.container(v)
	}
	s, err := p.st.describe(v)
	if err != nil {
		return err
	}
	return p.write(s)
}

// container prints what holds other values, and dots inside of itself.
func (p *printer) container(v Value) error {
	again := p.contains(v)
	p.open = append(p.open, v)
	defer func() { p.open = p.open[:len(p.open)-1] }()
	switch v := v.(type) {
	case *listValue:
		if again {
			return p.write("[...]")
		}
		return p.sequence("[", "]", v.items)
	case *tupleValue:
		switch {
		case again:
			return p.write("(...)")
		case len(v.items) == 1:
			return p.sequence("(", ",)", v.items)
		}
		return p.sequence("(", ")", v.items)
	case *dictValue:
		if again {
			return p.write("{...}")
		}
		return p.dict(v)
	case *dictView:
		if again {
			return p.write("...")
		}
		return p.view(v)
	}
	if again {
		return p.write("<Namespace {...}>")
	}
	p.namespaces++
	defer func() { p.namespaces-- }()
	return p.namespace(v.(*namespaceValue))
}

// describe prints the values that have no literal form. Python shows addresses for most of them; they all read 0x0 here.
func (st *state) describe(v Value) (string, error) {
	switch v := v.(type) {
	case *undefinedValue:
		return "Undefined", nil
	case *rangeValue:
		s := "range(" + strconv.FormatInt(v.start, 10) + ", " + strconv.FormatInt(v.stop, 10)
		if v.step != 1 {
			s += ", " + strconv.FormatInt(v.step, 10)
		}
		return s + ")", nil
	case *templateRef:
		return "<TemplateReference None>", nil
	case *boundMethod:
		if v.self == nil {
			return "<function " + v.fn.name + " at 0x0>", nil
		}
		return "<built-in method " + v.fn.name + " of " + v.self.typeName() + " object at 0x0>", nil
	case *macroValue:
		if v.def.name == "" {
			return "<Macro anonymous>", nil
		}
		return "<Macro " + quote(v.def.name) + ">", nil
	case *loopValue:
		if st.env == nil {
			return "<LoopContext>", nil
		}
		n, err := v.length(st)
		return "<LoopContext " + strconv.Itoa(v.index0+1) + "/" + strconv.Itoa(n) + ">", err
	}
	return "<" + v.typeName() + " object at 0x0>", nil
}

func (p *printer) sequence(open, end string, items []Value) error {
	if err := p.write(open); err != nil {
		return err
	}
	for i, item := range items {
		if i > 0 {
			if err := p.write(", "); err != nil {
				return err
			}
		}
		if err := p.repr(item); err != nil {
			return err
		}
	}
	return p.write(end)
}

func (p *printer) dict(d *dictValue) error {
	if err := p.write("{"); err != nil {
		return err
	}
	for i, e := range d.entries {
		if i > 0 {
			if err := p.write(", "); err != nil {
				return err
			}
		}
		if err := p.repr(e.key); err != nil {
			return err
		}
		if err := p.write(": "); err != nil {
			return err
		}
		if err := p.repr(e.value); err != nil {
			return err
		}
	}
	return p.write("}")
}

func (p *printer) view(v *dictView) error {
	if err := p.st.items(len(v.dict.entries)); err != nil {
		return err
	}
	items := make([]Value, len(v.dict.entries))
	for i := range items {
		items[i] = v.at(i)
	}
	return p.sequence(v.typeName()+"([", "])", items)
}

func (p *printer) namespace(ns *namespaceValue) error {
	if err := p.write("<Namespace "); err != nil {
		return err
	}
	if err := p.dict(ns.attrs); err != nil {
		return err
	}
	return p.write(">")
}

// bigText converts an integer to decimal within Python's limit of digits.
func bigText(v bigValue) (string, error) {
	s := v.String()
	if len(strings.TrimPrefix(s, "-")) > maxIntText {
		return "", fail(ValueError, "Exceeds the limit (%d digits) for integer string conversion", maxIntText)
	}
	return s, nil
}

// floatRepr is Python's repr(float): the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
func floatRepr(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64) // Go too writes at least two digits of exponent
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

const hexDigits = "0123456789abcdef"

// quote is Python's repr(str): single quotes unless only those occur inside, escapes for what is not printable.
func quote(s string) string {
	q := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	b := make([]byte, 0, len(s)+2)
	b = append(b, q)
	for _, r := range s {
		switch {
		case r == rune(q) || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case unicode.IsPrint(r):
			b = append(b, string(r)...)
		default:
			b = appendEscape(b, r)
		}
	}
	return string(append(b, q))
}

// appendEscape writes \xhh, \uhhhh or \Uhhhhhhhh.
func appendEscape(b []byte, r rune) []byte {
	letter, width := byte('x'), 2
	switch {
	case r > 0xFFFF:
		letter, width = 'U', 8
	case r > 0xFF:
		letter, width = 'u', 4
	}
	b = append(b, '\\', letter)
	for shift := 4 * (width - 1); shift >= 0; shift -= 4 {
		b = append(b, hexDigits[r>>shift&15])
	}
	return b
}
