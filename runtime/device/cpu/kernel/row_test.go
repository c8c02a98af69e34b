package kernel

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// wildRow has numbers of all sizes, infinities, NaN and subnormals, at an address of any alignment.
func wildRow(r *rand.Rand, n int) []float32 {
	off := r.IntN(16)
	x := make([]float32, off+n)[off:]
	spread := []int{2, 20, 126}[r.IntN(3)]
	special := r.IntN(2) == 0
	for i := range x {
		x[i] = randomFloat(r, spread)
		if special && r.IntN(20) == 0 {
			x[i] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[r.IntN(3)]
		}
	}
	return x
}

// guarded returns n numbers with a canary on each side, and a function that tells whether the canaries live.
func guarded(n int) ([]float32, func() bool) {
	const canary = 12345.25
	all := make([]float32, n+2)
	all[0], all[n+1] = canary, canary
	return all[1 : n+1 : n+1], func() bool { return all[0] == canary && all[n+1] == canary }
}

// Row operations that write numbers, each on operands a, b, c of len(dst).
var rowCases = []struct {
	name string
	run  func(s *Set, dst, a, b, c []float32)
}{
	{"add", func(s *Set, dst, a, b, _ []float32) { s.Add(dst, a, b) }},
	{"mul", func(s *Set, dst, a, b, _ []float32) { s.Mul(dst, a, b) }},
	{"swiglu", func(s *Set, dst, a, b, _ []float32) { s.SwiGLU(dst, a, b) }},
	{"silu", func(s *Set, dst, a, _, _ []float32) { s.SiLU(dst, a) }},
	{"exp", func(s *Set, dst, a, _, _ []float32) { s.Exp(dst, a) }},
	{"rmsnorm", func(s *Set, dst, a, b, _ []float32) { s.RMSNorm(dst, a, b, 1e-5) }},
	{"add_rmsnorm", func(s *Set, dst, a, b, c []float32) { s.AddRMSNorm(a, dst, a, b, c, 1e-6) }},
	{"layernorm", func(s *Set, dst, a, b, c []float32) { s.LayerNorm(dst, a, b, c, 1e-5) }},
	{"add_layernorm", func(s *Set, dst, a, b, c []float32) { s.AddLayerNorm(a, dst, a, b, c, nil, 1e-6) }},
	{"activations", func(s *Set, dst, a, b, _ []float32) {
		for i := range activations { // of parts of the row
			lo, hi := i*len(dst)/len(activations), (i+1)*len(dst)/len(activations)
			s.Gate(&activations[i], dst[lo:hi], a[lo:hi], b[lo:hi])
		}
	}},
	{"softcap", func(s *Set, dst, a, _, _ []float32) { s.Softcap(dst, a, 30) }},
	{"rope half", func(s *Set, dst, a, b, c []float32) {
		copy(dst, a)
		half := len(dst) / 4
		s.Rope(RopeHalf, dst, max(1, len(dst)/2), b[:half], c[:half])
	}},
	{"rope interleaved", func(s *Set, dst, a, b, c []float32) {
		copy(dst, a)
		s.Rope(RopeInterleaved, dst, len(dst), b[:len(dst)/2], c[:len(dst)/2])
	}},
	{"magnitudes", func(s *Set, dst, a, _, _ []float32) { dst[0] = s.row.sumAbs(&a[0], len(a)) }},
	{"words", func(s *Set, dst, a, b, _ []float32) {
		words := make([]int16, len(dst))
		s.row.toWords(&words[0], &a[0], len(a), 1000*b[0])
		for i, w := range words {
			dst[i] = float32(w)
		}
	}},
	{"bf16 and back", func(s *Set, dst, a, _, _ []float32) {
		h := make([]uint16, len(dst))
		s.ToBF16(h, a)
		s.FromBF16(dst, h)
	}},
	{"fold", func(s *Set, dst, a, b, c []float32) {
		copy(dst, a)
		s.fold.fold(&dst[0], &b[0], len(dst), c[0], c[len(c)-1])
	}},
	{"scale", func(s *Set, dst, a, _, c []float32) { s.fold.scale(&dst[0], &a[0], len(dst), c[0]) }},
	{"hadamard", func(s *Set, dst, a, _, _ []float32) {
		for block := 1; block <= 256; block *= 2 { // of as many whole blocks as there are
			if n := len(dst) / block * block; n > 0 {
				s.Hadamard(dst[:n], a[:n], block)
			}
		}
	}},
	{"argmax", func(s *Set, dst, a, _, _ []float32) { dst[0] = float32(s.ArgMax(a[:len(dst)])) }},
	{"max abs", func(s *Set, dst, a, _, _ []float32) { dst[0] = s.row.maxAbs(&a[0], len(dst)) }},
}

