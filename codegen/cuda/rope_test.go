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
	heads, kvHeads, dim, rotary int
	style                       string
	norm                        bool
	out                         dtype.Type
	page                        int
	mode                        string
}

var ropeCases = []ropeCase{
	{4, 2, 64, 64, "half", false, dtype.F32, 16, "static"},
	{4, 2, 128, 128, "half", true, dtype.BF16, 32, "static"},
	{3, 1, 80, 32, "half", false, dtype.BF16, 48, "static"},
	{5, 5, 24, 24, "interleaved", true, dtype.F32, 16, "static"},
	{2, 1, 96, 70, "interleaved", false, dtype.BF16, 64, "static"},
	{2, 1, 256, 256, "half", true, dtype.BF16, 128, "static"},
	{1, 1, 5, 4, "half", true, dtype.BF16, 16, "static"},
	{2, 2, 20, 10, "interleaved", true, dtype.F32, 16, "static"},
	{4, 2, 64, 64, "half", false, dtype.F32, 16, "longrope"},
	{2, 1, 96, 70, "interleaved", true, dtype.BF16, 64, "longrope"},
	{3, 1, 80, 32, "half", true, dtype.BF16, 48, "dynamic"},
	{2, 2, 20, 10, "interleaved", false, dtype.F32, 16, "dynamic"},
	{2, 1, 256, 256, "half", false, dtype.F32, 16, "dynamic"},
}

func (c ropeCase) rope() rotary { return rotary{c.mode, c.style, c.rotary} }

const ropeEps = 1e-6

func (c ropeCase) single(t *testing.T) (*single, *engine.Buffer, *engine.Buffer) {
	s := newSingle(t, "cuda.rope_kv", "rope_kv", append(c.rope().attrs(),
		engine.Attr{Name: "heads", Int: int64(c.heads)}, engine.Attr{Name: "kv_heads", Int: int64(c.kvHeads)}, engine.Attr{Name: "dim", Int: int64(c.dim)},
		engine.Attr{Name: "eps", Float: ropeEps})...)
	s.program.Buffers = make([]engine.Buffer, 0, 2)
	qkv, y := s.buffer("qkv", dtype.F32, (c.heads+2*c.kvHeads)*c.dim), s.buffer("y", c.out, c.heads*c.dim)
	s.inputs("positions", "ropelen", "slots")
	s.weight("inv_freq", int64(c.rope().variants()), int64(c.rotary/2))
	s.cache(c.kvHeads, c.dim)
	if c.norm {
		s.weight("q_norm", int64(c.dim))
		s.weight("k_norm", int64(c.dim))
	}
	return s, qkv, y
}

// normal is one head as it is before it turns, in float64.
func (c ropeCase) normal(head, norm []float32) []float64 {
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
	return x
}

// ropeStep is a step of rope_kv: what goes in and where the results lie.
type ropeStep struct {
	ropeCase
	positions, lengths, slots []int32
	data                      []float32 // rows of qkv
	qNorm, kNorm              []float32
	y                         matrix
	kv                        layout.PlainKV
	cache                     []byte
	stride                    int          // of pages
	written                   map[int]bool // bytes of the cache that were compared
}

func (c ropeCase) run(t *testing.T, positions, slots []int32) *ropeStep {
	t.Helper()
	s, qkvBuffer, yBuffer := c.single(t)
	s.write("sm80")
	r := &ropeStep{ropeCase: c, positions: positions, slots: slots, written: map[int]bool{}}
	var err error
	r.kv, err = layout.NewPlainKV(dtype.BF16, c.page, c.kvHeads, c.dim)
	check(t, err)
	m := newMemory(t)
	r.stride = r.kv.Bytes() + 64
	qkv := m.matrix(qkvBuffer, len(positions))
	r.y, r.cache = m.matrix(yBuffer, len(positions)), m.fresh("cache", 9*r.stride)
	m.ints("positions", positions)
	m.ints("slots", slots)
	for i, p := range positions {
		r.lengths = append(r.lengths, max(p+1, []int32{10, 5000, rotaryLimit, rotaryLimit + 1}[i%4]))
	}
	m.ints("ropelen", r.lengths)
	m.floats("inv_freq", c.rope().table())
	r.qNorm, r.kNorm = randoms(c.dim, 1, 1), randoms(c.dim, 2, 1)
	if c.norm {
		m.floats("q_norm", r.qNorm)
		m.floats("k_norm", r.kNorm)
	}
	r.data = randoms(len(positions)*int(qkv.Cols), 3, 1)
	for i, v := range r.data {
		qkv.set(i/int(qkv.Cols), i%int(qkv.Cols), v)
	}
	s.run(m, len(positions), 1, c.page, r.stride)
	return r
}

