package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// reference returns the Go references that define what the set computes.
func reference(s *Set) *Set { return referenceSet("reference", s.rounding) }

// product is one random matrix product.
type product struct {
	w    Matrix
	x    Rows
	rows int
}

func randomMatrix(t testing.TB, r *rand.Rand, format string, n, k, segment int) Matrix {
	t.Helper()
	l, err := layout.New(format, n, k, segment)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, l.Bytes())
	for p := range l.Panels() {
		rows := min(layout.Lanes, n-p*layout.Lanes)
		if err := packRandom(r, l, l.Panel(data, p), rows); err != nil {
			t.Fatal(err)
		}
	}
	w, err := NewMatrix(l, data)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func packRandom(r *rand.Rand, l layout.Linear, panel []byte, rows int) error {
	if l.ScaleBytes == 0 {
		return l.PackFloats(panel, randomRow(r, rows*l.K))
	}
	if l.Super() {
		return packRandomSuper(r, l, panel, rows)
	}
	if l.Nested {
		return packRandomNested(r, l, panel, rows)
	}
	if l.Composed() {
		return packRandomComposed(r, l, panel, rows)
	}
	if l.Tiered {
		return packRandomTiered(r, l, panel, rows)
	}
	groups := max(1, l.Groups())
	c := layout.Codes{Codes: make([]uint8, rows*l.K), Scales: make([]float32, rows*groups), Zeros: make([]uint8, rows*groups)}
	for i := range c.Scales {
		c.Scales[i] = dtype.F16ToF32(dtype.F32ToF16(0.001 + r.Float32()/16))
		c.Zeros[i] = uint8(r.IntN(16))
		if l.Levels {
			c.Scales[i] = float32(math.Exp2(float64(-3 - r.IntN(6))))
		}
	}
	for i := range c.Codes {
		c.Codes[i] = uint8(r.IntN(16))
		if l.Group == 0 || l.KPerStep == 2 {
			c.Codes[i] = uint8(r.IntN(256))
		}
		if r.IntN(3) == 0 { // extremes, where saturating instructions would go wrong
			c.Codes[i] = []uint8{0, 15, 7}[r.IntN(3)] // the last is the largest level
			if l.Group == 0 || l.KPerStep == 2 {
				c.Codes[i] = []uint8{0, 255}[r.IntN(2)]
			}
		}
		if l.KPerStep == 2 && c.Codes[i]&0x7f == 0x7f { // e4m3 that is not a number
			c.Codes[i]--
		}
	}
	return l.PackCodes(panel, c)
}

func packRandomNested(r *rand.Rand, l layout.Linear, panel []byte, rows int) error {
	groups := (l.K + layout.NestedGroup - 1) / layout.NestedGroup
	c := layout.Codes{Codes: make([]uint8, rows*l.K), Scales: make([]float32, rows), Zeros: make([]uint8, rows*groups), Steps: make([]uint8, rows*groups)}
	for i := range c.Scales {
		c.Scales[i] = 0.001 + r.Float32()/512
	}
	for i := range c.Steps {
		c.Steps[i] = uint8(r.IntN(16))
		most := 255 - 15*int(c.Steps[i])
		c.Zeros[i] = uint8(r.IntN(most + 1))
		if r.IntN(3) == 0 {
			c.Zeros[i] = uint8(most)
		}
	}
	for i := range c.Codes {
		c.Codes[i] = uint8(r.IntN(16))
		if r.IntN(3) == 0 {
			c.Codes[i] = []uint8{0, 15}[r.IntN(2)]
		}
	}
	return l.PackCodes(panel, c)
}

func packRandomSuper(r *rand.Rand, l layout.Linear, panel []byte, rows int) error {
	supers, groups := rows*l.Groups(), rows*((l.K+l.Sub-1)/l.Sub)
	if l.Offsets {
		supers *= 2
	}
	c := layout.Codes{Codes: make([]uint8, rows*l.K), Scales: make([]float32, supers), Zeros: make([]uint8, groups), Steps: make([]uint8, groups)}
	for i := range c.Scales {
		c.Scales[i] = dtype.F16ToF32(dtype.F32ToF16(0.001 + r.Float32()/1024))
	}
	for i := range c.Steps { // files have six bits where there are offsets, else eight with a sign
		c.Steps[i], c.Zeros[i] = uint8(r.IntN(64)), uint8(r.IntN(64))
		if !l.Offsets {
			c.Steps[i] = uint8(r.IntN(256))
		}
		if r.IntN(3) == 0 {
			c.Steps[i], c.Zeros[i] = 63, 63
			if !l.Offsets {
				c.Steps[i] = []uint8{0x80, 0x7f}[r.IntN(2)]
			}
		}
	}
	for i := range c.Codes {
		c.Codes[i] = uint8(r.IntN(int(l.Most) + 1))
		if r.IntN(3) == 0 {
			c.Codes[i] = []uint8{0, l.Most}[r.IntN(2)]
		}
	}
	return l.PackCodes(panel, c)
}

