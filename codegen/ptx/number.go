package ptx

import "strings"

// numberRules say what is known of results modulo powers of two, by the first word of the mnemonic (with .lo or .wide).
var numberRules = map[string]func(v []congruence) congruence{
	"mov":      func(v []congruence) congruence { return v[0] },
	"cvta":     func(v []congruence) congruence { return v[0] },
	"cvt":      func(v []congruence) congruence { return v[0] },
	"add":      func(v []congruence) congruence { return v[0].add(v[1]) },
	"sub":      func(v []congruence) congruence { return v[0].add(v[1].negate()) },
	"mul.lo":   func(v []congruence) congruence { return v[0].times(v[1]) },
	"mul.wide": func(v []congruence) congruence { return v[0].times(v[1]) },
	"mad.lo":   func(v []congruence) congruence { return v[0].times(v[1]).add(v[2]) },
	"mad.wide": func(v []congruence) congruence { return v[0].times(v[1]).add(v[2]) },
	"shl":      func(v []congruence) congruence { return v[0].times(v[1].power()) },
	"selp":     func(v []congruence) congruence { return v[0].meet(v[1]) },
	"and":      func(v []congruence) congruence { return v[0].mask(v[1]) },
	"xor":      func(v []congruence) congruence { return v[0].merge(v[1], func(x, y int64) int64 { return x ^ y }) },
	"or":       func(v []congruence) congruence { return v[0].merge(v[1], func(x, y int64) int64 { return x | y }) },
}

// power is 2 to the value, if that is known.
func (c congruence) power() congruence {
	switch {
	case c.modulus == 0:
		return c
	case c.modulus < exactModulus:
		return anyNumber
	case c.residue > 20:
		return exactly(0)
	}
	return exactly(1 << c.residue)
}

// merge applies a bitwise function to the low bits that both know.
func (c congruence) merge(d congruence, f func(x, y int64) int64) congruence {
	if c.modulus == 0 || d.modulus == 0 {
		return congruence{}
	}
	m := min(c.modulus, d.modulus)
	return congruence{m, f(c.residue, d.residue)}.reduce(m)
}

// mask knows more than merge: zeros of a constant mask are zeros of the result.
func (c congruence) mask(d congruence) congruence {
	if c.modulus == 0 || d.modulus == 0 {
		return congruence{}
	}
	if d.modulus != exactModulus {
		c, d = d, c
	}
	if d.modulus != exactModulus {
		return c.merge(d, func(x, y int64) int64 { return x & y })
	}
	m := max(c.modulus, lowestBit(d.residue, exactModulus))
	return congruence{m, c.residue & d.residue}.reduce(m)
}

// number is what is known of the result of an instruction.
func (a *analysis) number(i *instruction, rule formRule) congruence {
	if len(i.operands) == 0 || i.operands[0].spec.role == read || !i.operands[0].spec.typ.plainInteger() {
		return anyNumber
	}
	switch {
	case rule.symbol:
		return a.symbolNumber(i)
	case rule.pointer:
		return a.paramNumber(i)
	case rule.number == nil:
		return anyNumber
	}
	v := a.numbers[:0]
	for n := range i.operands[1:] {
		o := &i.operands[n+1]
		switch {
		case len(o.regs) == 1 && o.spec.typ.plainInteger():
			v = append(v, a.facts[o.regs[0].id].number)
		case len(o.regs) == 0 && o.spec.typ.plainInteger():
			v = append(v, exactly(o.value))
		}
	}
	a.numbers = v
	if len(v) == 0 {
		return anyNumber
	}
	return rule.number(v)
}

// numberRule returns the row of numberRules for a form, nil if there is none.
func numberRule(f *Form) func([]congruence) congruence {
	name := f.mnemonic()
	word, rest, _ := strings.Cut(name, ".")
	if word == "cvt" && !widthOnly[name] || strings.Contains(f.Name, "/") {
		return nil
	}
	if word == "mul" || word == "mad" {
		kind, _, _ := strings.Cut(rest, ".")
		word += "." + kind
	}
	return numberRules[word]
}

// widthOnly are the conversions that keep the low bits.
var widthOnly = map[string]bool{"cvt.u64.u32": true, "cvt.s64.s32": true, "cvt.u32.u64": true, "cvt.s32.s64": true}

// plainInteger tells types whose bits are one integer.
func (t Type) plainInteger() bool { return t.isInteger() || t.kind() == bits }

func (a *analysis) symbolNumber(i *instruction) congruence {
	r := a.k.regionOf(i.operands[1].text)
	switch {
	case r == nil:
		return anyNumber
	case r.Dynamic:
		// The extern array is aligned to the largest alignment of its regions.
		return congruence{int64(max(a.k.dyn.align, 16)), int64(r.Offset)}.reduce(int64(max(a.k.dyn.align, 16)))
	}
	return congruence{modulus: int64(r.Align)}
}

func (a *analysis) paramNumber(i *instruction) congruence {
	for n, p := range a.k.params {
		if a.k.paramSymbol(n) == i.operands[1].text {
			return congruence{modulus: int64(max(1, p.Align))}
		}
	}
	return anyNumber
}

// region follows shared addresses from their symbol through sums.
func (a *analysis) region(i *instruction, rule formRule) int {
	if len(i.operands) == 0 || i.operands[0].spec.role != write || i.operands[0].spec.typ.class() != class32 {
		return 0
	}
	if rule.symbol {
		if r := a.k.regionOf(i.operands[1].text); r != nil {
			return r.index
		}
		return 0
	}
	if !rule.keepsRegion {
		return 0
	}
	for n := range i.operands[1:] {
		for _, r := range i.operands[n+1].regs {
			if found := a.facts[r.id].region; found != 0 {
				return found
			}
		}
	}
	return 0
}

// keepsRegion tells forms whose results point where an operand points.
func keepsRegion(f *Form) bool {
	for _, word := range [...]string{"mov.", "add.", "mad.lo.", "xor.", "or."} {
		if strings.HasPrefix(f.Name, word) {
			return true
		}
	}
	return false
}

func (k *kernel) regionOf(symbol string) *Region {
	for _, r := range k.shared {
		if r.symbol() == symbol {
			return r
		}
	}
	return nil
}
