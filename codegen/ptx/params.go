package ptx

import "fmt"

// Arg is a parameter of a kernel. Each takes a slot of 8 bytes; 32-bit values lie in the low half.
type Arg struct {
	Name  string
	Type  Type // Global for pointers
	Align int  // what a pointer is a multiple of
}

// Pointer declares a parameter that points to global memory at a multiple of align bytes.
func (b *Builder) Pointer(name string, align int) Reg {
	if align <= 0 || align&(align-1) != 0 {
		b.fail("parameter %s: alignment %d is no power of two", name, align)
		align = 1
	}
	raw := b.newReg(Generic)
	(&Builder{kernel: b.kernel}).Into(raw).param(Arg{name, Global, align})
	d := b.result(Global)
	b.emit("cvta.to.global.u64", d, raw)
	return d
}

// Reload loads a parameter that is declared once more, so that no register holds it until here.
func (b *Builder) Reload(name string) Reg {
	for i, a := range b.params {
		switch {
		case a.Name != name:
		case a.Type == Global:
			raw := b.newReg(Generic)
			b.emit("ld.param.u64/pointer", raw, Addr{symbol: b.paramSymbol(i)})
			d := b.result(Global)
			b.emit("cvta.to.global.u64", d, raw)
			return d
		default:
			d := b.result(a.Type)
			b.emit("ld.param."+a.Type.arith(), d, Addr{symbol: b.paramSymbol(i)})
			return d
		}
	}
	b.fail("no parameter called %s is declared", name)
	return b.newReg(Global)
}

// Uint declares a parameter of type u32.
func (b *Builder) Uint(name string) Reg { return b.param(Arg{Name: name, Type: U32}) }

// Int declares a parameter of type s32.
func (b *Builder) Int(name string) Reg { return b.param(Arg{Name: name, Type: S32}) }

// Float declares a parameter of type f32.
func (b *Builder) Float(name string) Reg { return b.param(Arg{Name: name, Type: F32}) }

// Uint64 declares a parameter of type u64.
func (b *Builder) Uint64(name string) Reg { return b.param(Arg{Name: name, Type: U64}) }

func (b *Builder) param(a Arg) Reg {
	if !nameRule.MatchString(a.Name) {
		b.fail("parameter name %q is not an identifier", a.Name)
	}
	for _, other := range b.params {
		if other.Name == a.Name {
			b.fail("two parameters called %s", a.Name)
		}
	}
	b.params = append(b.params, a)
	t, form := a.Type, "ld.param."+a.Type.arith()
	if t == Global {
		t, form = Generic, "ld.param.u64/pointer"
	}
	d := b.result(t)
	b.emit(form, d, Addr{symbol: b.paramSymbol(len(b.params) - 1)})
	return d
}

func (k *kernel) paramSymbol(i int) string { return fmt.Sprintf("%s_%s", k.name, k.params[i].Name) }
