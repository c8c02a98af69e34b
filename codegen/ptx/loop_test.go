package ptx

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// machine runs the few instructions that loops are made of, on one thread, to see what a loop does.
type machine struct {
	t     *rapid.T
	value map[int32]uint32
	trace []uint32
	steps int
}

// left is how a block ended: nil at its end, else the loop that was left.
func (m *machine) block(b *block) (left *loop) {
	for _, n := range b.nodes {
		if m.steps++; m.steps > 10000 {
			m.t.Fatal("the loop does not end")
		}
		switch n := n.(type) {
		case *instruction:
			m.instruction(n)
		case *leave:
			if n.cond.id == 0 || m.holds(n.cond) {
				return n.loop
			}
		case *branch:
			chosen := n.otherwise
			if m.holds(n.cond) {
				chosen = n.then
			}
			if chosen != nil {
				if left := m.block(chosen); left != nil {
					return left
				}
			}
		case *loop:
			if left := m.loop(n); left != nil {
				return left
			}
		}
	}
	return nil
}

func (m *machine) loop(n *loop) (left *loop) {
	if n.skip.id != 0 && m.holds(n.skip) {
		return nil
	}
	for {
		if left := m.block(n.body); left == n {
			return nil
		} else if left != nil {
			return left
		}
		if n.again.id != 0 && !m.holds(n.again) {
			return nil
		}
	}
}

func (m *machine) holds(p Reg) bool { return (m.value[p.id] != 0) != p.negated }

func (m *machine) get(o *operand) uint32 {
	if len(o.regs) == 0 {
		return uint32(o.value)
	}
	return m.value[o.regs[0].id]
}

func (m *machine) instruction(i *instruction) {
	var v []uint32
	for n := range i.operands[1:] {
		v = append(v, m.get(&i.operands[n+1]))
	}
	name := i.form.Name
	result, ok := map[string]func() uint32{
		"mov.u32": func() uint32 { return v[0] }, "mov.b32": func() uint32 { return v[0] },
		"add.u32": func() uint32 { return v[0] + v[1] }, "sub.u32": func() uint32 { return v[0] - v[1] },
		"max.u32": func() uint32 { return max(v[0], v[1]) },
		"add.s32": func() uint32 { return v[0] + v[1] }, "sub.s32": func() uint32 { return v[0] - v[1] }, "mov.s32": func() uint32 { return v[0] },
		"setp.lt.s32": func() uint32 { return truth(int32(v[0]) < int32(v[1])) }, "setp.ge.s32": func() uint32 { return truth(int32(v[0]) >= int32(v[1])) },
		"setp.lt.u32": func() uint32 { return truth(v[0] < v[1]) }, "setp.ge.u32": func() uint32 { return truth(v[0] >= v[1]) },
		"setp.eq.u32": func() uint32 { return truth(v[0] == v[1]) },
	}[name]
	switch {
	case ok:
		m.value[i.operands[0].regs[0].id] = result()
	case strings.HasPrefix(name, "nanosleep"):
		m.trace = append(m.trace, m.get(&i.operands[0]))
	default:
		m.t.Fatalf("the machine does not know %s", name)
	}
}

func truth(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// TestForCounts compares For with a loop of Go for random ranges, constant or in registers, unrolled or not.
func TestForCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ, low := U32, 0
		if rapid.Bool().Draw(t, "signed") {
			typ, low = S32, -20
		}
		from, to := rapid.IntRange(low, 20).Draw(t, "from"), rapid.IntRange(low, 40).Draw(t, "to")
		step, unroll := rapid.IntRange(1, 5).Draw(t, "step"), rapid.IntRange(0, 5).Draw(t, "unroll")
		b := NewModule(SM80).Kernel("k", Launch{Threads: 32})
		operand := func(name string, v int) Operand {
			if rapid.Bool().Draw(t, name+" in a register") {
				return b.Const(typ, v)
			}
			return v
		}
		r := Range{From: operand("from", from), To: operand("to", to), Step: step, Unroll: unroll}
		if typ == S32 {
			r.From = b.Const(S32, from) // one register says that the counter is signed
		}
		b.For(r, func(i Reg) { b.Sleep(i.As(U32)) })
		if err := b.module.Verify(); err != nil {
			t.Fatal(err)
		}
		m := &machine{t: t, value: map[int32]uint32{}}
		m.block(b.top)
		var want []uint32
		for i := from; i < to; i += step {
			want = append(want, uint32(i))
		}
		if fmt.Sprint(m.trace) != fmt.Sprint(want) {
			t.Fatalf("counted %v, want %v", m.trace, want)
		}
	})
}

// TestLoopsLeave runs nested loops with breaks out of both.
func TestLoopsLeave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inner, outer := rapid.IntRange(1, 5).Draw(t, "inner"), rapid.IntRange(1, 20).Draw(t, "outer")
		b := NewModule(SM80).Kernel("k", Launch{Threads: 32})
		n, i := b.Const(U32, 0), b.Reg(U32)
		b.Loop("outer", func(o *Loop) {
			b.Set(i, 0)
			b.While("inner", func() Reg { return b.Lt(i, inner) }, func() {
				b.IfElse(b.Eq(i, 1), func() { b.Sleep(100) }, func() { b.Sleep(i) })
				b.Into(i).Add(i, 1)
				b.Into(n).Add(n, 1)
				o.BreakIf(b.Ge(n, outer))
			})
		})
		m := &machine{t: t, value: map[int32]uint32{}}
		m.block(b.top)
		var want []uint32
		for n := range outer {
			v := n % inner
			if v == 1 {
				v = 100
			}
			want = append(want, uint32(v))
		}
		if fmt.Sprint(m.trace) != fmt.Sprint(want) {
			t.Fatalf("ran %v, want %v", m.trace, want)
		}
	})
}

// TestCongruences proves the rules on numbers modulo powers of two: they hold for every member of the classes.
func TestCongruences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (congruence, int64) {
			m := int64(1) << rapid.IntRange(0, 6).Draw(t, name+" modulus")
			r := rapid.Int64Range(0, m-1).Draw(t, name+" residue")
			if rapid.Bool().Draw(t, name+" constant") {
				return exactly(r), r
			}
			return congruence{m, r}, r + m*rapid.Int64Range(0, 1000).Draw(t, name+" times")
		}
		a, x := draw("a")
		b, y := draw("b")
		for name, value := range map[string]int64{
			"add": x + y, "sub": x - y, "mul.lo": x * y, "and": x & y, "or": x | y, "xor": x ^ y, "shl": x << (y & 63),
		} {
			if name == "shl" && (b.modulus != exactModulus || y > 30) {
				continue
			}
			if got := numberRules[name]([]congruence{a, b}); (value-got.residue)&(got.modulus-1) != 0 {
				t.Fatalf("%s of %d and %d is %d, not %d modulo %d", name, x, y, value, got.residue, got.modulus)
			}
		}
		met := a.meet(b)
		for _, v := range []int64{x, y} {
			if (v-met.residue)&(met.modulus-1) != 0 {
				t.Fatalf("%v does not hold for %d", met, v)
			}
		}
	})
}
