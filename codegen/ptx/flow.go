package ptx

import "fmt"

// If runs then when the predicate holds.
func (b *Builder) If(p Reg, then func()) { b.branch("if", p, then, nil) }

// IfElse runs one of two blocks.
func (b *Builder) IfElse(p Reg, then, otherwise func()) { b.branch("if", p, then, otherwise) }

// Role runs then when the predicate holds, as If; the name appears in the label. It is meant for warp specialization.
func (b *Builder) Role(name string, p Reg, then func()) { b.branch(name, p, then, nil) }

func (b *Builder) branch(name string, p Reg, then, otherwise func()) {
	b.plain(name)
	if err := b.checkReg(p, spec{typ: Pred, negatable: true}); err != nil {
		b.fail("%s: condition: %v", name, err)
		p = b.newReg(Pred)
	}
	n := &branch{cond: p, name: name, place: b.place()}
	b.append(n)
	n.then = b.nested(then)
	if otherwise != nil {
		n.otherwise = b.nested(otherwise)
	}
}

// plain refuses control flow through a view with a guard or with results.
func (b *Builder) plain(what string) {
	if b.guard.id != 0 || len(b.into) != 0 {
		b.fail("%s through a view of When or Into", what)
	}
}

// nested collects the statements that body writes. The section is that of the surroundings again afterwards.
func (k *kernel) nested(body func()) *block {
	outer, section := k.current, k.section
	inner := &block{}
	k.current = inner
	body()
	k.current, k.section = outer, section
	return inner
}

// Range is what a For loop counts through: From, From+Step, ... below To. From, To and Step are registers of the
// counter's type or Go integers. The counter is u32 unless a register says otherwise.
type Range struct {
	Name     string // of the label
	From, To Operand
	Step     Operand // 1 when nil
	Unroll   int     // copies of the body in one iteration; what is left over runs one by one
	NoUnroll bool    // forbids the assembler to unroll
}

// For runs body for each value of the range. The counter belongs to the loop: body must not write it.
func (b *Builder) For(r Range, body func(i Reg)) {
	b.plain("For")
	if r.Name == "" {
		r.Name = "for"
	}
	if r.From == nil {
		r.From = 0
	}
	if r.Step == nil {
		r.Step = 1
	}
	t := U32
	for _, o := range []Operand{r.From, r.To, r.Step} {
		if reg, ok := o.(Reg); ok {
			t = reg.typ
			break
		}
	}
	i := b.Reg(t)
	b.Set(i, r.From)
	if r.Unroll > 1 {
		b.unrolled(r, i, body)
		if r.even() {
			return
		}
	}
	b.counted(r, i, 1, r.To, body)
}

// even tells whether a constant range is a whole number of unrolled iterations, so that nothing is left over.
func (r Range) even() bool {
	from, ok1 := integer(r.From)
	to, ok2 := integer(r.To)
	step, ok3 := integer(r.Step)
	if !ok1 || !ok2 || !ok3 || step <= 0 {
		return false
	}
	trips := max(0, (to-from+step-1)/step)
	return trips%int64(r.Unroll) == 0
}

// counted loops while i < to, in iterations of copies of the body.
func (b *Builder) counted(r Range, i Reg, copies int, to Operand, body func(i Reg)) {
	n := &loop{name: r.Name, noUnroll: r.NoUnroll, place: b.place()}
	from, fixed := integer(r.From)
	end, fixedEnd := integer(to)
	switch {
	case fixed && fixedEnd && from >= end && (copies > 1 || r.Unroll <= 1):
		return
	case fixed && fixedEnd && from < end && (copies > 1 || r.Unroll <= 1):
		// The first iteration is sure to run.
	default:
		n.skip = b.Ge(i, to)
	}
	b.append(n)
	b.loops = append(b.loops, n)
	n.body = b.nested(func() {
		for range copies {
			body(i)
			b.Into(i).Add(i, r.Step)
		}
		n.again = b.Lt(i, to)
	})
	b.loops = b.loops[:len(b.loops)-1]
}

// unrolled runs whole iterations of r.Unroll copies, as long as the last copy's counter is below the end.
func (b *Builder) unrolled(r Range, i Reg, body func(i Reg)) {
	step, ok := integer(r.Step)
	if !ok || step <= 0 {
		b.fail("For %s: unrolling wants a constant step", r.Name)
		return
	}
	ahead := step * int64(r.Unroll-1)
	whole := r
	whole.Name += fmt.Sprintf("_by_%d", r.Unroll)
	to, fixed := integer(r.To)
	// An unsigned end smaller than the reach of one iteration must not wrap.
	unsigned := i.typ.kind() == unsigned
	switch {
	case fixed && unsigned:
		b.counted(whole, i, r.Unroll, max(0, to-ahead), body)
	case fixed:
		b.counted(whole, i, r.Unroll, to-ahead, body)
	case unsigned:
		b.counted(whole, i, r.Unroll, b.Sub(b.Max(r.To, ahead), ahead), body)
	default:
		b.counted(whole, i, r.Unroll, b.Sub(r.To, ahead), body)
	}
}

// While runs body as long as the condition, computed anew each time, holds.
func (b *Builder) While(name string, cond func() Reg, body func()) {
	b.Loop(name, func(l *Loop) {
		l.BreakIf(cond().Not())
		body()
	})
}

// Loop is a loop that is being written.
type Loop struct {
	b *Builder
	n *loop
}

// Loop repeats body until a Break.
func (b *Builder) Loop(name string, body func(l *Loop)) {
	b.plain("Loop")
	n := &loop{name: name, place: b.place()}
	b.append(n)
	b.loops = append(b.loops, n)
	n.body = b.nested(func() { body(&Loop{b, n}) })
	b.loops = b.loops[:len(b.loops)-1]
}

// DoWhile runs body, then again as long as the predicate that it returns holds.
func (b *Builder) DoWhile(name string, body func() Reg) {
	b.plain("DoWhile")
	n := &loop{name: name, place: b.place()}
	b.append(n)
	b.loops = append(b.loops, n)
	n.body = b.nested(func() { n.again = body() })
	b.loops = b.loops[:len(b.loops)-1]
	if err := b.checkReg(n.again, spec{typ: Pred, negatable: true}); err != nil {
		b.fail("%s: condition: %v", name, err)
	}
}

// Break leaves the loop, which may be an outer one.
func (l *Loop) Break() { l.leave(Reg{}) }

// BreakIf leaves the loop when the predicate holds.
func (l *Loop) BreakIf(p Reg) {
	if err := l.b.checkReg(p, spec{typ: Pred, negatable: true}); err != nil {
		l.b.fail("BreakIf: %v", err)
		return
	}
	l.leave(p)
}

func (l *Loop) leave(p Reg) {
	for _, open := range l.b.loops {
		if open == l.n {
			l.b.append(&leave{loop: l.n, cond: p, place: l.b.place()})
			return
		}
	}
	l.b.fail("Break outside of loop %s", l.n.name)
}
