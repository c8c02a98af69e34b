package passes

import (
	"fmt"
	"strconv"
	"strings"

	"llmc/ir"
)

// expr is a parsed S-expression: a variable, or an op with operands and attributes.
//
//	x                            any value; twice the same name is twice the same value
//	(mul (silu g) u)             an op; operands of commutative ops match in either order
//	(rmsnorm s=(add x d) w ...)  s names the result of add
//	{eps=$e group=0}             attributes: $e binds or inserts, literals must be equal; unnamed ones have their default
//	(add_rmsnorm x d w)#1        the second result
type expr struct {
	name   string // of a variable, or given to an op's result with name=
	kind   *ir.OpInfo
	args   []*expr
	attrs  []attrExpr
	result int
}

type attrExpr struct {
	name string
	bind string // variable; else the literal is meant
	lit  any
}

// parseExpr reads one S-expression and type-checks it against the op table.
func parseExpr(text string) (*expr, error) {
	for _, punct := range []string{"(", ")", "{", "}", "=", "#"} {
		text = strings.ReplaceAll(text, punct, " "+punct+" ")
	}
	p := &exprParser{words: strings.Fields(text)}
	e, err := p.expr()
	if err != nil {
		return nil, err
	}
	if p.peek() != "" {
		return nil, fmt.Errorf("unexpected %q after the expression", p.peek())
	}
	return e, nil
}

type exprParser struct{ words []string }

func (p *exprParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *exprParser) next() string {
	w := p.peek()
	if w != "" {
		p.words = p.words[1:]
	}
	return w
}

func (p *exprParser) accept(word string) bool {
	if p.peek() != word {
		return false
	}
	p.next()
	return true
}

func (p *exprParser) expr() (*expr, error) {
	name := ""
	if p.peek() != "(" {
		name = p.next()
		if name == "" || strings.ContainsAny(name, "(){}=#$") {
			return nil, fmt.Errorf("expected a variable or an op, found %q", name)
		}
		if !p.accept("=") {
			return &expr{name: name}, nil
		}
	}
	if !p.accept("(") {
		return nil, fmt.Errorf("expected an op after %q", name+"=")
	}
	e, err := p.op()
	if err != nil {
		return nil, err
	}
	e.name = name
	if p.accept("#") {
		e.result, err = strconv.Atoi(p.next())
		if err != nil || e.result < 0 || e.result >= len(e.kind.Results) {
			return nil, fmt.Errorf("%s has no such result", e.kind.Name)
		}
	}
	return e, nil
}

func (p *exprParser) op() (*expr, error) {
	kind := p.next()
	e := &expr{kind: ir.FindOp(kind)}
	if e.kind == nil {
		return nil, fmt.Errorf("unknown op %q", kind)
	}
	for p.peek() != ")" && p.peek() != "{" && p.peek() != "" {
		arg, err := p.expr()
		if err != nil {
			return nil, err
		}
		e.args = append(e.args, arg)
	}
	if p.accept("{") {
		for !p.accept("}") {
			if err := p.attr(e); err != nil {
				return nil, err
			}
		}
	}
	if !p.accept(")") {
		return nil, fmt.Errorf("%s: expected %q, found %q", kind, ")", p.peek())
	}
	for i, a := range e.kind.Args {
		if i >= len(e.args) && !a.Optional || i < len(e.args) && len(e.args) > len(e.kind.Args) {
			return nil, fmt.Errorf("%s: wrong number of operands", kind)
		}
	}
	return e, nil
}

// attr reads name=value.
func (p *exprParser) attr(e *expr) error {
	a := attrExpr{name: p.next()}
	if !p.accept("=") {
		return fmt.Errorf("%s: expected %q after attribute %q", e.kind.Name, "=", a.name)
	}
	value := p.next()
	info := findAttr(e.kind, a.name)
	if info == nil {
		return fmt.Errorf("%s has no attribute %q", e.kind.Name, a.name)
	}
	var err error
	switch {
	case strings.HasPrefix(value, "$"):
		a.bind = value[1:]
	case info.Kind == ir.Int:
		a.lit, err = strconv.ParseInt(value, 10, 64)
	case info.Kind == ir.Float:
		a.lit, err = strconv.ParseFloat(value, 64)
	default:
		a.lit = strings.Trim(value, `"`)
	}
	e.attrs = append(e.attrs, a)
	return err
}

func findAttr(kind *ir.OpInfo, name string) *ir.AttrInfo {
	for i := range kind.Attrs {
		if kind.Attrs[i].Name == name {
			return &kind.Attrs[i]
		}
	}
	return nil
}

// variables calls visit for each name of a value ("x") or attribute ("$e") that occurs in e.
func (e *expr) variables(visit func(name string)) {
	if e.name != "" {
		visit(e.name)
	}
	for _, a := range e.attrs {
		if a.bind != "" {
			visit("$" + a.bind)
		}
	}
	for _, a := range e.args {
		a.variables(visit)
	}
}
