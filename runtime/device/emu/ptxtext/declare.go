package ptxtext

var spaces = map[string]bool{"reg": true, "shared": true, "global": true, "const": true, "local": true, "param": true}

// types lists the fundamental types and their sizes in bits (PTX ISA, "Fundamental Types" and "Packed Data Types").
var types = map[string]int{
	"b8": 8, "b16": 16, "b32": 32, "b64": 64, "b128": 128, "u8": 8, "u16": 16, "u32": 32, "u64": 64, "s8": 8, "s16": 16, "s32": 32, "s64": 64,
	"f16": 16, "f16x2": 32, "bf16": 16, "bf16x2": 32, "f32": 32, "f64": 64, "pred": 1, "e4m3x2": 16, "e5m2x2": 16, "tf32": 32,
}

// TypeBits is the size of a fundamental type, 0 for a word that is none.
func TypeBits(name string) int { return types[name] }

// variables reads the declarators of one .space directive; the current token is the space.
func (p *parser) variables(extern bool) ([]*Var, error) {
	base, err := p.variableHead(extern)
	if err != nil {
		return nil, err
	}
	var vars []*Var
	for {
		v := base
		if err := p.declarator(&v); err != nil {
			return nil, err
		}
		vars = append(vars, &v)
		if err := p.count(); err != nil {
			return nil, err
		}
		more, err := p.accept(",")
		if err != nil {
			return nil, err
		}
		if !more {
			return vars, p.expect(";")
		}
	}
}

// variableHead reads .space and the words up to the name: alignment, vector size, type, pointer attributes.
func (p *parser) variableHead(extern bool) (Var, error) {
	v := Var{Pos: p.tok.pos, Vec: 1, Extern: extern}
	if p.tok.kind != dotToken || !spaces[p.tok.text] {
		return v, p.errorf("unknown directive %s", p.found())
	}
	v.Space = p.tok.text
	if err := p.advance(); err != nil {
		return v, err
	}
	for p.tok.kind == dotToken {
		switch word := p.tok.text; {
		case word == "align":
			if err := p.advance(); err != nil {
				return v, err
			}
			n, err := p.integer("an alignment")
			if err != nil {
				return v, err
			}
			if n < 1 || n > 1<<16 || n&(n-1) != 0 {
				return v, p.errorf("alignment %d is not a power of two up to 65536", n)
			}
			if v.Type == "" || v.Space != "param" {
				v.Align = int(n)
			}
			continue
		case word == "v2":
			v.Vec = 2
		case word == "v4":
			v.Vec = 4
		case types[word] > 0:
			v.Type = word
		case word == "ptr" || spaces[word]: // attributes of pointer parameters describe what they point to
		default:
			return v, p.errorf("unknown type or attribute %s", p.found())
		}
		if err := p.advance(); err != nil {
			return v, err
		}
	}
	if v.Type == "" {
		return v, p.errorf("declaration without a type before %s", p.found())
	}
	if v.Type == "pred" && v.Space != "reg" {
		return v, p.errorf("predicates live in registers only")
	}
	return v, nil
}

func (p *parser) declarator(v *Var) error {
	v.Pos = p.tok.pos
	var err error
	if v.Name, err = p.word("a name"); err != nil {
		return err
	}
	if ok, err := p.accept("<"); err != nil {
		return err
	} else if ok {
		n, err := p.integer("a number of registers")
		if err != nil {
			return err
		}
		if v.Space != "reg" || n < 1 || n > maxRange {
			return p.errorf("bad range of %s: 1 to %d registers", v.Name, maxRange)
		}
		v.Range = int(n)
		if err := p.expect(">"); err != nil {
			return err
		}
	}
	if err := p.dimensions(v); err != nil {
		return err
	}
	if ok, err := p.accept("="); err != nil || !ok {
		return err
	}
	return p.initialiser(v, 0)
}

func (p *parser) dimensions(v *Var) error {
	total := int64(1)
	for p.at("[") {
		if err := p.advance(); err != nil {
			return err
		}
		n := int64(-1)
		if !p.at("]") {
			var err error
			if n, err = p.integer("an array size"); err != nil {
				return err
			}
			if n < 0 || n > 1<<40 {
				return p.errorf("array size %d out of range", n)
			}
			if total *= max(n, 1); total > 1<<40 {
				return p.errorf("array %s is too large", v.Name)
			}
		}
		v.Dims = append(v.Dims, n)
		if len(v.Dims) > 8 {
			return p.errorf("more than 8 dimensions")
		}
		if err := p.expect("]"); err != nil {
			return err
		}
	}
	return nil
}

// initialiser appends the elements of = {..} to v. Inner rows must be full: PTX text that needs padding inside is refused.
func (p *parser) initialiser(v *Var, depth int) error {
	if depth > 8 {
		return p.errorf("initialiser nested deeper than 8")
	}
	if !p.at("{") {
		e, err := p.initElement()
		if err != nil {
			return err
		}
		if p.inits++; p.inits > maxInit {
			return p.errorf("more than %d initialisers", maxInit)
		}
		v.Init = append(v.Init, e)
		return nil
	}
	if err := p.advance(); err != nil {
		return err
	}
	for !p.at("}") {
		if err := p.initialiser(v, depth+1); err != nil {
			return err
		}
		if more, err := p.accept(","); err != nil {
			return err
		} else if !more {
			break
		}
	}
	return p.expect("}")
}

func (p *parser) initElement() (Init, error) {
	e := Init{Pos: p.tok.pos}
	generic := p.tok.kind == wordToken && p.tok.text == "generic"
	if generic {
		if err := p.advance(); err != nil {
			return e, err
		}
		if err := p.expect("("); err != nil {
			return e, err
		}
	}
	o, err := p.scalar()
	if err != nil {
		return e, err
	}
	e.Num, e.Sym, e.Off = o.Num, o.Name, o.Off
	if generic {
		return e, p.expect(")")
	}
	return e, nil
}
