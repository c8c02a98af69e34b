package ptxtext

import "slices"

func (p *parser) instruction(in *Inst) (*Inst, error) {
	var err error
	in.Pos = p.tok.pos
	if in.Op, err = p.word("an opcode"); err != nil {
		return nil, err
	}
	p.mods = p.mods[:0]
	for p.tok.kind == dotToken {
		if p.mods = append(p.mods, p.tok.text); len(p.mods) > 32 {
			return nil, p.errorf("more than 32 modifiers")
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	in.Mods = slices.Clone(p.mods)
	if ok, err := p.accept(";"); ok || err != nil {
		return in, err
	}
	in.Args, err = p.operands(";", 0)
	return in, err
}

// operands reads a list up to and with the closing sign.
func (p *parser) operands(end string, depth int) ([]Operand, error) {
	if depth > 4 {
		return nil, p.errorf("operands nested deeper than 4")
	}
	first := len(p.args)
	defer func() { p.args = p.args[:first] }()
	for {
		o, err := p.operand(depth)
		if err != nil {
			return nil, err
		}
		if p.args = append(p.args, o); len(p.args)-first > maxOperands {
			return nil, p.errorf("more than %d operands", maxOperands)
		}
		more, err := p.accept(",")
		if err != nil {
			return nil, err
		}
		if !more {
			return slices.Clone(p.args[first:]), p.expect(end)
		}
	}
}

func (p *parser) operand(depth int) (Operand, error) {
	pos := p.tok.pos
	o := Operand{Pos: pos}
	var err error
	switch {
	case p.at("{"):
		o.Kind = VectorOperand
		if err = p.advance(); err == nil {
			o.List, err = p.operands("}", depth+1)
		}
	case p.at("("):
		o.Kind = ListOperand
		if err = p.advance(); err != nil {
			return o, err
		}
		if p.at(")") {
			return o, p.advance()
		}
		o.List, err = p.operands(")", depth+1)
	case p.at("["):
		return p.address(depth)
	case p.at("!"):
		if err = p.advance(); err != nil {
			return o, err
		}
		o, err = p.scalar()
		o.Not, o.Pos = true, pos
	default:
		o, err = p.scalar()
	}
	if err != nil || !p.at("|") {
		return o, err
	}
	if err = p.advance(); err != nil {
		return o, err
	}
	o.Alt, err = p.word("a predicate")
	return o, err
}

// address reads [base], [base+off], [number] and the bracketed pairs of tensor copies, whose rest goes to List.
func (p *parser) address(depth int) (Operand, error) {
	pos := p.tok.pos
	if err := p.advance(); err != nil {
		return Operand{}, err
	}
	o, err := p.scalar()
	if err != nil {
		return o, err
	}
	if o.Kind == NumberOperand {
		if o.Num.Float {
			return o, &Error{pos, "an address cannot be a float"}
		}
		o.Off = int64(o.Num.Bits)
	}
	o.Kind, o.Pos = AddressOperand, pos
	if more, err := p.accept(","); err != nil {
		return o, err
	} else if more {
		o.List, err = p.operands("]", depth+1)
		return o, err
	}
	return o, p.expect("]")
}

// scalar reads a name with an optional component and offset, or a sum of numbers.
func (p *parser) scalar() (Operand, error) {
	o := Operand{Pos: p.tok.pos}
	if p.tok.kind == wordToken {
		o.Name = p.tok.text
		if err := p.advance(); err != nil {
			return o, err
		}
		if o.Name == "_" {
			o.Kind = SinkOperand
			return o, nil
		}
		if p.tok.kind == dotToken && p.tok.glued {
			o.Part = p.tok.text
			if err := p.advance(); err != nil {
				return o, err
			}
		}
		off, err := p.sum(0)
		o.Off = off
		return o, err
	}
	o.Kind = NumberOperand
	n, err := p.signedNumber()
	if err != nil {
		return o, err
	}
	if !n.Float {
		v, err := p.sum(int64(n.Bits))
		o.Num = Number{Bits: uint64(v)}
		return o, err
	}
	o.Num = n
	return o, nil
}

func (p *parser) signedNumber() (Number, error) {
	sign := ""
	if p.at("-") || p.at("~") || p.at("+") {
		sign = p.tok.text
		if err := p.advance(); err != nil {
			return Number{}, err
		}
	}
	if p.tok.kind != numberToken {
		return Number{}, p.errorf("expected an operand, found %s", p.found())
	}
	n, err := parseNumber(p.tok)
	if err != nil {
		return n, err
	}
	switch {
	case sign == "-":
		n = n.Negated()
	case sign == "~" && n.Float:
		return n, p.errorf("~ needs an integer")
	case sign == "~":
		n.Bits = ^n.Bits
	}
	return n, p.advance()
}

// sum adds the + and - terms, each a product of numbers, that follow a name or number.
func (p *parser) sum(v int64) (int64, error) {
	for p.at("+") || p.at("-") {
		minus := p.at("-")
		if err := p.advance(); err != nil {
			return v, err
		}
		term, err := p.integer("a number")
		if err != nil {
			return v, err
		}
		for p.at("*") {
			if err := p.advance(); err != nil {
				return v, err
			}
			factor, err := p.integer("a number")
			if err != nil {
				return v, err
			}
			term *= factor
		}
		if minus {
			term = -term
		}
		v += term
	}
	return v, nil
}
