package sym

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func genDim(t *rapid.T) Dim {
	small := rapid.Int64Range(0, 1<<20)
	d := Dim{K: small.Draw(t, "k")}
	for i := range d.Coef {
		d.Coef[i] = small.Draw(t, "c")
	}
	return d
}

func TestParsePrintsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := genDim(t)
		got, err := Parse(d.String())
		if err != nil || got != d {
			t.Fatalf("Parse(%q) = %v, %v", d.String(), got, err)
		}
	})
}

func TestArithmeticAgreesWithEvaluation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genDim(t), genDim(t)
		v := rapid.Int64Range(0, 1000)
		env := Bind(v.Draw(t, "T"), v.Draw(t, "B"), v.Draw(t, "R"), v.Draw(t, "S"))
		x, _ := a.Eval(env)
		y, _ := b.Eval(env)
		if sum, _ := a.Add(b.Scale(3)).Eval(env); sum != x+3*y {
			t.Fatalf("%v + 3*(%v) = %d, want %d", a, b, sum, x+3*y)
		}
		if m, _ := a.Max(b).Eval(env); m < x || m < y {
			t.Fatalf("max(%v, %v) = %d below %d or %d", a, b, m, x, y)
		}
	})
}

func TestEvalRefusesOverflow(t *testing.T) {
	for _, d := range []Dim{{K: math.MaxInt64 / 2}, Of(T).Scale(math.MaxInt64 / 8), {K: -1}} {
		if n, err := d.Eval(Bind(1000, 1, 1, 1)); err == nil {
			t.Errorf("%v evaluated to %d, want an error", d, n)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, s := range []string{"", "X", "T*2", "2*", "*T", "2*X", "1+", "TT"} {
		if d, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", s, d)
		}
	}
}
