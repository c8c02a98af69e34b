package cuda_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/ir/interp"
)

// indexBuffer adds an activation of indices, whose rows lie one after the other.
func (s *single) indexBuffer(role string, cols int) *engine.Buffer {
	b := s.buffer(role, dtype.I32, cols)
	b.Stride = int64(4 * cols)
	return b
}

func integersOf(bytes []byte) []int32 {
	var out []int32
	for i := 0; i < len(bytes); i += 4 {
		out = append(out, int32(binary.LittleEndian.Uint32(bytes[i:])))
	}
	return out
}

// routings are ways to choose experts, by the attributes of the op.
var routings = []struct {
	experts int
	bias    bool
	attrs   string
	top     int
}{
	{1, false, "", 1},
	{8, false, "normalize=1", 2},
	{60, false, "", 4},
	{128, false, "normalize=1", 8},
	{256, true, `score="sigmoid", normalize=1, groups=8, top_groups=4, group_score="top2", scale=2.5`, 8},
	{160, false, "groups=8, top_groups=3, scale=16.0", 6},
	{40, true, `score="sigmoid", groups=4, top_groups=2`, 20},
	{48, true, `groups=16, top_groups=5, group_score="top2"`, 3},
	{1000, false, `score="sigmoid"`, 32},
}

// routeModule is the op alone, as text.
func routeModule(t *testing.T, experts, top int, attrs string, bias bool) *ir.Module {
	t.Helper()
	operand, weight := "", ""
	if bias {
		operand, weight = ", %bias", fmt.Sprintf("weight %%bias : f32[%d]\n", experts)
	}
	if attrs != "" {
		attrs = ", " + attrs
	}
	m, err := ir.Parse(fmt.Sprintf("%sfunc @f(%%logits: f32[T,%d]) -> (i32[T,%d], f32[T,%d]) {\n  %%e, %%w = moe.route %%logits%s {top_k=%d%s} : i32[T,%d], f32[T,%d]\n  return %%e, %%w\n}",
		weight, experts, top, top, operand, top, attrs, top, top))
	check(t, err)
	return m
}

// attrsOf are the attributes of a launch of the op.
func attrsOf(op *ir.Op) []engine.Attr {
	return []engine.Attr{
		{Name: "top_k", Int: op.Int("top_k")}, {Name: "score", Text: op.Text("score")}, {Name: "normalize", Int: op.Int("normalize")},
		{Name: "groups", Int: op.Int("groups")}, {Name: "top_groups", Int: op.Int("top_groups")}, {Name: "group_score", Text: op.Text("group_score")},
		{Name: "scale", Float: op.Float("scale")},
	}
}

// TestRoute wants the experts that the interpreter chooses, in its order, and their weights: of logits that are all different, and of few
// different ones, so that many are equal.
func TestRoute(t *testing.T) {
	for _, c := range routings {
		t.Run(fmt.Sprintf("%d_of_%d_%s", c.top, c.experts, c.attrs), func(t *testing.T) {
			const tokens = 21
			m := routeModule(t, c.experts, c.top, c.attrs, c.bias)
			op := m.Func("f").Ops[0]
			s := newSingle(t, "cuda.moe_route", "moe.route", attrsOf(op)...)
			s.program.Buffers = make([]engine.Buffer, 0, 3)
			logits, experts, weights := s.buffer("logits", dtype.F32, c.experts), s.indexBuffer("experts", c.top), s.buffer("weights", dtype.F32, c.top)
			mem := newMemory(t)
			bias := randoms(c.experts, 7, 0.1)
			if c.bias {
				s.weight("bias", int64(c.experts))
				mem.floats("bias", bias)
			}
			s.write("sm80")
			x, y, w := mem.matrix(logits, tokens), mem.matrix(experts, tokens), mem.matrix(weights, tokens)
			input := interp.Tensor{Rows: tokens, Cols: c.experts, Data: randoms(tokens*c.experts, 9, 3)}
			for i, v := range input.Data {
				if i/c.experts%3 == 1 && !c.bias {
					input.Data[i] = float32(math.Round(float64(v)))
				}
				x.set(i/c.experts, i%c.experts, input.Data[i])
			}
			s.run(mem, tokens, 1, 16, 0)
			batch := &interp.Batch{Inputs: map[string]interp.Tensor{"logits": input}}
			batch.Add(0, 0, tokens, make([]int32, tokens)...)
			want, err := interp.New(m, tensors{"bias": bias}).Run("f", batch)
			check(t, err)
			if got := integersOf(y.bytes); !slices.Equal(got, want[0].Index) {
				t.Fatalf("experts %v, want %v", got, want[0].Index)
			}
			for i, v := range want[1].Data {
				if got := w.at(i/c.top, i%c.top); math.Abs(float64(got-v)) > 1e-5*math.Abs(float64(v))+1e-30 {
					t.Fatalf("weight %d: %v, want %v", i, got, v)
				}
			}
		})
	}
}

// TestDispatch wants a stable order, exactly: of choices at random, all of one expert, and none of some.
func TestDispatch(t *testing.T) {
	for _, c := range []struct{ tokens, top, count, used int }{{1, 1, 1, 1}, {1, 2, 8, 8}, {5, 8, 256, 256}, {300, 2, 8, 3}, {77, 6, 64, 64}, {129, 1, 5, 1}, {600, 4, 60, 60}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			s := newSingle(t, "cuda.moe_dispatch", "moe.dispatch", engine.Attr{Name: "count", Int: int64(c.count)})
			s.program.Buffers = make([]engine.Buffer, 0, 4)
			buffers := map[string]*engine.Buffer{"experts": s.indexBuffer("experts", c.top), "rows": s.indexBuffer("rows", 1),
				"places": s.indexBuffer("places", c.top), "offsets": s.indexBuffer("offsets", 1)}
			s.write("sm80")
			mem := newMemory(t)
			random := rand.New(rand.NewPCG(1, uint64(c.tokens)))
			var chosen []int32
			for range c.tokens {
				for _, e := range random.Perm(c.used)[:min(c.top, c.used)] {
					chosen = append(chosen, int32(e))
				}
			}
			in := mem.matrix(buffers["experts"], c.tokens)
			for i, e := range chosen {
				binary.LittleEndian.PutUint32(in.bytes[4*i:], uint32(e))
			}
			rows, places := mem.matrix(buffers["rows"], c.tokens*c.top), mem.matrix(buffers["places"], c.tokens)
			offsets := mem.matrix(buffers["offsets"], c.count+1)
			s.run(mem, c.tokens, 1, 16, 0)
			m, err := ir.Parse(fmt.Sprintf("func @f(%%e: i32[T,%d]) -> (i32[%d*T], i32[T,%d], i32[%d]) {\n  %%r, %%p, %%o = moe.dispatch %%e {count=%d} : i32[%d*T], i32[T,%d], i32[%d]\n  return %%r, %%p, %%o\n}",
				c.top, c.top, c.top, c.count+1, c.count, c.top, c.top, c.count+1))
			check(t, err)
			batch := &interp.Batch{Inputs: map[string]interp.Tensor{"e": {Rows: c.tokens, Cols: c.top, Index: chosen}}}
			batch.Add(0, 0, c.tokens, make([]int32, c.tokens)...)
			want, err := interp.New(m, nil).Run("f", batch)
			check(t, err)
			for i, got := range [][]byte{rows.bytes, places.bytes, offsets.bytes} {
				if !slices.Equal(integersOf(got), want[i].Index) {
					t.Fatalf("result %d: %v, want %v", i, integersOf(got), want[i].Index)
				}
			}
		})
	}
}
