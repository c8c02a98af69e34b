package cuda_test

import (
	"fmt"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
)

// exactStack is y[m] = the sum over the top experts of their product with x[m], + their bias, where every number is whole and every weight one.
type exactStack struct {
	experts, top, n, k int
	peak               int  // of each 32 numbers of the experts' matrices, which fixes the scales of codes at one
	inputs             bool // inputs have it too
}

// routed makes logits so large that their sigmoid is one: the first column of x is one, and meets this number in the router. The others are few and
// small, so that rows go to different experts, with equal logits among them.
const routed = 128

// Tensor implements interp.Weights.
func (c exactStack) Tensor(name string) ([]float32, error) {
	rows := map[string]int{"x": max(c.n, tokensOfStack), "router": c.experts, "w": c.experts * c.n, "bias": c.experts * c.n}[name]
	cols := c.k
	if name == "bias" {
		cols = 1
	}
	data := make([]float32, rows*cols)
	state := uint32(rows*7919 + len(name))
	for i := range data {
		state = state*1664525 + 1013904223
		v, col := float32(int(state>>16)%7-3), i%cols
		switch {
		case name == "router" && col > 12 || name == "router" && col == 5:
			v = 0
		case name == "router" && col == 0:
			v = routed
		case name == "x" && col == 0:
			v = 1
		case (name == "w" || name == "x" && c.inputs) && col%32 == 5:
			if c.peak != 0 {
				v = float32(c.peak)
			}
		}
		data[i] = v
	}
	return data, nil
}

const tokensOfStack = 45

func (c exactStack) build(t *testing.T) *ir.Module {
	t.Helper()
	b := ir.NewBuilder("stack")
	step := b.Step()
	x := b.Gather(b.Weight("x", dtype.BF16, max(c.n, tokensOfStack), c.k), step.IDs)
	d := b.Route(b.Linear(x, b.Weight("router", dtype.BF16, c.experts, c.k), nil), ir.Routing{TopK: c.top, Score: "sigmoid"})
	w := b.Stack("w", "", dtype.BF16, nil, c.experts, c.n, c.k)
	y := b.Combine(b.ExpertLinear(x, d, w, b.Weight("bias", dtype.F32, c.experts*c.n)), d)
	b.Return(b.SelectRows(y, step.Rows))
	m, err := b.Module()
	check(t, err)
	return m
}

// TestExpertsExact multiplies whole numbers in every format, with matrices that fill no panel, experts with no row and with many.
func TestExpertsExact(t *testing.T) {
	for i, format := range exactFormats {
		for j, c := range []exactStack{{experts: 1, top: 1, n: 16, k: 64}, {experts: 3, top: 1, n: 70, k: 160}, {experts: 40, top: 3, n: 33, k: 576}} {
			if !thorough() && (i+j)%3 == 0 || !everywhere() && (i+j)%3 == 1 {
				continue
			}
			for _, target := range format.targets {
				t.Run(fmt.Sprintf("%s/%s/%v", format.name, target, c), func(t *testing.T) {
					c.peak, c.inputs = format.peak, format.inputs
					m := c.build(t)
					plan := compile(t, m, c, target, format.name, c.n)
					for _, tokens := range []int{1, min(tokensOfStack, c.n)} {
						ids := upTo(tokens)
						compare(t, m, c, ids, run(t, plan, c.n, ids), 0)
					}
				})
			}
		}
	}
}