func TestRowsMatchReference(t *testing.T) {
	for _, s := range Detect() {
		ref := reference(s)
		for _, c := range rowCases {
			r := rand.New(rand.NewPCG(15, 16))
			for n := 1; n < 330; n += 1 + n/150 {
				a, b, w := wildRow(r, n), wildRow(r, n), wildRow(r, n)
				a2 := append([]float32(nil), a...)
				got, alive := guarded(n)
				want := make([]float32, n)
				c.run(ref, want, a2, b, w)
				c.run(s, got, a, b, w)
				for i := range want {
					if !sameBits(got[i], want[i]) || !sameBits(a[i], a2[i]) {
						t.Fatalf("%s %s of %d: [%d] = %x, want %x", s.Name, c.name, n, i, got[i], want[i])
					}
				}
				if !alive() {
					t.Fatalf("%s %s of %d writes beyond its row", s.Name, c.name, n)
				}
			}
		}
	}
}

// forms are the inputs that CPU kernels take.
var forms = []string{"f32", "bf16", "q8t", "q8g", "q16t", "q16g"}

func TestQuantizeMatchesReference(t *testing.T) {
	for _, s := range Detect() {
		r := rand.New(rand.NewPCG(17, 18))
		for range 300 {
			k, format := 1+r.IntN(700), forms[r.IntN(len(forms))]
			a, err := layout.NewActivation(format, k, []int{32, 64, 128}[r.IntN(3)])
			if err != nil {
				t.Fatal(err)
			}
			x := randomRow(r, k)
			if r.IntN(3) == 0 {
				x = wildRow(r, k)
			}
			compareQuantized(t, s, a, x)
		}
	}
}

// compareQuantized quantizes a row by the set and by its reference.
func compareQuantized(t *testing.T, s *Set, a layout.Activation, x []float32) {
	t.Helper()
	got, want := bytes.Repeat([]byte{0xaa}, a.RowBytes()+4), bytes.Repeat([]byte{0xaa}, a.RowBytes()+4)
	reference(s).Quantize(want, a, x)
	s.Quantize(got, a, x)
	clearNaN(a, got)
	clearNaN(a, want)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s %s of %d, group %d: byte %d is %d, want %d", s.Name, a.Name, a.K, a.Group, i, got[i], want[i])
		}
	}
}

// clearNaN makes scales and elements that are NaN equal: their payload is not fixed.
func clearNaN(a layout.Activation, row []byte) {
	for i := range a.Entries() {
		if scale := &atByte[layout.Entry](row, a.EntryOffset()+i*layout.EntryBytes).Scale; *scale != *scale {
			*scale = float32(math.NaN())
		}
	}
	for i := range a.K {
		if a.ElementBytes == 2 {
			if h := atByte[uint16](row, 2*i); *h&0x7fff > 0x7f80 {
				*h = 0x7fc0
			}
		} else if a.ElementBytes == 4 {
			if f := atByte[float32](row, 4*i); *f != *f {
				*f = float32(math.NaN())
			}
		}
	}
}

