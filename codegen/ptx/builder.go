package ptx

import (
	"fmt"
	"strings"
)

// Builder writes a kernel, one call per instruction, in program order. When, Unless and Into return a view of the same
// kernel that changes the next instructions written through it.
type Builder struct {
	*kernel
	guard Reg
	into  []Reg
}

// When guards the instructions written through the view by a predicate. What a guarded instruction writes to a fresh
// register may be read only under the same guard.
func (b *Builder) When(p Reg) *Builder {
	v := *b
	if b.guard.id != 0 {
		b.fail("guard within a guard: combine the predicates with And")
	}
	if err := b.checkReg(p, spec{typ: Pred, negatable: true}); err != nil {
		b.fail("guard: %v", err)
	}
	v.guard = p
	return &v
}

// Unless is When of the negated predicate.
func (b *Builder) Unless(p Reg) *Builder { return b.When(p.Not()) }

// Into lets the next instruction write to registers that exist, instead of to new ones: b.Into(x).Add(x, 1).
func (b *Builder) Into(dst ...Reg) *Builder {
	v := *b
	v.into = dst
	return &v
}

// Section starts a named part of the kernel; the name appears in the text and in error messages.
func (b *Builder) Section(format string, args ...any) {
	b.section = fmt.Sprintf(format, args...)
	b.append(&mark{b.section})
}

// Comment puts a line of comment before the next instruction.
func (b *Builder) Comment(format string, args ...any) {
	b.comments = append(b.comments, strings.Split(fmt.Sprintf(format, args...), "\n")...)
}

// Reg makes a register that holds nothing yet; write it with Into or Set.
func (b *Builder) Reg(t Type) Reg { return b.newReg(t) }

// Regs makes n registers that hold nothing yet.
func (b *Builder) Regs(t Type, n int) []Reg {
	out := make([]Reg, n)
	for i := range out {
		out[i] = b.newReg(t)
	}
	return out
}

// Zeros makes n registers that hold zero, as accumulators do.
func (b *Builder) Zeros(t Type, n int) []Reg {
	out := make([]Reg, n)
	for i := range out {
		out[i] = b.Const(t, 0)
	}
	return out
}

func (k *kernel) newReg(t Type) Reg {
	if t == None {
		k.fail("register without a type")
		t = B32
	}
	k.types = append(k.types, t)
	return Reg{id: int32(len(k.types) - 1), typ: t, owner: k}
}

func (k *kernel) append(n node) {
	k.current.nodes = append(k.current.nodes, n)
	k.verified, k.pressure = false, nil
}

// place takes the comments that wait for a statement.
func (k *kernel) place() place {
	p := place{k.section, k.comments, k.whoCalls()}
	k.comments = nil
	return p
}

// result is the register that the instruction being written writes: a new one, or the next of Into.
func (b *Builder) result(t Type) Reg {
	if len(b.into) == 0 {
		return b.newReg(t)
	}
	d := b.into[0]
	b.into = b.into[1:]
	if d.typ != t && !t.accepts(d.typ) {
		b.fail("Into: the result is %s, the register %s", t, d.typ)
	}
	return d
}

func (b *Builder) results(t Type, n int) []Reg {
	if len(b.into) != 0 && len(b.into) < n {
		b.fail("Into: %d registers for %d results", len(b.into), n)
		b.into = nil
	}
	out := make([]Reg, n)
	for i := range out {
		out[i] = b.result(t)
	}
	return out
}

// emit writes the instruction of that form. Arguments are in the order of the printed operands.
func (b *Builder) emit(name string, args ...any) {
	i := &instruction{form: forms()[name], guard: b.guard, place: b.place()}
	problem := func(format string, args ...any) { b.report(i.place, name, format, args...) }
	if len(b.into) != 0 {
		problem("Into names %d registers more than there are results", len(b.into))
	}
	if i.form == nil {
		problem("there is no such instruction")
		return
	}
	if len(args) != len(i.form.operands) {
		problem("%d operands, wants %d", len(args), len(i.form.operands))
		return
	}
	i.operands = make([]operand, 0, len(args))
	for n, arg := range args {
		o, err := b.match(i.form.operands[n], arg)
		if err != nil {
			problem("operand %d: %v", n+1, err)
			return
		}
		i.operands = append(i.operands, o)
	}
	if _, ok := i.form.version(b.module.target); !ok {
		problem("needs %s, the target is %s", i.form.requirements(), b.module.target.Name)
	}
	b.append(i)
}

// Raw writes an instruction as text, where $0, $1, ... stand for the registers, written ones first. It is the way out
// for instructions without a row; the module counts its uses.
func (b *Builder) Raw(text string, written, readRegs []Reg) {
	b.module.raws++
	i := &instruction{guard: b.guard, place: b.place(), raw: text}
	for n, r := range append(append([]Reg{}, written...), readRegs...) {
		s := spec{typ: r.typ, negatable: true}
		if n < len(written) {
			s.role = write
		}
		if err := b.checkReg(r, s); err != nil {
			b.report(i.place, text, "register %d: %v", n, err)
			return
		}
		i.operands = append(i.operands, operand{spec: s, regs: []Reg{r}})
	}
	b.append(i)
}

// typeOf is the type of the first register among the operands; a pointer comes before other types, so that an offset
// may stand on either side.
func (b *Builder) typeOf(what string, operands ...Operand) Type {
	t := None
	for _, o := range operands {
		if r, ok := o.(Reg); ok && r.id != 0 && (t == None || r.typ.kind() == pointer) {
			t = r.typ
		}
	}
	if t == None {
		b.fail("%s: no operand is a register, so the type is not known: use Const", what)
		return U32
	}
	return t
}