func randomRow(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
		if r.IntN(8) == 0 {
			x[i] = 4 * float32(r.IntN(3)-1)
		}
	}
	return x
}

// activate writes rows [rows, k] in a form, with garbage between the rows. It uses the references, so that all sets see the same input.
func activate(s *Set, a layout.Activation, values []float32) Rows {
	stride := a.RowBytes() + 64
	rows := len(values) / a.K
	x := Rows{Activation: a, Data: make([]byte, rows*stride), Stride: stride}
	for i := range x.Data {
		x.Data[i] = 0xff
	}
	for i := range rows {
		s.Quantize(x.Data[i*stride:(i+1)*stride], a, values[i*a.K:(i+1)*a.K])
	}
	return x
}

// value reads back element k of row i of an activation.
func value(x *Rows, i, k int) float64 {
	row := x.Data[i*x.Stride:]
	switch x.ElementBytes {
	case 4:
		return float64(*atByte[float32](row, 4*k))
	case 2:
		return float64(dtype.BF16ToF32(*atByte[uint16](row, 2*k)))
	}
	code := func(d int) float64 { return float64(int8(row[x.CodeOffset(k, d)])) }
	v := code(0)
	if x.Digits == 2 {
		v += code(1) / layout.RestSteps
	}
	return v * float64(atByte[layout.Entry](row, x.EntryOffset()+k/x.Group*layout.EntryBytes).Scale)
}

func randomProduct(t testing.TB, r *rand.Rand) product {
	t.Helper()
	format := layout.Formats[r.IntN(len(layout.Formats))]
	n, k, rows := 1+r.IntN(70), 1+r.IntN(400), 1+r.IntN(30)
	if r.IntN(3) == 0 {
		k = []int{160, 224, 24, 576, 64, 1, 33}[r.IntN(7)]
	}
	if r.IntN(4) == 0 { // several tiles of rows, whole blocks
		n, k, rows = n/4+1, k/4+1, 30+r.IntN(120)
	}
	segment := 0
	if r.IntN(2) == 0 {
		segment = eighth(&format, k)
	}
	w := randomMatrix(t, r, format.Name, n, k, segment)
	input := w.Input()
	if r.IntN(3) == 0 {
		input = input.OneDigit()
	}
	return product{w: w, x: activate(genericSet(), input, randomRow(r, rows*k)), rows: rows}
}

// run computes the whole product into a matrix whose rows are ld apart.
func (p *product) run(s *Set, ld int) []float32 {
	y := make([]float32, p.rows*ld)
	for i := range y {
		y[i] = float32(math.NaN())
	}
	s.Linear(NewScratch(1), &p.w, &p.x, y, ld, p.rows, 0, p.w.Panels())
	return y
}

func (p *product) String() string {
	return fmt.Sprintf("%s [%d,%d] segment %d, %d rows of %s", p.w.Name, p.w.N, p.w.K, p.w.Segment, p.rows, p.x.Name)
}

// The references agree with the mathematics: weights and activations as numbers, multiplied in float64.
func TestLinearReferenceIsAMatrixProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 60 {
		p := randomProduct(t, r)
		y := p.run(genericSet(), p.w.N)
		slack := 1e-12
		if p.w.Offsets { // numbers are differences of larger ones, each of which is rounded
			slack = 1e-7
		}
		row := make([]float32, p.w.K)
		for n := range p.w.N {
			p.w.Row(row, p.w.Data, n)
			for i := range p.rows {
				var want, size float64
				for k, w := range row {
					v := value(&p.x, i, k) * float64(w)
					want += v
					size += math.Abs(v)
				}
				if got := float64(y[i*p.w.N+n]); math.Abs(got-want) > 2e-6*size+slack {
					t.Fatalf("%v: y[%d,%d] = %g, want %g", &p, i, n, got, want)
				}
			}
		}
	}
}

// Every set gives the bits of the references, at every tile size.
func TestLinearMatchesReference(t *testing.T) {
	for _, s := range Detect() {
		r := rand.New(rand.NewPCG(7, 8))
		for range 150 {
			p := randomProduct(t, r)
			ld := p.w.N + r.IntN(5)
			want, got := p.run(reference(s), ld), p.run(s, ld)
			for i := range want {
				if !sameBits(got[i], want[i]) {
					t.Fatalf("%s: %v: y[%d,%d] = %g, want %g", s.Name, &p, i/ld, i%ld, got[i], want[i])
				}
			}
		}
	}
}