// A quantized row stands for the row: every element within half a step, sums and padding as documented.
func TestQuantizeIsWithinHalfAStep(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	s := genericSet()
	for _, format := range []string{"q8t", "q8g", "q16t", "q16g"} {
		for range 50 {
			k := 1 + r.IntN(300)
			a, err := layout.NewActivation(format, k, 64)
			if err != nil {
				t.Fatal(err)
			}
			x := randomRow(r, k)
			rows := activate(s, a, x)
			for e := range a.Entries() {
				entry := atByte[layout.Entry](rows.Data, a.EntryOffset()+e*layout.EntryBytes)
				step := float64(entry.Scale)
				rest := 0.5
				if a.Digits == 2 {
					step, rest = step/layout.RestSteps, 1 // half a step of the first digit is one step more than the second holds
				}
				var sums [2]int32
				for i := e * 64; i < min(k, e*64+64); i++ {
					for d := range a.Digits {
						sums[d] += int32(int8(rows.Data[a.CodeOffset(i, d)]))
					}
					if d := math.Abs(value(&rows, 0, i) - float64(x[i])); d > 1.0002*rest*step+1e-7*math.Abs(float64(x[i])) {
						t.Fatalf("%s: %g became %g, step %g", format, x[i], value(&rows, 0, i), step)
					}
				}
				for d, sum := range sums {
					if entry.Bias[d] != -a.Zero*sum || a.GroupScales && entry.NegSums[d] != int16(-sum) {
						t.Fatalf("%s: entry %+v, sums of codes %v", format, *entry, sums)
					}
				}
			}
			for i := k; i < a.KPad(); i++ {
				for d := range a.Digits {
					if c := rows.Data[a.CodeOffset(i, d)]; c != 0 {
						t.Fatalf("%s: padding %d is %d", format, i, c)
					}
				}
			}
		}
	}
}

func TestGatherReadsRows(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for i := range layout.Formats {
		w := randomMatrix(t, r, layout.Formats[i].Name, 40, 1+r.IntN(300), 0)
		got, want := make([]float32, w.K), make([]float32, w.K)
		for _, n := range []int{0, 31, 32, 39} {
			for _, s := range Detect() {
				s.Gather(got, &w, n)
				w.Row(want, w.Data, n)
				for k := range want {
					if got[k] != want[k] {
						t.Fatalf("%s %s row %d: [%d] = %g, want %g", s.Name, w.Name, n, k, got[k], want[k])
					}
				}
			}
		}
	}
}

// The references themselves, against formulas in float64.
func TestRowReferences(t *testing.T) {
	s := genericSet()
	x := []float32{3, -4, 0, 1}
	y := make([]float32, 4)
	s.RMSNorm(y, x, []float32{1, 2, 3, 4}, 0)
	rms := math.Sqrt(26.0 / 4)
	for i, want := range []float64{3 / rms, -8 / rms, 0, 4 / rms} {
		if math.Abs(float64(y[i])-want) > 1e-6 {
			t.Errorf("rmsnorm[%d] = %g, want %g", i, y[i], want)
		}
	}
	s.SwiGLU(y, x, []float32{2, 2, 2, 2})
	for i, v := range x {
		if want := 2 * float64(v) / (1 + math.Exp(-float64(v))); math.Abs(float64(y[i])-want) > 1e-6 {
			t.Errorf("swiglu(%g, 2) = %g, want %g", v, y[i], want)
		}
	}
	h := []float32{1, 0, 0, 1, 7, 7}
	s.Rope(RopeHalf, h, 6, []float32{0, 1}, []float32{1, 0})
	p := []float32{1, 0, 0, 1}
	s.Rope(RopeInterleaved, p, 4, []float32{0, 0}, []float32{1, 1})
	for i, want := range []float32{0, 0, 1, 1, 7, 7} {
		if h[i] != want {
			t.Errorf("rope of halves: %v", h)
			break
		}
	}
	if p[0] != 0 || p[1] != 1 || p[2] != -1 || p[3] != 0 {
		t.Errorf("rope of pairs: %v", p)
	}
	q := []float32{1, 2, 3, 4, 0, 0, 1, 0}
	s.Hadamard(q, q, 4)
	for i, want := range []float32{5, -1, -2, 0, 0.5, 0.5, -0.5, -0.5} {
		if q[i] != want {
			t.Errorf("two Hadamard transforms of four: %v", q)
			break
		}
	}
	nan := float32(math.NaN())
	if i := s.ArgMax([]float32{nan, 1, 5, 5, nan}); i != 2 {
		t.Errorf("argmax = %d", i)
	}
	if dtype.F32ToBF16(1.00390625) != 0x3f80 {
		t.Error("ties do not go to even")
	}
}
