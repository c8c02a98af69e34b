package ptx

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"llmc/internal/golden"
)

// scene gives the calls below registers of every type and addresses.
type scene struct {
	*Builder
	g, s Reg // a global and a shared pointer
	v    map[Type]Reg
}

func newScene(m *Module, name string) *scene {
	return newSceneOf(m, name, Launch{Threads: 128, MinCTAs: 1})
}

func newSceneOf(m *Module, name string, l Launch) *scene {
	b := m.Kernel(name, l)
	k := &scene{Builder: b, v: map[Type]Reg{}}
	k.g = b.Pointer("p", 16)
	k.s = b.Addr(b.Static("tile", 1024, 128))
	wide := b.Ld(B64, k.g)
	word := b.Ld(B32, k.g.At(8))
	half := b.Ld(B16, k.g.At(12))
	for t := Pred; t <= Shared; t++ {
		switch {
		case t == Pred:
			k.v[t] = b.Ne(word.As(U32), 0)
		case t == U8 || t == S8 || t.kind() == pointer:
		case t.class() == class16:
			k.v[t] = half.As(t)
		case t.class() == class32:
			k.v[t] = word.As(t)
		default:
			k.v[t] = wide.As(t)
		}
	}
	return k
}

func (k *scene) many(t Type, n int) []Reg {
	out := make([]Reg, n)
	for i := range out {
		out[i] = k.v[t]
	}
	return out
}

// each calls f with a register of each type.
func (k *scene) each(f func(x Reg), types ...Type) {
	for _, t := range types {
		f(k.v[t])
	}
}

// calls is every method that writes instructions, by group.
var calls = []struct {
	name   string
	target Target
	write  func(k *scene)
}{
	{"integer", SM80, callIntegers},
	{"bits", SM80, callBits},
	{"compare", SM80, callComparisons},
	{"float", SM80, callFloats},
	{"float90", SM90, callFloats90},
	{"convert", SM80, callConversions},
	{"convert89", SM89, callConversions89},
	{"convert90", SM90, func(k *scene) { k.Cvt(F32, k.v[BF16]); k.CvtTF32Even(k.v[F32]) }},
	{"memory", SM80, callMemory},
	{"atomic", SM80, callAtomics},
	{"atomic90", SM90, func(k *scene) { k.RedAdd(Relaxed, k.g, k.v[BF16x2]) }},
	{"collective", SM80, callCollectives},
	{"barrier", SM80, callBarriers},
	{"control", SM80, callControl},
	{"async", SM80, callAsync},
	{"async90", SM90, callAsync90},
	{"matrix", SM80, callMatrices},
	{"matrix89", SM89, callMatrices89},
	{"matrix90", SM90, func(k *scene) {
		for _, n := range []int{1, 2, 4} {
			k.Stmatrix(false, k.s, k.many(BF16x2, n))
			k.Stmatrix(true, k.s, k.many(BF16x2, n))
		}
	}},
	{"warpgroup", SM90a, callWarpgroups},
}

// rowsLeft are not reached by a method; each with its reason.
var rowsLeft = []string{}

// TestMethods compares the text of every method with the golden and proves that all rows are reached by some method.
func TestMethods(t *testing.T) {
	reached := map[int]bool{}
	golden.Each(t, "testdata/instructions.txtar", func(t *testing.T, a *golden.Archive) {
		for _, c := range calls {
			m := NewModule(c.target)
			c.write(newScene(m, c.name))
			k := m.kernels[0]
			for _, err := range k.errs {
				t.Error(err)
			}
			k.top.each(func(n node) {
				if i, ok := n.(*instruction); ok && i.form != nil {
					reached[i.form.row] = true
				}
			})
			a.Check(t, c.name, m.text())
		}
	})
	for i, r := range rows() {
		left := slices.Contains(rowsLeft, r.pattern) || strings.HasPrefix(r.pattern, "wgmma.mma_async")
		if !reached[i] && !left {
			t.Errorf("no method writes %s", r.pattern)
		}
	}
}

// TestMethodsAssemble gives the same kernels to every ptxas, those of a target that need the same PTX version in one module, which says that version.
func TestMethodsAssemble(t *testing.T) {
	for _, a := range assemblers(t) {
		type needs struct {
			target  string
			version Version
		}
		modules := map[needs]*Module{}
		for i, c := range calls {
			alone := NewModule(c.target)
			c.write(newScene(alone, c.name))
			if alone.Version() > a.version {
				continue
			}
			key := needs{c.target.Name, alone.Version()}
			m := modules[key]
			if m == nil {
				m = NewModule(c.target)
				modules[key] = m
			}
			c.write(newScene(m, fmt.Sprintf("%s_%d", c.name, i)))
		}
		for key, m := range modules {
			a.Run(t, m.text(), key.target)
		}
	}
}

// TestWgmmaShapes builds every shape of every kind and counts the rows that Wgmma reaches.
func TestWgmmaShapes(t *testing.T) {
	m := NewModule(SM90a)
	k := newScene(m, "shapes")
	reached := map[int]bool{}
	for _, w := range wgmmaShapes() {
		for _, first := range []bool{true, false} {
			for _, a := range []Operand{k.v[B64], k.many(registerOf(w.A), 4)} {
				k.Wgmma(w, k.many(w.filled().Out, w.Accumulators()), a, k.v[B64], !first)
			}
		}
	}
	for _, err := range m.kernels[0].errs {
		t.Error(err)
	}
	m.kernels[0].top.each(func(n node) {
		if i, ok := n.(*instruction); ok {
			reached[i.form.row] = true
		}
	})
	for i, r := range rows() {
		if strings.HasPrefix(r.pattern, "wgmma.mma_async") && !reached[i] {
			t.Errorf("Wgmma does not reach %s", r.pattern)
		}
	}
}

func registerOf(t Type) Type {
	switch t {
	case BF16:
		return BF16x2
	case F16:
		return F16x2
	}
	return t
}

func wgmmaShapes() []WGMMA {
	var out []WGMMA
	for n := 8; n <= 256; n += 8 {
		for _, w := range []WGMMA{
			{A: BF16}, {A: F16}, {A: F16, Out: F16x2}, {A: TF32}, {A: E4M3x4}, {A: E5M2x4}, {A: E4M3x4, B: E5M2x4}, {A: E5M2x4, B: E4M3x4},
			{A: S8x4}, {A: U8x4}, {A: S8x4, B: U8x4}, {A: U8x4, B: S8x4},
		} {
			w.N = n
			if wgmmaN(n, w.filled().Out == S32) {
				out = append(out, w)
			}
		}
	}
	return out
}
