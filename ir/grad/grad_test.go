package grad

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"llmc/internal/dense"
	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
)

const (
	vocab, hidden, inner = 24, 16, 20
	qHeads, kvHeads, dim = 4, 2, 8
	layers, tokens       = 2, 11
)

// variant is a model with something that others have not.
type variant struct {
	name            string
	rope            ir.Rope
	attention       ir.Attention
	sinks, alibi    bool
	act             string
	norms           func(b *ir.Builder, name string, x *ir.Value) *ir.Value
	perHead, joined bool
	learned         bool // positions are learned
	scale, softcap  float64
}

func rms(b *ir.Builder, name string, x *ir.Value) *ir.Value {
	return b.RMSNorm(x, b.Weight(name+".weight", dtype.F32, hidden), 1e-5)
}

func layer(b *ir.Builder, name string, x *ir.Value) *ir.Value {
	return b.LayerNorm(x, b.Weight(name+".weight", dtype.F32, hidden), b.Weight(name+".bias", dtype.F32, hidden), 1e-5)
}

var variants = []variant{
	{name: "llama", act: "silu", norms: rms},
	{name: "gemma", act: "gelu_tanh", norms: rms, attention: ir.Attention{Window: 4, Softcap: 1.5}, scale: 3, softcap: 2},
	{name: "qwen3", act: "silu", norms: rms, perHead: true},
	{name: "gptneox", act: "gelu", norms: layer, rope: ir.Rope{RotaryDim: 4, Style: "interleaved"}, joined: true},
	{name: "gpt2", act: "quick_gelu", norms: layer, learned: true},
	{name: "bloom", act: "relu2", norms: layer, alibi: true},
	{name: "sinks", act: "sigmoid", norms: rms, sinks: true, attention: ir.Attention{Chunk: 4}},
}

func (v *variant) module(t *testing.T) *ir.Module {
	t.Helper()
	b := ir.NewBuilder("tiny")
	pairs := dim / 2
	if v.rope.RotaryDim > 0 {
		pairs = v.rope.RotaryDim / 2
	}
	v.rope.InvFreq = b.Constant("inv_freq", []float32{1, 0.1, 0.01, 0.001}[:pairs], 1, pairs)
	s := b.Step(b.PagedCache("kv", layers, kvHeads, dim, dtype.F32))
	kv, embed := s.Token, b.Weight("embed", dtype.F32, vocab, hidden)
	x := b.Gather(embed, s.IDs)
	if v.learned {
		x = b.Add(x, b.GatherPositions(b.Weight("learned", dtype.F32, tokens, hidden), s.Positions))
	}
	if v.scale != 0 {
		x = b.Scale(x, v.scale)
	}
	for i := range layers {
		x, kv = v.layer(b, s, x, kv, i)
	}
	logits := b.Linear(b.SelectRows(v.norms(b, "norm", x), s.Rows), embed, nil)
	if v.softcap != 0 {
		logits = b.Softcap(logits, v.softcap)
	}
	b.Return(logits, kv)
	m, err := b.Module()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (v *variant) layer(b *ir.Builder, s ir.Step, x, kv *ir.Value, i int) (*ir.Value, *ir.Value) {
	p := fmt.Sprintf("l%d.", i)
	linear := func(x *ir.Value, name string, n, k int) *ir.Value {
		return b.Linear(x, b.Weight(p+name, dtype.F32, n, k), b.Weight(p+name+".bias", dtype.F32, n)).As("y." + p + name)
	}
	n := v.norms(b, p+"n1", x)
	var q, k, w *ir.Value
	if v.joined {
		all := linear(n, "qkv", (qHeads+2*kvHeads)*dim, hidden)
		q, k, w = b.Slice(all, 0, qHeads*dim), b.Slice(all, qHeads*dim, kvHeads*dim), b.Slice(all, (qHeads+kvHeads)*dim, kvHeads*dim)
	} else {
		q, k, w = linear(n, "q", qHeads*dim, hidden), linear(n, "k", kvHeads*dim, hidden), linear(n, "v", kvHeads*dim, hidden)
	}
	if v.perHead {
		q = b.GroupRMSNorm(q, b.Weight(p+"qn", dtype.F32, dim), 1e-5, dim)
		k = b.GroupRMSNorm(k, b.Weight(p+"kn", dtype.F32, dim), 1e-5, dim)
	}
	if !v.learned && !v.alibi {
		q, k = b.Rope(q, s, v.rope, qHeads, dim), b.Rope(k, s, v.rope, kvHeads, dim)
	}
	a := v.attention
	a.Layer, a.Heads, a.KVHeads, a.Dim, a.Scale = i, qHeads, kvHeads, dim, 0.6
	if v.sinks {
		a.Sinks = b.Weight(p+"sinks", dtype.F32, qHeads)
	}
	if v.alibi {
		a.ALiBi = b.Constant(p+"alibi", []float32{0.5, 0.25, 0.125, 0.0625}, qHeads)
	}
	kv = b.KVWrite(kv, k, w, i)
	x = b.Add(x, linear(b.Attention(q, kv, s, a), "o", hidden, qHeads*dim))
	n = v.norms(b, p+"n2", x)
	h := b.Mul(b.Activation(v.act, linear(n, "gate", inner, hidden)), linear(n, "up", inner, hidden))
	return b.Add(x, linear(h, "down", hidden, inner)), kv
}

// elements are weights that the interpreter would read.
type elements struct{ source interp.Weights }

func (e elements) Rows(w *ir.Weight, lo, hi int64, to []float32) error {
	data, err := interp.Elements(w, e.source)
	if err != nil {
		return err
	}
	cols := int64(len(to)) / (hi - lo)
	copy(to, data[lo*cols:hi*cols])
	return nil
}

// What a derivative says that a number changes by is what it changes by in the interpreter, whose products' results are moved a little one way and the other.
func TestDerivativesAreThoseOfTheInterpreter(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { v.compare(t) })
	}
}