// Sums of more than 24 bits are joined as the set says, by kernels for few rows and for many.
func TestLongSumsOfTwoDigits(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	const k, rows = 5000, 7
	for _, format := range []string{"u8", "u4n.g32"} {
		w := randomMatrix(t, r, format, 40, k, 0)
		row := make([]float32, k)
		w.Row(row, w.Data, 3)
		values := randomRow(r, rows*k)
		for i, v := range row { // as large as can be, and of one sign
			values[i] = float32(math.Copysign(1, float64(v))) * (0.996 + r.Float32()/256)
		}
		p := product{w: w, x: activate(genericSet(), w.Input(), values), rows: rows}
		for _, s := range Detect() {
			want, got := p.run(reference(s), w.N), p.run(s, w.N)
			for i := range want {
				if !sameBits(got[i], want[i]) {
					t.Errorf("%s %s: y[%d] = %g, want %g", s.Name, format, i, got[i], want[i])
				}
			}
			p.rows = 1
			for i, v := range p.run(s, w.N) {
				if !sameBits(v, got[i]) {
					t.Errorf("%s %s: y[%d] = %g alone, %g beside others", s.Name, format, i, v, got[i])
				}
			}
			p.rows = rows
		}
	}
}

// Arguments of a call never point where memory of an earlier one was: the collector would take it for an object.
func TestSumsOfGroupsEndWithTheirProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	w := randomMatrix(t, r, "u4n.g32", 32, 96, 0)
	x := activate(genericSet(), w.Input(), randomRow(r, 9*96))
	for _, s := range Detect() {
		sc, y := NewScratch(1), make([]float32, 9*32)
		for _, rows := range []int{1, 9} {
			s.Linear(sc, &w, &x, y, 32, rows, 0, 1)
			at, sums := uintptr(sc.linear.groupSums), uintptr(0)
			if len(sc.sums) > 0 {
				sums = uintptr(unsafe.Pointer(&sc.sums[0]))
			}
			if at != 0 && (at < sums || at >= sums+uintptr(len(sc.sums))) {
				t.Errorf("%s, %d rows: sums of groups are looked for outside of them", s.Name, rows)
			}
		}
	}
}

// sameBits compares bit for bit; all NaN are the same.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// A result does not depend on which rows and panels are computed with it.
func TestLinearIsBatchInvariant(t *testing.T) {
	for _, s := range Detect() {
		r := rand.New(rand.NewPCG(9, 10))
		for range 40 {
			p := randomProduct(t, r)
			whole := p.run(s, p.w.N)
			got := make([]float32, len(whole))
			for i, n := 0, 0; i < p.rows; i += n {
				n = 1 + r.IntN(p.rows-i)
				x := p.x
				x.Data = x.Data[i*x.Stride:]
				for lo, m := 0, 0; lo < p.w.Panels(); lo += m {
					m = 1 + r.IntN(p.w.Panels()-lo)
					s.Linear(NewScratch(1), &p.w, &x, got[i*p.w.N:], p.w.N, n, lo, lo+m)
				}
			}
			for i := range whole {
				if !sameBits(got[i], whole[i]) {
					t.Fatalf("%s: %v: y[%d] = %g in parts, %g at once", s.Name, &p, i, got[i], whole[i])
				}
			}
		}
	}
}

func TestLinearSwiGLUIsLinearThenSwiGLU(t *testing.T) {
	for _, s := range Detect() {
		r := rand.New(rand.NewPCG(11, 12))
		for range 20 {
			p := randomProduct(t, r)
			pairs := 1 + r.IntN(3)
			n := pairs*layout.Lanes - r.IntN(layout.Lanes)
			p.w = randomMatrix(t, r, p.w.Name, 2*pairs*layout.Lanes, p.w.K, p.w.Segment)
			both, want, got := p.run(s, p.w.N), make([]float32, p.rows*n), make([]float32, p.rows*n)
			for i := range want {
				at := i/n*p.w.N + i%n/layout.Lanes*2*layout.Lanes + i%n%layout.Lanes
				s.SwiGLU(want[i:i+1], both[at:at+1], both[at+layout.Lanes:at+layout.Lanes+1])
			}
			s.LinearSwiGLU(NewScratch(1), &p.w, &p.x, got, n, n, p.rows, 0, 1)
			s.LinearSwiGLU(NewScratch(1), &p.w, &p.x, got, n, n, p.rows, 1, pairs)
			for i := range want {
				if !sameBits(got[i], want[i]) {
					t.Fatalf("%s: %v: y[%d,%d] = %g, want %g", s.Name, &p, i/n, i%n, got[i], want[i])
				}
			}
		}
	}
}

func TestLinearDoesNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, s := range Detect() {
		for _, format := range []string{"f32", "bf16", "u8", "u4z.g32"} {
			w := randomMatrix(t, r, format, 40, 96, 0)
			x := activate(s, w.Input(), randomRow(r, 3*96))
			sc, y := NewScratch(1), make([]float32, 3*40)
			if n := testing.AllocsPerRun(5, func() { s.Linear(sc, &w, &x, y, 40, 3, 0, 2) }); n != 0 {
				t.Errorf("%s %s: %v allocations", s.Name, format, n)
			}
		}
	}
}

// eighth is a segment of an eighth of K, in whole groups.
func eighth(f *layout.Format, k int) int {
	unit := max(64, f.Group)
	return ((k+7)/8 + unit - 1) / unit * unit
}
