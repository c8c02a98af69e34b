package cuda_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
	"llmc/runtime/device/emu"
)

// encoderOf is a layer of an encoder: its tables, attention of both ways and what makes one row of a sequence's.
func encoderOf(hidden, heads, dim, window, ahead int) func(t *testing.T) *ir.Module {
	return func(t *testing.T) *ir.Module {
		t.Helper()
		b := ir.NewBuilder("encoder")
		step := b.Sequences("embed", b.PagedCache("kv", 1, heads, dim, dtype.BF16))
		x := b.Add(b.Gather(b.Weight("embed", dtype.BF16, 1024, hidden), step.IDs), b.GatherTypes(b.Weight("type_rows", dtype.BF16, 2, hidden), step.Types))
		x = b.LayerNorm(b.Add(x, b.GatherPositions(b.Weight("position_rows", dtype.BF16, 512, hidden), step.Positions)), b.Weight("norm", dtype.F32, hidden), nil, 1e-5)
		width := heads * dim
		all := b.Linear(x, b.Weight("qkv", dtype.BF16, 3*width, hidden), nil)
		token := b.KVWrite(step.Token, b.Slice(all, width, width), b.Slice(all, 2*width, width), 0)
		x = b.Attention(b.Slice(all, 0, width), token, step, ir.Attention{Heads: heads, KVHeads: heads, Dim: dim, Scale: 1 / math.Sqrt(float64(dim)), Window: window, Ahead: ahead})
		x = b.Pool(b.Linear(x, b.Weight("o", dtype.BF16, hidden, width), nil), step.SeqStart, "mean").As("embedding")
		b.Return(b.Linear(x, b.Weight("head", dtype.BF16, hidden, hidden), nil).As("logits"), token)
		m, err := b.Module()
		check(t, err)
		return m
	}
}

// TestEncoderPlan runs plans from tokens and their types to a row for each sequence, several of them in a step, and compares with the interpreter.
func TestEncoderPlan(t *testing.T) {
	for i, c := range []struct{ window, ahead int }{{0, ir.EveryPosition}, {17, 16}, {0, 0}} {
		target := []string{"sm80", "sm89", "sm90"}[i]
		t.Run(fmt.Sprint(target, c), func(t *testing.T) {
			const vocab = 1024
			m := encoderOf(64, 2, 32, c.window, c.ahead)(t)
			weights, err := interp.NewRandomWeights(m, 7)
			check(t, err)
			plan := compile(t, m, weights, target, "bf16", vocab)
			model := load(t, emu.Options{Races: true}, plan, engine.Settings{MaxStepTokens: 320, MaxSequences: 3, MaxContext: 272})
			defer model.Close()
			batch, step := &interp.Batch{}, &engine.Step{}
			step.Reset()
			limits, _ := model.Limits()
			for b, n := range []int{5, 270, 33} {
				ids := make([]int32, n)
				for i := range ids {
					ids[i] = int32((i*i + 31*b) % vocab)
					step.Types = append(step.Types, int32((i/3+b)%2))
				}
				batch.Add(b, 0, n, ids...)
				step.IDs = append(step.IDs, ids...)
				for range (n + limits.PageSize - 1) / limits.PageSize {
					step.Pages = append(step.Pages, int32(len(step.Pages)))
				}
				step.EndSequence(0, n, limits.PageSize)
			}
			batch.Types = step.Types
			want, err := interp.New(m, weights).Run("embed", batch)
			check(t, err)
			runner := model.(engine.Runner)
			got := make([]float32, len(want[0].Data))
			check(t, runner.Run("embed", step, [][]float32{got}))
			span := slices.Max(want[0].Data) - slices.Min(want[0].Data)
			for i, v := range got {
				if d := math.Abs(float64(v - want[0].Data[i])); !(d <= 1e-2*float64(span)) {
					t.Fatalf("sequence %d column %d: %v, want %v; the range is %v", i/64, i%64, v, want[0].Data[i], span)
				}
			}
		})
	}
}