// comparison is a function run both ways, on random tokens; the number that is differentiated is a sum of its logits by weights.
type comparison struct {
	*testing.T
	m       *ir.Module
	source  interp.Weights
	random  *rand.Rand
	ids     []int32
	weights []float64
}

func (v *variant) compare(t *testing.T) {
	c := &comparison{T: t, m: v.module(t), random: rand.New(rand.NewPCG(1, 2))}
	var err error
	if c.source, err = interp.NewRandomWeights(c.m, 3); err != nil {
		t.Fatal(err)
	}
	for range tokens {
		c.ids = append(c.ids, int32(c.random.IntN(vocab)))
	}
	for range tokens * vocab {
		c.weights = append(c.weights, c.random.NormFloat64())
	}
	f := c.m.Func("step")
	size, err := Size(f, tokens)
	if err != nil {
		t.Fatal(err)
	}
	tape, err := New(f, tokens, 2, make([]float32, size))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time in the room of the first
		c.compare(tape, v)
	}
}

func (c *comparison) compare(tape *Tape, v *variant) {
	logits, err := tape.Forward(elements{c.source}, c.ids)
	if err != nil {
		c.Fatal(err)
	}
	_, want := c.run(nil)
	for i, y := range want.Data {
		if got := logits.Data[i]; math.Abs(float64(got-y)) > 1e-4 {
			c.Fatalf("logit %d is %v, in the interpreter %v", i, got, y)
		}
	}
	for i, w := range c.weights {
		logits.Data[i] = float32(w)
	}
	seen := 0
	tape.Product = func(p Product) error {
		seen++
		c.along(p.Op, p.Slopes)
		c.ofWeights(&p)
		return nil
	}
	if err := tape.Backward(); err != nil {
		c.Fatal(err)
	}
	if want := 7*layers + 1; seen != want && !v.joined || seen < 5*layers {
		c.Errorf("%d products had slopes", seen)
	}
}

