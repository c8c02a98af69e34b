package cuda_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir"
	"llmc/ir/interp"
	"llmc/passes"
)

var gpuTargets = []string{"sm80", "sm89", "sm90"}

// A small network whose every matrix is fp8, the table of its tied output too: what comes out is what the interpreter makes of the final
// module, in which inputs are rounded as the target rounds them.
func TestFloat8Network(t *testing.T) {
	for _, target := range gpuTargets {
		for _, size := range [][3]int{{48, 64, 96}, {37, 72, 40}, {130, 328, 200}} {
			t.Run(fmt.Sprintf("%s/%v", target, size), func(t *testing.T) {
				vocab, hidden, features := size[0], size[1], size[2]
				m := network(t, vocab, hidden, features)
				weights, err := interp.NewRandomWeights(m, 5)
				check(t, err)
				plan := compile(t, m, weights, target, "fp8", vocab)
				kinds := map[string]int{}
				for _, op := range m.Func("step").Ops {
					kinds[op.Kind.Name]++
				}
				if want := map[bool]int{true: 3, false: 0}[target != "sm80"]; kinds["quantize"] != want || kinds["linear_swiglu"] != 1 {
					t.Errorf("%v, want %d of quantize and a linear_swiglu\n%s", kinds, want, ir.Print(m))
				}
				ids := upTo(min(vocab, 21))
				compare(t, m, weights, ids, run(t, plan, vocab, ids), 1e-5)
			})
		}
	}
}

// network is a gated layer between a table and an output matrix that is the same.
func network(t *testing.T, vocab, hidden, features int) *ir.Module {
	t.Helper()
	b := ir.NewBuilder("network")
	step := b.Step()
	embed := b.Weight("embed", dtype.BF16, vocab, hidden)
	x := b.Gather(embed, step.IDs)
	gate, up := b.Linear(x, b.Weight("gate", dtype.BF16, features, hidden), nil), b.Linear(x, b.Weight("up", dtype.BF16, features, hidden), nil)
	down := b.Linear(b.Mul(b.SiLU(gate), up), b.Weight("down", dtype.BF16, hidden, features), b.Weight("bias", dtype.BF16, hidden))
	b.Return(b.Linear(b.SelectRows(down, step.Rows), embed, nil))
	m, err := b.Module()
	check(t, err)
	return m
}

// tensors are given numbers.
type tensors map[string][]float32

// Tensor implements interp.Weights.
func (w tensors) Tensor(name string) ([]float32, error) { return w[name], nil }

// A weight of 448 on its diagonal shows the codes and the scale of each row of inputs: results are those of quant.E4M3, bit for bit, also for
// rows with infinities, tiny numbers, nothing but zeros, and of a length that is odd.
func TestQuantizeE4M3Bits(t *testing.T) {
	const rows = 12
	for _, k := range []int{1, 31, 65, 320, 777} {
		for _, target := range []string{"sm89", "sm90"} {
			table := max(rows, k) // as many rows as there are tokens
			x, eye := quantizeRows(table, k), make([]float32, k*k)
			for i := range k {
				eye[i*k+i] = 448
			}
			m := product(t, k, k, table, false)
			plan := compile(t, m, tensors{"x": x, "w": eye}, target, "fp8", k)
			got := run(t, plan, k, upTo(min(k, rows)))
			codes := make([]uint8, k)
			for r := range got {
				scale := quant.E4M3(codes, x[r*k:(r+1)*k])
				for i, y := range got[r] {
					want := dtype.E4M3ToF32(codes[i]) * 448 * scale
					if nan := scale != scale || scale > math.MaxFloat32; nan && y == y || !nan && y != want {
						t.Fatalf("%s, %d columns, row %d, column %d: %v, want %v", target, k, r, i, y, want)
					}
				}
			}
		}
	}
}

// quantizeRows makes rows of bf16 of different kinds.
func quantizeRows(rows, k int) []float32 {
	random := rand.New(rand.NewPCG(1, uint64(k)))
	x := make([]float32, rows*k)
	for i := range x {
		v := random.NormFloat64()
		switch i / k {
		case 1:
			v = 0
		case 2:
			v *= 1e-31
		case 3:
			v *= 1e35
		case 4:
			if i%k == k/2 {
				v = math.Inf(-1)
			}
		case 5:
			if i%k == k-1 {
				v = math.NaN()
			}
		case 6:
			v *= math.Pow(2, float64(random.IntN(30)))
		}
		x[i] = dtype.BF16ToF32(dtype.F32ToBF16(float32(v)))
	}
	return x
}

// A plan that gives codes to a weight of something else is refused when it is opened.
func TestCodesNeedTheirWeights(t *testing.T) {
	m := product(t, 32, 64, 32, false)
	weights, err := interp.NewRandomWeights(m, 5)
	check(t, err)
	spec, packed := lower(t, m, weights, "sm89", passes.Policy{Linear: "fp8", Embed: "bf16"}, 32)
	for i := range spec.Weights {
		if spec.Weights[i].Name == "w" {
			spec.Weights[i].Layout = "frag.u8" // of the same size
		}
	}
	if _, err := write(t, spec, packed); err == nil || !strings.Contains(err.Error(), "weight w of frag.u8 takes an input of bf16, not e4m3t") {
		t.Errorf("error %v", err)
	}
}
