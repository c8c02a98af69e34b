package ptx

import (
	"fmt"
	"math"
	"strconv"

	"llmc/internal/dtype"
)

// Reg is a typed virtual register of one kernel. The zero Reg is no register.
type Reg struct {
	id      int32 // index into the kernel's registers
	typ     Type
	negated bool // of a predicate, where it is read
	owner   *kernel
}

// Type is the type that the register is seen as.
func (r Reg) Type() Type { return r.typ }

// Not is the predicate negated; it is free where a predicate is a guard or a condition.
func (r Reg) Not() Reg {
	r.negated = !r.negated
	return r
}

// As is the same register seen as another type of the same width; no instruction results.
func (r Reg) As(t Type) Reg {
	if r.owner != nil && t.class() != r.typ.class() {
		r.owner.fail("%s register seen as %s: widths differ", r.typ, t)
		return r
	}
	r.typ = t
	return r
}

// At is the address offset bytes behind the pointer.
func (r Reg) At(offset int) Addr { return Addr{base: r, offset: offset} }

func (r Reg) address() Addr { return Addr{base: r} }

// Addr is a pointer register and a constant offset in bytes.
type Addr struct {
	base   Reg
	offset int
	symbol string // instead of base: a parameter
}

func (a Addr) address() Addr { return a }

// At is the address offset bytes behind a.
func (a Addr) At(offset int) Addr {
	a.offset += offset
	return a
}

// Address is a pointer register or one with an offset.
type Address interface{ address() Addr }

// Operand is what an instruction reads: a Reg, or a Go number as an immediate of the instruction's type.
type Operand = any

// pair is a result with a predicate beside it, printed "d|p".
type pair struct{ value, second Reg }

// special is a special register or the name of a symbol.
type special string

// operand is an argument of an instruction, matched with what the form wants.
type operand struct {
	spec   spec
	regs   []Reg // registers, or the base of an address
	second Reg
	text   string // immediate, symbol, special register or parameter
	offset int
	value  int64 // of an integer immediate
}

func (o *operand) isAddress() bool { return o.spec.space != "" }

// match turns what a method was given into the operand that the form wants.
func (k *kernel) match(s spec, arg any) (operand, error) {
	o := operand{spec: s}
	switch {
	case s.space != "":
		return k.matchAddress(o, arg)
	case s.symbol:
		name, ok := arg.(special)
		if !ok {
			return o, fmt.Errorf("wants a symbol, got %v", arg)
		}
		o.text = string(name)
		return o, nil
	case s.typ == None:
		var err error
		o.text, o.value, err = immediate(S64, arg)
		return o, err
	}
	switch a := arg.(type) {
	case Reg:
		if s.count != 0 {
			return o, fmt.Errorf("wants %d registers, got one", s.count)
		}
		o.regs = []Reg{a}
	case []Reg:
		if len(a) != s.count {
			return o, fmt.Errorf("wants %d registers, got %d", s.count, len(a))
		}
		o.regs = a
	case pair:
		if s.second == None {
			return o, fmt.Errorf("takes no second result")
		}
		o.regs, o.second = []Reg{a.value}, a.second
		if err := k.checkReg(a.second, spec{typ: s.second, role: write}); err != nil {
			return o, err
		}
	default:
		if !s.immediate {
			return o, fmt.Errorf("wants a register of type %s, got %v", s.typ, arg)
		}
		var err error
		o.text, o.value, err = immediate(s.typ, arg)
		return o, err
	}
	for _, r := range o.regs {
		if err := k.checkReg(r, s); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (k *kernel) matchAddress(o operand, arg any) (operand, error) {
	a, ok := arg.(Address)
	if !ok {
		return o, fmt.Errorf("wants an address in %s, got %v", o.spec.space, arg)
	}
	at := a.address()
	o.offset, o.text = at.offset, at.symbol
	if at.symbol != "" {
		return o, nil
	}
	if err := k.checkOwner(at.base); err != nil {
		return o, err
	}
	if have := at.base.typ.space(); have != o.spec.space && (o.spec.space != "generic" || at.base.typ != Generic) {
		return o, fmt.Errorf("wants an address in %s, got a %s register", o.spec.space, at.base.typ)
	}
	o.regs = []Reg{at.base}
	return o, nil
}

func (k *kernel) checkOwner(r Reg) error {
	if r.id == 0 {
		return fmt.Errorf("the register was never made")
	}
	if r.owner != k {
		return fmt.Errorf("the register belongs to another kernel")
	}
	return nil
}

func (k *kernel) checkReg(r Reg, s spec) error {
	if err := k.checkOwner(r); err != nil {
		return err
	}
	if !s.typ.accepts(r.typ) {
		return fmt.Errorf("wants %s, got a register of type %s", s.typ, r.typ)
	}
	if r.negated && !s.negatable {
		return fmt.Errorf("takes no negated predicate")
	}
	return nil
}

// immediate renders a Go number as an immediate of the type.
func immediate(t Type, arg any) (string, int64, error) {
	if t.kind() == float || t.kind() == packed {
		return floatImmediate(t, arg)
	}
	v, ok := integer(arg)
	if !ok {
		return "", 0, fmt.Errorf("wants %s, got %v (%T)", t, arg, arg)
	}
	if t == None || t.Bits() == 64 {
		return strconv.FormatInt(v, 10), v, nil
	}
	low, high := int64(0), int64(1)<<t.Bits()-1
	if t.kind() != unsigned && t.kind() != pointer {
		low = -(int64(1) << (t.Bits() - 1))
	}
	if t.kind() == signed {
		high >>= 1
	}
	if v < low || v > high {
		return "", 0, fmt.Errorf("%d does not fit %s", v, t)
	}
	if t.kind() == bits && (v > 9 || v < 0) || v >= 1<<16 {
		return "0x" + strconv.FormatUint(uint64(v)&(1<<t.Bits()-1), 16), v, nil
	}
	return strconv.FormatInt(v, 10), v, nil
}

func floatImmediate(t Type, arg any) (string, int64, error) {
	f, ok := number(arg)
	if !ok {
		return "", 0, fmt.Errorf("wants %s, got %v (%T)", t, arg, arg)
	}
	switch t {
	case F32:
		return fmt.Sprintf("0f%08X", math.Float32bits(float32(f))), 0, nil
	case F64:
		return fmt.Sprintf("0d%016X", math.Float64bits(f)), 0, nil
	}
	return "", 0, fmt.Errorf("%s has no immediates: use Const", t)
}

// constantBits is the bit pattern of a 16-bit or packed constant; packed types repeat the number.
func constantBits(t Type, f float64) (int64, error) {
	var half uint16
	switch t {
	case F16, F16x2:
		half = dtype.F32ToF16(float32(f))
	case BF16, BF16x2:
		half = dtype.F32ToBF16(float32(f))
	default:
		return 0, fmt.Errorf("no constants of type %s", t)
	}
	if t.Bits() == 32 {
		return int64(half)<<16 | int64(half), nil
	}
	return int64(half), nil
}

func integer(arg any) (int64, bool) {
	switch v := arg.(type) {
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(v), true
	case uint8:
		return int64(v), true
	}
	return 0, false
}

func number(arg any) (float64, bool) {
	switch v := arg.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	}
	i, ok := integer(arg)
	return float64(i), ok
}