// run runs the interpreter, which revises values.
func (c *comparison) run(revise func(v *ir.Value, y interp.Tensor) interp.Tensor) (sum float64, logits interp.Tensor) {
	machine, batch := interp.New(c.m, c.source), &interp.Batch{}
	machine.Exact, machine.Revise = true, revise
	batch.Add(0, 0, tokens, c.ids...)
	batch.SampleAll()
	out, err := machine.Run("step", batch)
	if err != nil {
		c.Fatal(err)
	}
	for i, y := range out[0].Data {
		sum += c.weights[i] * float64(y)
	}
	return sum, out[0]
}

// along compares in a random direction of a product's results.
func (c *comparison) along(op *ir.Op, slopes dense.Matrix) {
	const by = 2e-4
	direction, want, scale := make([]float32, len(slopes.Data)), 0.0, 0.0
	for i, slope := range slopes.Data {
		direction[i] = float32(c.random.NormFloat64())
		part := float64(direction[i]) * float64(slope)
		want, scale = want+part, scale+part*part
	}
	var ends [2]float64
	for side, sign := range []float32{1, -1} {
		ends[side], _ = c.run(func(y *ir.Value, tensor interp.Tensor) interp.Tensor {
			if y != op.Result() {
				return tensor
			}
			moved := interp.Tensor{Rows: tensor.Rows, Cols: tensor.Cols}
			for i, x := range tensor.Data {
				moved.Data = append(moved.Data, x+sign*by*direction[i])
			}
			return moved
		})
	}
	if got := (ends[0] - ends[1]) / (2 * by); math.Abs(got-want) > 0.02*math.Sqrt(scale)+1e-3 {
		c.Errorf("%s: %v in the interpreter, %v by derivative", op.Result().Name, got, want)
	}
}

// ofWeights compares slopes of some rows of a weight with sums over tokens.
func (c *comparison) ofWeights(p *Product) {
	at, n, k := p.Rows/3, p.Rows-p.Rows/3, p.X.Stride
	sum := dense.Matrix{Data: make([]float32, n*k), Stride: k}
	p.AddSlopes(sum, at, n)
	for i := range n {
		for j := range k {
			want := 0.0
			for m := range tokens {
				want += float64(p.Slopes.Row(m, p.Slopes.Stride)[p.First+at+i]) * float64(p.X.Row(m, k)[j])
			}
			if got := float64(sum.Row(i, k)[j]); math.Abs(got-want) > 1e-4*(1+math.Abs(want)) {
				c.Fatalf("%s: the slope of row %d, column %d is %v, not %v", p.Op.Result().Name, p.First+at+i, j, got, want)
			}
		}
	}
}

// Slopes of activations are what differences of their values come to, away from where they bend.
func TestSlopesOfActivations(t *testing.T) {
	for _, a := range ir.Activations {
		f, ok := functions[a.Name]
		if !ok {
			t.Errorf("%s has no derivative", a.Name)
			continue
		}
		for _, x := range []float64{-6, -1.5, -0.3, 0.2, 0.9, 4} {
			const by = 1e-5
			want := (f.value(x+by) - f.value(x-by)) / (2 * by)
			if got := f.slope(x); math.Abs(got-want) > 1e-6 {
				t.Errorf("%s at %v: %v, differences say %v", a.Name, x, got, want)
			}
		}
	}
}

// A function of which an op has no derivative is refused before anything is run.
func TestOpsWithoutADerivative(t *testing.T) {
	b := ir.NewBuilder("latent")
	s := b.Step(b.PagedCache("kv", 1, kvHeads, dim, dtype.F32))
	x := b.Gather(b.Weight("embed", dtype.F32, vocab, hidden), s.IDs)
	b.Return(b.SelectRows(b.ScalePositions(x, s, 0.1, 4), s.Rows), s.Token)
	m, err := b.Module()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(m.Func("step"), tokens, 1, nil); err == nil || err.Error() != "op scale_positions has no derivative" {
		t.Errorf("%v", err)
	}
}
