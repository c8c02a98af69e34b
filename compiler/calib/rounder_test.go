package calib

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"llmc/internal/dense"
	"llmc/internal/quant"
)

// roundedFormats are those whose codes a rounder chooses, but for those that differ from one before in their inputs alone.
func roundedFormats() []*quant.Format {
	var all []*quant.Format
	for i := range quant.Formats {
		if f := &quant.Formats[i]; f.Choosable() && !strings.HasSuffix(f.Name, "-a8") {
			all = append(all, f)
		}
	}
	return all
}

// groupOf is how many columns of a format share a scale; where all do, some.
func groupOf(f *quant.Format) int { return cmp.Or(f.Group, 64) }

// correlated makes inputs [n, cols] some of whose columns are much larger than others, and that hang together, and the sum of x*transpose(x).
func correlated(r *rand.Rand, n, cols int) []float32 {
	x := dense.Matrix{Data: make([]float32, n*cols), Stride: cols}
	size := make([]float64, cols)
	for i := range size {
		size[i] = math.Exp(r.NormFloat64())
	}
	for row := range n {
		hidden := r.NormFloat64()
		for i := range size {
			hidden = 0.7*hidden + 0.7*r.NormFloat64()
			x.Data[row*cols+i] = float32(size[i] * (hidden + 0.3*r.NormFloat64()))
		}
	}
	h := dense.Matrix{Data: make([]float32, cols*cols), Stride: cols}
	dense.AddTransposed(h, x, x, cols, cols, n)
	return h.Data
}

func normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// lost is e (H + damping) transpose(e) in f64, of the rows that b stands for.
func lost(f *quant.Format, b *quant.Block, x, h []float32, cols int) float64 {
	q := make([]float32, len(x))
	f.Dequantize(q, b)
	mean := 0.0
	for i := range cols {
		mean += float64(h[i*cols+i]) / float64(cols)
	}
	sum := 0.0
	for at := 0; at < len(x); at += cols {
		for i := range cols {
			ei := float64(q[at+i]) - float64(x[at+i])
			sum += damping * mean * ei * ei
			for j := range cols {
				sum += ei * float64(h[i*cols+j]) * (float64(q[at+j]) - float64(x[at+j]))
			}
		}
	}
	return sum
}

func TestNoMethodLosesMoreThanRounding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(roundedFormats()).Draw(t, "format")
		cols, rows := rapid.IntRange(1, 3).Draw(t, "groups")*groupOf(f), rapid.IntRange(1, 5).Draw(t, "rows")
		if cols > groupOf(f) && rapid.Bool().Draw(t, "short") {
			cols -= groupOf(f) / 2
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		h, x := correlated(r, rapid.IntRange(1, 100).Draw(t, "inputs"), cols), normal(r, rows*cols)
		var plain quant.Block
		if err := f.Quantize(&plain, x, cols); err != nil {
			t.Fatal(err)
		}
		want := lost(f, &plain, x, h, cols)
		for i := range Methods {
			rounder, err := NewRounder(f, &Methods[i], h, cols, nil)
			if err != nil {
				t.Fatal(err)
			}
			var b quant.Block
			loss, err := rounder.Round(&b, x, &Scratch{})
			if err != nil {
				t.Fatal(err)
			}
			got := lost(f, &b, x, h, cols)
			if got > want*1.0001+1e-6 || math.Abs(loss.Err-got) > 1e-3*got+1e-6 {
				t.Errorf("%s %s: loses %g, reports %g; rounding loses %g", f.Name, Methods[i].Name, got, loss.Err, want)
			}
		}
	})
}

