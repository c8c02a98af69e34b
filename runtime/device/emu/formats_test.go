package emu

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/x448/float16"
)

var formatList = []struct {
	name string
	f    *format
	bits int
}{{"f16", &formatF16, 16}, {"bf16", &formatBF16, 16}, {"e4m3", &formatE4M3, 8}, {"e5m2", &formatE5M2, 8}}

// Every value of a format is its own rounding in every mode, and what lies between two neighbours rounds to the right one.
func TestFormatsRoundTrip(t *testing.T) {
	for _, c := range formatList {
		for v := range uint64(1) << c.bits {
			x := c.f.value(v)
			if x != x {
				if got := c.f.round(x, roundNearest, false); got != c.f.nan {
					t.Errorf("%s: NaN gives %#x", c.name, got)
				}
				continue
			}
			for mode := roundNearest; mode <= roundAway; mode++ {
				if got := c.f.round(x, mode, false); got != v {
					t.Fatalf("%s: %#x = %g rounds to %#x in mode %d", c.name, v, x, got, mode)
				}
			}
			magnitude := v & (1<<(c.bits-1) - 1)
			next := c.f.value(v + 1)
			if magnitude >= c.f.largest || math.IsInf(next, 0) {
				continue
			}
			mid := (x + next) / 2
			even, neg := v+v&1, v>>(c.bits-1) == 1
			for _, r := range []struct {
				x    float64
				mode rounding
				want uint64
			}{
				{mid, roundNearest, even}, {mid, roundAway, v + 1}, {mid, roundZero, v}, {mid + (next-mid)/8, roundNearest, v + 1}, {mid + (x-mid)/8, roundNearest, v},
				{mid, roundDown, pick(neg, v+1, v)}, {mid, roundUp, pick(neg, v, v+1)},
			} {
				if got := c.f.round(r.x, r.mode, false); got != r.want {
					t.Fatalf("%s: %g between %#x and its neighbour rounds to %#x in mode %d, want %#x", c.name, r.x, v, got, r.mode, r.want)
				}
			}
		}
	}
}

func pick(b bool, x, y uint64) uint64 {
	if b {
		return x
	}
	return y
}

func TestFormatsOverflow(t *testing.T) {
	for _, c := range []struct {
		f    *format
		x    float64
		mode rounding
		sat  bool
		want uint64
	}{
		{&formatE4M3, 464, roundNearest, false, 0x7e}, {&formatE4M3, 465, roundNearest, false, 0x7f}, {&formatE4M3, -1e30, roundNearest, true, 0xfe},
		{&formatE5M2, 61440, roundNearest, false, 0x7c}, {&formatE5M2, math.Inf(-1), roundNearest, true, 0xfb},
		{&formatF16, 65519, roundNearest, false, 0x7bff}, {&formatF16, 65520, roundNearest, false, 0x7c00}, {&formatF16, 1e9, roundZero, false, 0x7bff},
		{&formatF16, -1e9, roundUp, false, 0xfbff}, {&formatF16, -1e9, roundDown, false, 0xfc00}, {&formatF32, 1e300, roundNearest, false, 0x7f800000},
	} {
		if got := c.f.round(c.x, c.mode, c.sat); got != c.want {
			t.Errorf("%g: %#x, want %#x", c.x, got, c.want)
		}
	}
}

func TestHalfAgainstLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200000 {
		x := math.Float32frombits(rng.Uint32())
		if x != x {
			continue
		}
		if got, want := formatF16.round(float64(x), roundNearest, false), uint64(float16.Fromfloat32(x).Bits()); got != want {
			t.Fatalf("%g: %#x, want %#x", x, got, want)
		}
	}
}

// trickyFloat favours values whose sums fall halfway between two singles or into the subnormal range.
func trickyFloat(rng *rand.Rand) float32 {
	switch rng.IntN(4) {
	case 0:
		return math.Float32frombits(rng.Uint32())
	case 1:
		return math.Float32frombits(rng.Uint32()&0x80000fff | 0x3f800000)
	case 2:
		return math.Float32frombits(rng.Uint32() & 0x807fffff)
	}
	return float32(math.Ldexp(float64(1+rng.IntN(1<<24)), rng.IntN(40)-60))
}