// head is a head of a token's row of qkv.
func (r *ropeStep) head(token, h int) []float32 {
	return r.data[(token*(r.heads+2*r.kv.Heads)+h)*r.dim:][:r.dim]
}

// stored is what lies at a place of a slot's page.
func (r *ropeStep) stored(slot int32, place func(offset int) int) float32 {
	at := int(slot)/r.page*r.stride + place(int(slot)%r.page)
	r.written[at] = true
	return widened(binary.LittleEndian.Uint16(r.cache[at:]))
}

// TestRopeKV compares queries, keys and values of tokens at near and far positions with plain arithmetic, and wants everything
// else of the cache untouched.
func TestRopeKV(t *testing.T) {
	for _, c := range ropeCases {
		t.Run(fmt.Sprintf("%d_%d_%d_%d_%s_%v_%s", c.heads, c.kvHeads, c.dim, c.rotary, c.style, c.out, c.mode), func(t *testing.T) {
			r := c.run(t, []int32{0, 1, 17, 99999, 131071, 5}, []int32{3, 40, 0, 5, -1, 130})
			for token := range r.positions {
				r.checkToken(t, token)
			}
			r.y.checkPadding(t, len(r.positions))
			for i := 0; i < len(r.cache); i += 2 {
				if !r.written[i] && binary.LittleEndian.Uint16(r.cache[i:]) != 0xffff {
					t.Fatalf("byte %d of the cache was written", i)
				}
			}
		})
	}
}

func (r *ropeStep) checkToken(t *testing.T, token int) {
	t.Helper()
	position, length, slot := r.positions[token], r.lengths[token], r.slots[token]
	slack := r.rope().slack(position, length)
	for h := range r.heads {
		want := r.normal(r.head(token, h), r.qNorm)
		r.rope().turn(want, position, length)
		near(t, fmt.Sprintf("token %d query %d", token, h), want, r.out, slack,
			func(d int) float32 { return r.y.at(token, h*r.dim+d) })
	}
	if slot < 0 {
		return
	}
	for h := range r.kv.Heads {
		want := r.normal(r.head(token, r.heads+h), r.kNorm)
		if r.mode == "static" {
			r.rope().turn(want, position, length)
		}
		near(t, fmt.Sprintf("token %d key %d", token, h), want, dtype.BF16, 0,
			func(d int) float32 { return r.stored(slot, func(offset int) int { return r.kv.K(h, offset, d) }) })
		for d, v := range r.head(token, r.heads+r.kv.Heads+h) {
			got := r.stored(slot, func(offset int) int { return r.kv.V(h, offset, d) })
			if got != rounded(v) {
				t.Fatalf("token %d value %d channel %d: %v, want %v", token, h, d, got, rounded(v))
			}
		}
	}
}

// near wants a head within the rounding of its type and the approximation of sine and cosine, where angles may be off by slack.
func near(t *testing.T, what string, want []float64, typ dtype.Type, slack float64, got func(d int) float32) {
	t.Helper()
	top := 0.0
	for _, w := range want {
		top = max(top, math.Abs(w))
	}
	for d, w := range want {
		tolerance := (4e-6 + slack) * top
		if typ == dtype.BF16 {
			tolerance += math.Abs(w) / 256
		}
		if g := float64(got(d)); !(math.Abs(g-w) <= tolerance) {
			t.Fatalf("%s channel %d: %v, want %v", what, d, g, w)
		}
	}
}