// TestMethodsGain holds methods to what they are for, on inputs that hang together: rounding with a search loses some percent less, compensation a large part.
func TestMethodsGain(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const cols, rows = 256, 32
	h, x := correlated(r, 600, cols), normal(r, rows*cols)
	for _, f := range roundedFormats() {
		var plain quant.Block
		if err := f.Quantize(&plain, x, cols); err != nil {
			t.Fatal(err)
		}
		before := lost(f, &plain, x, h, cols)
		for name, most := range map[string]float64{"rtn": 0.98, "gptq": 0.6} {
			method, err := FindMethod(name)
			if err != nil {
				t.Fatal(err)
			}
			rounder, err := NewRounder(f, method, h, cols, nil)
			if err != nil {
				t.Fatal(err)
			}
			var b quant.Block
			if _, err := rounder.Round(&b, x, &Scratch{}); err != nil {
				t.Fatal(err)
			}
			if part := lost(f, &b, x, h, cols) / before; !(part < most) {
				t.Errorf("%s %s: loses %.3f of what rounding does, want less than %g", f.Name, name, part, most)
			} else {
				t.Logf("%s %s: %.3f", f.Name, name, part)
			}
		}
	}
}

// TestRowsAreIndependent: codes of a row do not depend on the rows beside it, so that panels of any height are packed alike.
func TestRowsAreIndependent(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	const cols, rows = 128, 21
	h, x := correlated(r, 200, cols), normal(r, rows*cols)
	for _, f := range roundedFormats() {
		rounder, err := NewRounder(f, &Methods[0], h, cols, nil)
		if err != nil {
			t.Fatal(err)
		}
		var all, one quant.Block
		s := &Scratch{}
		if _, err := rounder.Round(&all, x, s); err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			if _, err := rounder.Round(&one, x[i*cols:(i+1)*cols], s); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(one.Codes, all.Codes[i*cols:(i+1)*cols]) {
				t.Fatalf("%s: row %d alone has other codes", f.Name, i)
			}
		}
	}
}

