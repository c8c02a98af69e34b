package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"llmc/internal/dtype"
)

// randomFloat draws from all exponents around 1, with some special values.
func randomFloat(r *rand.Rand, spread int) float32 {
	if r.IntN(50) == 0 {
		return []float32{0, float32(math.Copysign(0, -1)), 1, -1, math.MaxFloat32, math.SmallestNonzeroFloat32, 1e-40}[r.IntN(7)]
	}
	e := uint32(127 + r.IntN(2*spread+1) - spread)
	return math.Float32frombits(r.Uint32()&0x807fffff | e<<23)
}

func exactFMA(a, b, c float32) float32 {
	f := func(v float32) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(float64(v)) }
	sum := f(a)
	sum.Mul(sum, f(b)).Add(sum, f(c))
	v, _ := sum.Float32()
	return v
}

func TestFMAIsRoundedOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 200000 {
		spread := []int{1, 12, 30, 126}[i%4]
		a, b, c := randomFloat(r, spread), randomFloat(r, spread), randomFloat(r, spread)
		if i%8 < 4 { // results that nearly cancel, or lie half way between two numbers
			c = -a * b * (1 + float32(i%3)*0x1p-24)
		}
		want := exactFMA(a, b, c)
		if got := fma32(a, b, c); got != want && !math.IsInf(float64(c), 0) {
			t.Fatalf("fma(%x, %x, %x) = %x, want %x", a, b, c, got, want)
		}
	}
	if v := fma32(float32(math.Inf(1)), 0, 1); v == v {
		t.Errorf("inf*0+1 = %g", v)
	}
}

// ulps is the distance between two finite numbers in units of the last place.
func ulps(a, b float32) int64 {
	key := func(f float32) int64 {
		if b := int64(math.Float32bits(f)); b < 1<<31 {
			return b
		} else {
			return 1<<31 - b
		}
	}
	return max(key(a)-key(b), key(b)-key(a))
}

func TestExpIsWithinTwoUlps(t *testing.T) {
	worst := int64(0)
	for bits := uint64(0); bits < 1<<32; bits += 797 {
		x := math.Float32frombits(uint32(bits))
		got := exp32(x)
		switch {
		case x != x:
			if got == got {
				t.Fatalf("exp(NaN) = %g", got)
			}
		case x < expLow:
			if got != 0 {
				t.Fatalf("exp(%g) = %g, want 0", x, got)
			}
		default:
			want := float32(math.Exp(float64(min(x, expHigh))))
			if d := ulps(got, want); d > worst {
				if worst = d; d > 2 {
					t.Fatalf("exp(%g) = %g, want %g: %d ulps", x, got, want, d)
				}
			}
		}
	}
	if exp32(0) != 1 || exp32(float32(math.Inf(-1))) != 0 {
		t.Errorf("exp(0) = %g, exp(-inf) = %g", exp32(0), exp32(float32(math.Inf(-1))))
	}
}

// The two bf16 rules agree unless a subnormal number is involved; both are exact where the result is.
func TestBF16Rules(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	plain, flushing := rounding{}, rounding{flush: true}
	half := func() uint16 { return dtype.F32ToBF16(randomFloat(r, 20)) }
	normal := func(h uint16) bool { return h&0x7f80 != 0 || h&0x7fff == 0 }
	for range 20000 {
		a, b, c := [2]uint16{half(), half()}, [2]uint16{half(), half()}, randomFloat(r, 20)
		if !normal(a[0]) || !normal(a[1]) || !normal(b[0]) || !normal(b[1]) || flush(c) != c {
			continue
		}
		x, y := plain.dot(c, a, b), flushing.dot(c, a, b)
		if math.Float32bits(x) != math.Float32bits(y) && math.Abs(float64(x)) > 1e-30 {
			t.Fatalf("dot(%g, %x, %x) = %g and %g", c, a, b, x, y)
		}
	}
	one, three := dtype.F32ToBF16(1), dtype.F32ToBF16(3)
	if v := plain.dot(0.5, [2]uint16{one, three}, [2]uint16{three, three}); v != 12.5 {
		t.Errorf("0.5 + 1*3 + 3*3 = %g", v)
	}
	if v := flushing.dot(0, [2]uint16{1, 0}, [2]uint16{0x7f00, 0}); v != 0 {
		t.Errorf("a subnormal input counted: %g", v)
	}
	if v := flushing.round(1e-40); v != 0 {
		t.Errorf("rounded a subnormal number to %#x", v)
	}
}
