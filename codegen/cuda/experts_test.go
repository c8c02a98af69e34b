package cuda_test

import (
	"fmt"
	"slices"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
	"llmc/runtime/device/emu"
)

// mixture is a mixture of experts whose every matrix but the router's has the format under test.
type mixture struct {
	vocab, hidden, features, experts int
	ir.Routing
	act    string // "": a product alone, not a gated layer
	bias   bool
	shared bool // an expert that every row goes to, weighted by a number of its own
	gate   ir.Gate
	scales bool // the score multiplies what an expert sees
}

// build writes two layers of it, between a table and a head.
func (c mixture) build(t *testing.T) *ir.Module {
	t.Helper()
	b := ir.NewBuilder("mixture")
	step := b.Step()
	x := b.Gather(b.Weight("x", dtype.BF16, c.vocab, c.hidden), step.IDs)
	for layer := range 2 {
		x = b.Add(x, c.layer(b, fmt.Sprintf("l%d.", layer), b.RMSNorm(x, b.Weight("norm", dtype.F32, c.hidden), 1e-5)))
	}
	b.Return(b.Linear(b.SelectRows(x, step.Rows), b.Weight("head", dtype.BF16, c.vocab, c.hidden), nil))
	m, err := b.Module()
	check(t, err)
	text := ir.Print(m)
	parsed, err := ir.Parse(text)
	check(t, err)
	if ir.Print(parsed) != text {
		t.Fatal("the text reads as another module")
	}
	return parsed
}

func (c mixture) layer(b *ir.Builder, name string, x *ir.Value) *ir.Value {
	stack := func(part string, n, k int) (w, bias *ir.Value) {
		var parts []*ir.Recipe
		for e := range c.experts {
			parts = append(parts, ir.TensorRows(fmt.Sprintf("%se%d.%s", name, e, part), 0, int64(n)))
		}
		if c.bias {
			bias = b.Weight(name+part+".bias", dtype.F32, c.experts*n)
		}
		return b.Stack(name+part, "", dtype.BF16, ir.ConcatRows(parts...), c.experts, n, k), bias
	}
	routing := c.Routing
	if routing.Bias != nil {
		routing.Bias = b.Weight(name+"choice.bias", dtype.F32, c.experts)
	}
	d := b.Route(b.Linear(x, b.Weight(name+"router", dtype.BF16, c.experts, c.hidden), nil), routing)
	gate, gateBias := stack("gate_proj", c.features, c.hidden)
	up, upBias := stack("up_proj", c.features, c.hidden)
	down, downBias := stack("down_proj", c.hidden, c.features)
	seen := x
	if c.scales {
		seen, d.Weights = b.ScaleRows(x, d.Weights), nil
	}
	g, u := b.ExpertLinear(seen, d, gate, gateBias), b.ExpertLinear(seen, d, up, upBias)
	var h *ir.Value
	if bounds := c.gate; bounds == (ir.Gate{}) {
		h = b.Mul(b.Activation(c.act, g), u)
	} else {
		bounds.Act = c.act
		h = b.Gated(g, u, bounds)
	}
	y := b.Combine(b.PlacedLinear(h, d, down, downBias), d)
	if c.shared {
		gate := b.Linear(x, b.Weight(name+"shared.gate_proj", dtype.BF16, c.features, c.hidden), nil)
		up := b.Linear(x, b.Weight(name+"shared.up_proj", dtype.BF16, c.features, c.hidden), nil)
		all := b.Linear(b.Mul(b.Activation(c.act, gate), up), b.Weight(name+"shared.down_proj", dtype.BF16, c.hidden, c.features), nil)
		share := b.Activation("sigmoid", b.Linear(x, b.Weight(name+"share", dtype.BF16, 1, c.hidden), nil))
		y = b.Add(y, b.ScaleRows(all, share))
	}
	return y
}

var mixtures = []mixture{
	{vocab: 48, hidden: 64, features: 128, experts: 8, act: "silu", Routing: ir.Routing{TopK: 2, Normalize: true}},                                                                                               // Mixtral
	{vocab: 48, hidden: 72, features: 40, experts: 60, act: "silu", shared: true, Routing: ir.Routing{TopK: 4}},                                                                                                  // Qwen2-MoE
	{vocab: 48, hidden: 64, features: 64, experts: 64, act: "silu", shared: true, Routing: ir.Routing{TopK: 6, Groups: 8, TopGroups: 3, Scale: 16}},                                                              // DeepSeek-V2
	{vocab: 48, hidden: 96, features: 32, experts: 32, act: "gelu_tanh", bias: true, Routing: ir.Routing{TopK: 4, Normalize: true, Score: "sigmoid"}},                                                            // others
	{vocab: 48, hidden: 64, features: 64, experts: 64, act: "silu", Routing: ir.Routing{TopK: 8, Groups: 8, TopGroups: 4, Score: "sigmoid", GroupScore: "top2", Bias: &ir.Value{}, Normalize: true, Scale: 2.5}}, // DeepSeek-V3
	{vocab: 48, hidden: 64, features: 64, experts: 16, act: "quick_gelu", bias: true, gate: ir.Gate{Limit: 0.5, Shift: 1}, Routing: ir.Routing{TopK: 4, Normalize: true}},                                        // gpt-oss
	{vocab: 48, hidden: 64, features: 64, experts: 8, act: "silu", scales: true, Routing: ir.Routing{TopK: 1, Score: "sigmoid"}},                                                                                 // Llama 4
}

// TestMixtures compares networks with mixtures of experts with the interpreter, for every target and format, and wants the same bits for a token
// whatever the number of tokens beside it.
func TestMixtures(t *testing.T) {
	for i, c := range mixtures {
		for j, target := range gpuTargets {
			if !thorough() && (i+j)%3 != 0 {
				continue
			}
			format := []string{"bf16", "int4-g32", "fp8", "int8", "fp8-block", "int4-g32-zp", "int8-w8a8", "f16"}[(3*i+j)%8]
			t.Run(fmt.Sprintf("%d/%s/%s", i, target, format), func(t *testing.T) {
				m := c.build(t)
				weights, err := interp.NewRandomWeights(m, 5)
				check(t, err)
				plan := compile(t, m, weights, target, format, c.vocab)
				kinds := map[string]int{}
				for _, op := range m.Func("step").Ops {
					kinds[op.Kind.Name]++
				}
				if kinds["moe.linear_swiglu"] != 2 || kinds["moe.linear"] != 2 {
					t.Errorf("%v", kinds)
				}
				ids := sequence(23, c.vocab)
				whole := run(t, plan, c.vocab, ids)
				compare(t, m, weights, ids, whole, 0.02)
				for _, n := range []int{1, 7} {
					some := ids[:10]
					if n == 1 && !everywhere() {
						some = ids[:3]
					}
					for r, row := range runOn(t, emu.Options{}, plan, c.vocab, some, n) {
						if !slices.Equal(row, whole[r]) {
							t.Fatalf("row %d differs in steps of %d tokens", r, n)
						}
					}
				}
			})
		}
	}
}