// TestCompensationIsThatOfThePaper compares with algorithm 1 of GPTQ as published, in f64: errors are spread by rows of the upper factor of the inverse of H. Scales are the
// same search's.
func TestCompensationIsThatOfThePaper(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	const cols, rows = 96, 8
	h, x := correlated(r, 400, cols), normal(r, rows*cols)
	f, err := quant.Find("int4-g32")
	if err != nil {
		t.Fatal(err)
	}
	rounder, err := NewRounder(f, &Methods[0], h, cols, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &Scratch{}
	if _, err := rounder.Round(&quant.Block{}, x, s); err != nil {
		t.Fatal(err)
	}
	if err := rounder.compensated(s, x); err != nil { // without what Round makes of it
		t.Fatal(err)
	}
	want := published(t, rounder, f, h, x, rows)
	same := 0
	for i := range rows {
		if slices.Equal(s.rounded.Codes[i*cols:(i+1)*cols], want[i*cols:(i+1)*cols]) {
			same++
		}
	}
	if same < rows*3/4 { // a number in the middle between two codes may go either way, and takes the rest of its row with it
		t.Errorf("%d of %d rows have the codes of the published algorithm", same, rows)
	}
}

func copyOf(b *quant.Block) *quant.Block {
	c := *b
	c.Codes, c.Scales, c.Zeros, c.Steps = slices.Clone(b.Codes), slices.Clone(b.Scales), slices.Clone(b.Zeros), slices.Clone(b.Steps)
	return &c
}

// TestRefinementGains: codes and levels that were improved in turn lose less than those that compensation ended with, in any row, and by some percent in all.
func TestRefinementGains(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	const cols, rows = 160, 16
	h, x := correlated(r, 500, cols), normal(r, rows*cols)
	for _, f := range roundedFormats() {
		rounder, err := NewRounder(f, &Methods[0], h, cols, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := &Scratch{}
		if _, err := rounder.Round(&quant.Block{}, x, s); err != nil {
			t.Fatal(err)
		}
		refined := copyOf(&s.rounded)
		if err := rounder.compensated(s, x); err != nil {
			t.Fatal(err)
		}
		var before, after float64
		for i := range rows {
			var one quant.Block
			one.SetRow(f, &s.rounded, i)
			b := lost(f, &one, x[i*cols:(i+1)*cols], h, cols)
			one.SetRow(f, refined, i)
			a := lost(f, &one, x[i*cols:(i+1)*cols], h, cols)
			if a > b*1.0001 {
				t.Errorf("%s row %d: loses %g, before it was refined %g", f.Name, i, a, b)
			}
			before, after = before+b, after+a
		}
		most := 0.98
		if !f.FitsGroups() { // scales stay, and there is little to gain from codes alone
			most = 0.9999
		}
		if !(after < most*before) {
			t.Errorf("%s: loses %.4f of what it did", f.Name, after/before)
		}
	}
}

// published is algorithm 1 in f64, on columns in the rounder's order.
func published(t *testing.T, r *Rounder, f *quant.Format, h, x []float32, rows int) []uint8 {
	t.Helper()
	n := r.cols
	damped, mean := make([][]float64, n), 0.0
	for i := range n {
		mean += float64(h[i*n+i]) / float64(n)
	}
	for i, from := range r.order {
		damped[i] = make([]float64, n)
		for j, to := range r.order {
			damped[i][j] = float64(h[min(from, to)*n+max(from, to)])
		}
		damped[i][i] += damping * mean
	}
	u := lowerFactor(inverse(damped)) // u transposed
	codes := make([]uint8, len(x))
	var b quant.Block
	b.Resize(f, rows, n)
	for row := range rows {
		w := make([]float64, n)
		for i, c := range r.order {
			w[i] = float64(x[row*n+c])
		}
		var l quant.Levels
		for i, c := range r.order {
			if i%f.Group == 0 {
				group, weight := make([]float32, f.Group), make([]float32, f.Group)
				for k := range group {
					group[k], weight[k] = float32(w[i+k]), float32(1/(u[i+k][i+k]*u[i+k][i+k]))
				}
				var err error
				if l, err = f.FitGroup(&b, row, c/f.Group, group, weight); err != nil {
					t.Fatal(err)
				}
			}
			inv, start := l.Line()
			codes[row*n+c] = f.Nearest()(float32(w[i]), inv, start)
			e := (w[i] - float64(l.Number(codes[row*n+c]))) / u[i][i]
			for j := i; j < n; j++ {
				w[j] -= e * u[j][i]
			}
		}
	}
	return codes
}

// inverse is Gauss-Jordan elimination of a positive definite matrix.
func inverse(m [][]float64) [][]float64 {
	n := len(m)
	out := make([][]float64, n)
	for i := range n {
		out[i] = make([]float64, n)
		out[i][i] = 1
	}
	for i := range n {
		p := m[i][i]
		for k := range n {
			m[i][k], out[i][k] = m[i][k]/p, out[i][k]/p
		}
		for j := range n {
			if f := m[j][i]; j != i {
				for k := range n {
					m[j][k], out[j][k] = m[j][k]-f*m[i][k], out[j][k]-f*out[i][k]
				}
			}
		}
	}
	return out
}

// lowerFactor is Cholesky's.
func lowerFactor(m [][]float64) [][]float64 {
	n := len(m)
	l := make([][]float64, n)
	for i := range n {
		l[i] = make([]float64, n)
		for j := 0; j <= i; j++ {
			sum := m[i][j]
			for k := range j {
				sum -= l[i][k] * l[j][k]
			}
			if i == j {
				l[i][i] = math.Sqrt(sum)
			} else {
				l[i][j] = sum / l[j][j]
			}
		}
	}
	return l
}

func TestRoundersOfNothingAreRefused(t *testing.T) {
	int4, _ := quant.Find("int4-g32")
	shared, _ := quant.Find("fp8-tensor")
	if _, err := NewRounder(shared, &Methods[0], []float32{1}, 1, nil); err == nil {
		t.Error("a format whose rows share a scale is taken")
	}
	if _, err := NewRounder(int4, &Methods[0], make([]float32, 64*64), 64, nil); err == nil {
		t.Error("inputs that are all zero are taken")
	}
	if _, err := NewRounder(int4, &Methods[0], []float32{1, float32(math.NaN()), 0, 1}, 2, nil); err == nil {
		t.Error("moments that are not numbers are taken")
	}
	if _, err := FindMethod("awqq"); err == nil {
		t.Error("an unknown method is found")
	}
}
