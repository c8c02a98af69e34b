package cuda_test

import (
	"cmp"
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

// A small network whose every matrix is in a format, the table of its tied output too: what comes out is what the interpreter makes of the final
// module, in which inputs are rounded as the target rounds them.
func TestCodeNetworks(t *testing.T) {
	for i, format := range inputFormats {
		for j, target := range gpuTargets {
			codeNetwork(t, i+j, format.name, target, target != "sm80" || format.name == "int8-w8a8")
		}
	}
}

// codeNetwork builds the network for a target, whose inputs are codes or not: in all sizes, or in that whose turn it is.
func codeNetwork(t *testing.T, turn int, format, target string, codes bool) {
	for k, size := range [][3]int{{48, 64, 96}, {37, 72, 40}, {130, 328, 200}} {
		if turn%3 != k && !everywhere() {
			continue
		}
		t.Run(fmt.Sprintf("%s/%s/%v", format, target, size), func(t *testing.T) {
			vocab, hidden, features := size[0], size[1], size[2]
			m := network(t, vocab, hidden, features)
			weights, err := interp.NewRandomWeights(m, 5)
			check(t, err)
			plan := compile(t, m, weights, target, format, vocab)
			kinds := map[string]int{}
			for _, op := range m.Func("step").Ops {
				kinds[op.Kind.Name]++
			}
			if want := map[bool]int{true: 3, false: 0}[codes]; kinds["quantize"] != want || kinds["linear_swiglu"] != 1 {
				t.Errorf("%v, want %d of quantize and a linear_swiglu\n%s", kinds, want, ir.Print(m))
			}
			ids := upTo(min(vocab, 21))
			compare(t, m, weights, ids, run(t, plan, vocab, ids), 1e-5)
		})
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

// inputFormats are formats of weights whose inputs become codes, for the targets where they do: the number on the diagonal of a weight that shows
// them, and what a row becomes.
var inputFormats = []struct {
	name    string
	targets []string
	peak    float32
	group   int // columns that share a scale; 0: all
	stored  func(part []float32) (numbers []float32, scale float32)
}{
	{"fp8", []string{"sm89", "sm90"}, 448, 0, storedE4M3},
	{"fp8-tensor", []string{"sm89"}, 448, 0, storedE4M3},
	{"fp8-block", []string{"sm89", "sm90"}, 448, 128, storedE4M3},
	{"int8-w8a8", []string{"sm80", "sm90"}, 127, 0, func(row []float32) ([]float32, float32) {
		codes := make([]int8, len(row))
		scale, _ := quant.Q8(codes, row)
		return numbersOf(codes, func(code int8) float32 { return float32(code) }), scale
	}},
}

func storedE4M3(part []float32) ([]float32, float32) {
	codes := make([]uint8, len(part))
	scale := quant.E4M3(codes, part)
	return numbersOf(codes, dtype.E4M3ToF32), scale
}

func numbersOf[T any](codes []T, number func(T) float32) []float32 {
	var out []float32
	for _, c := range codes {
		out = append(out, number(c))
	}
	return out
}

// A weight with the largest code on its diagonal shows the codes and the scale of each row of inputs: results are those of package quant, bit for
// bit, also for rows with infinities, tiny numbers, nothing but zeros, and of a length that is odd.
func TestQuantizeBits(t *testing.T) {
	const rows = 12
	for _, format := range inputFormats {
		for _, k := range []int{1, 31, 65, 320, 777} {
			for _, target := range format.targets {
				table := max(rows, k) // as many rows as there are tokens
				x, eye := quantizeRows(table, k), make([]float32, k*k)
				for i := range k {
					eye[i*k+i] = format.peak
				}
				m := product(t, k, k, table, false)
				plan := compile(t, m, tensors{"x": x, "w": eye}, target, format.name, k)
				got := run(t, plan, k, upTo(min(k, rows)))
				for r := range got {
					var want []float32
					lost := false // a group's scale that is no number spoils the sums of all
					group := cmp.Or(format.group, k)
					for at := 0; at < k; at += group {
						codes, scale := format.stored(x[r*k+at : r*k+min(k, at+group)])
						lost = lost || format.group > 0 && !(scale <= math.MaxFloat32)
						for _, code := range codes {
							want = append(want, code*format.peak*scale)
						}
					}
					for i, y := range got[r] {
						if nan := lost || want[i] != want[i]; nan && y == y || !nan && y != want[i] {
							t.Fatalf("%s, %s, %d columns, row %d, column %d: %v, want %v", format.name, target, k, r, i, y, want[i])
						}
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
	spec, packed := lower(t, m, weights, gpuTarget(t, "sm89"), passes.Policy{Linear: "fp8", Embed: "bf16"}, 32)
	for layout, want := range map[string]string{ // of the same size
		"frag.u8": "weight w of frag.u8 takes an input of bf16, not e4m3t", "frag.s8": "weight w of frag.s8 takes an input of s8t, not e4m3t",
	} {
		for i := range spec.Weights {
			if spec.Weights[i].Name == "w" {
				spec.Weights[i].Layout = layout
			}
		}
		if _, err := write(t, spec, packed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