// fma32 against exact arithmetic rounded once.
func TestFMAIsRoundedOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 300000 {
		a, b, c := trickyFloat(rng), trickyFloat(rng), trickyFloat(rng)
		got := fma32(a, b, c)
		if a != a || b != b || c != c || math.IsInf(float64(a), 0) || math.IsInf(float64(b), 0) || math.IsInf(float64(c), 0) {
			continue
		}
		exact := new(big.Float).SetPrec(2000).SetFloat64(float64(a) * float64(b))
		exact.Add(exact, new(big.Float).SetFloat64(float64(c)))
		want, _ := exact.Float32()
		if math.Float32bits(got) != math.Float32bits(want) && !(got == 0 && want == 0) {
			t.Fatalf("fma(%g, %g, %g) = %g, want %g", a, b, c, got, want)
		}
		for mode, big := range map[rounding]big.RoundingMode{roundZero: big.ToZero, roundDown: big.ToNegativeInf, roundUp: big.ToPositiveInf} {
			checkDirected(t, a, b, c, exact, mode, big)
		}
	}
}

// checkDirected compares directed roundings where the result is a normal number.
func checkDirected(t *testing.T, a, b, c float32, exact *big.Float, mode rounding, bigMode big.RoundingMode) {
	want, _ := new(big.Float).SetPrec(24).SetMode(bigMode).Set(exact).Float64()
	if math.Abs(want) < 0x1p-126 || math.Abs(want) > math.MaxFloat32 {
		return
	}
	got := finishF32(oddAdd(float64(a)*float64(b), float64(c)), mode, false, false)
	if got != uint64(math.Float32bits(float32(want))) {
		t.Fatalf("fma(%g, %g, %g) in mode %d = %#x, want %g", a, b, c, mode, got, want)
	}
}

// Division and square root rounded to odd give the right single in every mode.
func TestDivisionModes(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 100000 {
		a, b := trickyFloat(rng), trickyFloat(rng)
		if a != a || b != b || b == 0 || a == 0 || math.IsInf(float64(a), 0) || math.IsInf(float64(b), 0) {
			continue
		}
		exact := new(big.Float).SetPrec(400).Quo(new(big.Float).SetPrec(400).SetFloat64(float64(a)), new(big.Float).SetFloat64(float64(b)))
		for mode, bigMode := range map[rounding]big.RoundingMode{roundNearest: big.ToNearestEven, roundZero: big.ToZero, roundDown: big.ToNegativeInf, roundUp: big.ToPositiveInf} {
			want, _ := new(big.Float).SetPrec(24).SetMode(bigMode).Set(exact).Float64()
			if math.Abs(want) < 0x1p-126 || math.Abs(want) > math.MaxFloat32 {
				continue
			}
			if got := finishF32(oddDiv(float64(a), float64(b)), mode, false, false); got != uint64(math.Float32bits(float32(want))) {
				t.Fatalf("%g / %g in mode %d = %#x, want %g", a, b, mode, got, want)
			}
		}
	}
}

func TestDoubleModes(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	modes := map[rounding]big.RoundingMode{roundNearest: big.ToNearestEven, roundZero: big.ToZero, roundDown: big.ToNegativeInf, roundUp: big.ToPositiveInf}
	for range 20000 {
		a, b := rng.NormFloat64()*1e10, rng.NormFloat64()
		x, y := new(big.Float).SetPrec(2000).SetFloat64(a), new(big.Float).SetPrec(2000).SetFloat64(b)
		for op, exact := range map[string]*big.Float{
			"add": new(big.Float).Add(x, y), "sub": new(big.Float).Sub(x, y), "mul": new(big.Float).Mul(x, y), "div": new(big.Float).SetPrec(400).Quo(x, y),
		} {
			for mode, bigMode := range modes {
				want, _ := new(big.Float).SetPrec(53).SetMode(bigMode).Set(exact).Float64()
				var d, va, vb vec
				va[0], vb[0] = math.Float64bits(a), math.Float64bits(b)
				doubleBinary(op, mode)(&d, &va, &vb)
				if math.Float64frombits(d[0]) != want {
					t.Fatalf("%g %s %g in mode %d = %g, want %g", a, op, b, mode, math.Float64frombits(d[0]), want)
				}
			}
		}
	}
}
