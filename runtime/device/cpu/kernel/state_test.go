package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"llmc/engine/layout"
)

// stateCase is a random sequence that a convolution and a scan are taken through.
type stateCase struct {
	tokens, blocks, states, inputs int
	conv                           Convolution
	scan                           Scan
	before                         []float32 // of all blocks: inputs, then states
}

// randomFloats are rows further apart than they are long. wild ones have infinities, NaN and numbers of all sizes.
func randomFloats(r *rand.Rand, rows, cols int, wild bool) Floats {
	ld := cols + r.IntN(20)
	data := wildRow(r, rows*ld)
	if !wild {
		for i := range data {
			data[i] = float32(r.NormFloat64())
		}
	}
	return Floats{data, ld}
}

func randomStates(r *rand.Rand, wild bool) *stateCase {
	c := &stateCase{tokens: 1 + r.IntN(20), blocks: 1 + r.IntN(4), states: 1 + r.IntN(20), inputs: 1 + r.IntN(5)}
	channels := c.blocks * layout.StateLanes
	floats := func(rows, cols int) Floats { return randomFloats(r, rows, cols, wild) }
	x := floats(c.tokens, channels)
	c.conv = Convolution{X: x, W: floats(c.inputs+1, channels), Bias: floats(1, channels).Data}
	c.scan = Scan{X: x, DT: floats(c.tokens, channels), B: floats(c.tokens, c.states), C: floats(c.tokens, c.states), A: floats(c.states, channels),
		Skip: floats(1, channels).Data}
	if !wild {
		for i, a := range c.scan.A.Data {
			c.scan.A.Data[i] = -float32(math.Abs(float64(a)))
		}
	}
	c.before = floats(c.inputs+c.states, channels).Data[:channels*(c.inputs+c.states)]
	return c
}

// run returns what both give, in parts of the tokens that end at cuts, and the state behind them.
func (c *stateCase) run(s *Set, cuts ...int) (conv, scan, state []float32) {
	channels, rows := c.blocks*layout.StateLanes, c.inputs+c.states
	a, b := c.conv, c.scan
	a.Y, b.Y = Floats{make([]float32, c.tokens*channels), channels}, Floats{make([]float32, c.tokens*channels), channels}
	state, sc := append([]float32(nil), c.before...), NewScratch(1)
	first := 0
	for _, end := range append(cuts, c.tokens) {
		for block := range c.blocks {
			own := state[block*rows*layout.StateLanes:][:rows*layout.StateLanes]
			s.Convolve(sc, &a, own[:c.inputs*layout.StateLanes], block, first, end-first)
			s.Scan(sc, &b, own[c.inputs*layout.StateLanes:], block, first, end-first)
		}
		first = end
	}
	return a.Y.Data, b.Y.Data, state
}

func compareStates(t *testing.T, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 6))
	c := randomStates(r, r.IntN(2) == 0)
	for _, s := range Detect() {
		conv, scan, state := c.run(reference(s))
		cut := c.tokens / 2
		for _, cuts := range [][]int{nil, {cut}}[:1+min(cut, 1)] {
			gotConv, gotScan, gotState := c.run(s, cuts...)
			for name, pair := range map[string][2][]float32{"convolution": {gotConv, conv}, "scan": {gotScan, scan}, "state": {gotState, state}} {
				for i, want := range pair[1] {
					if !sameBits(pair[0][i], want) {
						t.Fatalf("%s, seed %d, cut at %v: %s [%d] = %g, want %g", s.Name, seed, cuts, name, i, pair[0][i], want)
					}
				}
			}
		}
	}
}

func TestStatesMatchReference(t *testing.T) {
	for seed := range uint64(60) {
		compareStates(t, seed)
	}
}

func FuzzStates(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(compareStates)
}

// The references are the formulas, within what rounding to f32 makes of them.
func TestStateReferencesAreTheirFormulas(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 7))
	for range 20 {
		c := randomStates(r, false)
		conv, scan, _ := c.run(genericSet())
		channels, rows := c.blocks*layout.StateLanes, c.inputs+c.states
		for d := range channels {
			state := make([]float64, rows)
			for n := range state {
				state[n] = float64(c.before[(d/layout.StateLanes*rows+n)*layout.StateLanes+d%layout.StateLanes])
			}
			for m := range c.tokens {
				x := float64(c.conv.X.Data[m*c.conv.X.LD+d])
				sum := float64(c.conv.Bias[d]) + x*float64(c.conv.W.Data[c.inputs*c.conv.W.LD+d])
				for k := range c.inputs {
					sum += state[k] * float64(c.conv.W.Data[k*c.conv.W.LD+d])
				}
				copy(state, state[1:c.inputs])
				state[c.inputs-1] = x
				if got, want := float64(conv[m*channels+d]), sum/(1+math.Exp(-sum)); math.Abs(got-want) > 1e-5 {
					t.Fatalf("token %d, channel %d: convolution %g, want %g", m, d, got, want)
				}
				step := math.Log1p(math.Exp(float64(c.scan.DT.Data[m*c.scan.DT.LD+d])))
				y := x * float64(c.scan.Skip[d])
				for n := range c.states {
					h := &state[c.inputs+n]
					*h = math.Exp(step*float64(c.scan.A.Data[n*c.scan.A.LD+d]))**h + step*x*float64(c.scan.B.Data[m*c.scan.B.LD+n])
					y += *h * float64(c.scan.C.Data[m*c.scan.C.LD+n])
				}
				if got := float64(scan[m*channels+d]); math.Abs(got-y) > 1e-4 {
					t.Fatalf("token %d, channel %d: scan %g, want %g", m, d, got, y)
				}
			}
		}
	}
	for _, x := range []float32{-1000, -88, -20, -1, -1e-3, 0, 1e-3, 0.5, 3, 20, 88, 1000} {
		want := max(float64(x), 0) + math.Log1p(math.Exp(-math.Abs(float64(x))))
		if got := float64(softplus32(x)); math.Abs(got-want) > 3e-7*want+1e-38 {
			t.Errorf("softplus(%g) = %g, want %g", x, got, want)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	sets := Detect()
	for _, s := range []*Set{sets[1], sets[len(sets)-1]} {
		b.Run(s.Name, func(b *testing.B) {
			const tokens, channels, states = 64, 1536, 16
			c := Scan{Y: Floats{make([]float32, tokens*channels), channels}, X: randomFloats(r, tokens, channels, false), DT: randomFloats(r, tokens, channels, false),
				B: randomFloats(r, tokens, states, false), C: randomFloats(r, tokens, states, false), A: randomFloats(r, states, channels, false),
				Skip: make([]float32, channels)}
			for i, a := range c.A.Data {
				c.A.Data[i] = -float32(math.Abs(float64(a)))
			}
			state, sc := make([]float32, states*channels), NewScratch(1)
			for b.Loop() {
				for block := range channels / layout.StateLanes {
					s.Scan(sc, &c, state[block*states*layout.StateLanes:][:states*layout.StateLanes], block, 0, tokens)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/tokens/channels/states, "ns/state")
		})
	}
}
