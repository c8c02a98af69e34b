package cuda_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// ropeCase is a shape of rope_kv.
type ropeCase struct {
	heads, kv, dim, rotary int
	style                  string
	norm                   bool
	out                    dtype.Type
	page                   int
}

var ropeCases = []ropeCase{
	{4, 2, 64, 64, "half", false, dtype.F32, 16},
	{4, 2, 128, 128, "half", true, dtype.BF16, 32},
	{3, 1, 80, 32, "half", false, dtype.BF16, 48},
	{5, 5, 24, 24, "interleaved", true, dtype.F32, 16},
	{2, 1, 96, 70, "interleaved", false, dtype.BF16, 64},
	{2, 1, 256, 256, "half", true, dtype.BF16, 128},
	{1, 1, 5, 4, "half", true, dtype.BF16, 16},
	{2, 2, 20, 10, "interleaved", true, dtype.F32, 16},
}

const ropeFactor, ropeEps = 1.25, 1e-6

func (c ropeCase) single(t *testing.T) (*single, *engine.Buffer, *engine.Buffer) {
	s := newSingle(t, "cuda.rope_kv", "rope_kv",
		engine.Attr{Name: "heads", Int: int64(c.heads)}, engine.Attr{Name: "kv_heads", Int: int64(c.kv)}, engine.Attr{Name: "dim", Int: int64(c.dim)},
		engine.Attr{Name: "rotary_dim", Int: int64(c.rotary)}, engine.Attr{Name: "style", Text: c.style}, engine.Attr{Name: "factor", Float: ropeFactor},
		engine.Attr{Name: "eps", Float: ropeEps})
	s.program.Buffers = make([]engine.Buffer, 0, 2)
	qkv, y := s.buffer("qkv", dtype.F32, (c.heads+2*c.kv)*c.dim), s.buffer("y", c.out, c.heads*c.dim)
	s.inputs("positions", "slots")
	s.weight("inv_freq", 1, int64(c.rotary/2))
	s.cache(c.kv, c.dim)
	if c.norm {
		s.weight("q_norm", int64(c.dim))
		s.weight("k_norm", int64(c.dim))
	}
	return s, qkv, y
}

// turned is one head as the op means it, in float64.
func (c ropeCase) turned(head, norm []float32, position int32, frequencies []float32) []float64 {
	x := make([]float64, c.dim)
	squares := 0.0
	for i, v := range head {
		x[i] = float64(v)
		squares += x[i] * x[i]
	}
	for i := range x {
		if c.norm {
			x[i] *= float64(norm[i]) / math.Sqrt(squares/float64(c.dim)+ropeEps)
		}
	}
	for i, f := range frequencies {
		a, b := i, i+c.rotary/2
		if c.style == "interleaved" {
			a, b = 2*i, 2*i+1
		}
		sin, cos := math.Sincos(float64(float32(position) * f))
		x[a], x[b] = ropeFactor*(x[a]*cos-x[b]*sin), ropeFactor*(x[b]*cos+x[a]*sin)
	}
	return x
}

// TestRopeKV compares queries, keys and values of tokens at near and far positions with plain arithmetic, and wants everything
// else of the cache untouched.
func TestRopeKV(t *testing.T) {
	positions := []int32{0, 1, 17, 99999, 131071, 5}
	slots := []int32{3, 40, 0, 5, -1, 130}
	for _, c := range ropeCases {
		t.Run(fmt.Sprintf("%d_%d_%d_%d_%s_%v", c.heads, c.kv, c.dim, c.rotary, c.style, c.out), func(t *testing.T) {
			s, qkvBuffer, yBuffer := c.single(t)
			s.write("sm80")
			kv, err := layout.NewPlainKV(dtype.BF16, c.page, c.kv, c.dim)
			check(t, err)
			m := newMemory(t)
			stride := kv.Bytes() + 64
			qkv, y := m.matrix(qkvBuffer, len(positions)), m.matrix(yBuffer, len(positions))
			cache := m.fresh("cache", 9*stride)
			m.ints("positions", positions)
			m.ints("slots", slots)
			frequencies := make([]float32, c.rotary/2)
			for i := range frequencies {
				frequencies[i] = float32(math.Pow(10000, -2*float64(i)/float64(c.rotary)))
			}
			m.floats("inv_freq", frequencies)
			qNorm, kNorm := randoms(c.dim, 1, 1), randoms(c.dim, 2, 1)
			if c.norm {
				m.floats("q_norm", qNorm)
				m.floats("k_norm", kNorm)
			}
			data := randoms(len(positions)*int(qkv.Cols), 3, 1)
			for i, v := range data {
				qkv.set(i/int(qkv.Cols), i%int(qkv.Cols), v)
			}
			s.run(m, len(positions), 1, c.page, stride)
			written := map[int]bool{}
			for token, p := range positions {
				row := data[token*int(qkv.Cols):]
				for h := range c.heads {
					near(t, fmt.Sprintf("token %d query %d", token, h), c.turned(row[h*c.dim:][:c.dim], qNorm, p, frequencies), c.out,
						func(d int) float32 { return y.at(token, h*c.dim+d) })
				}
				if slots[token] < 0 {
					continue
				}
				page, offset := int(slots[token])/c.page, int(slots[token])%c.page
				for h := range c.kv {
					key, value := row[(c.heads+h)*c.dim:][:c.dim], row[(c.heads+c.kv+h)*c.dim:][:c.dim]
					at := func(place int) float32 {
						written[page*stride+place] = true
						return widened(binary.LittleEndian.Uint16(cache[page*stride+place:]))
					}
					near(t, fmt.Sprintf("token %d key %d", token, h), c.turned(key, kNorm, p, frequencies), dtype.BF16,
						func(d int) float32 { return at(kv.K(h, offset, d)) })
					for d, want := range value {
						if got := at(kv.V(h, offset, d)); got != rounded(want) {
							t.Fatalf("token %d value %d channel %d: %v, want %v", token, h, d, got, rounded(want))
						}
					}
				}
			}
			y.checkPadding(t, len(positions))
			for i := 0; i < len(cache); i += 2 {
				if !written[i] && binary.LittleEndian.Uint16(cache[i:]) != 0xffff {
					t.Fatalf("byte %d of the cache was written", i)
				}
			}
		})
	}
}

// near wants a head within the rounding of its type and the approximation of sine and cosine.
func near(t *testing.T, what string, want []float64, typ dtype.Type, got func(d int) float32) {
	t.Helper()
	top := 0.0
	for _, w := range want {
		top = max(top, math.Abs(w))
	}
	for d, w := range want {
		tolerance := 4e-6 * top
		if typ == dtype.BF16 {
			tolerance += math.Abs(w) / 256
		}
		if g := float64(got(d)); !(math.Abs(g-w) <= tolerance) {
			t.Fatalf("%s channel %d: %v, want %v", what, d, g, w)
		}
	}
}
