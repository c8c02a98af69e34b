package cuda_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// ropeCase is a shape of rope_kv.
type ropeCase struct {
	heads, kvHeads, dim, rotary int
	style                       string
	norm                        bool
	out                         dtype.Type
	page                        int
	mode                        string
	cache                       dtype.Type // invalid: bf16
	rows                        bool       // norms are of all heads of a row
}

var ropeCases = []ropeCase{
	{4, 2, 64, 64, "half", false, dtype.F32, 16, "static", dtype.Invalid, false},
	{4, 2, 128, 128, "half", true, dtype.BF16, 32, "static", dtype.Invalid, false},
	{3, 1, 80, 32, "half", false, dtype.BF16, 48, "static", dtype.Invalid, false},
	{5, 5, 24, 24, "interleaved", true, dtype.F32, 16, "static", dtype.Invalid, false},
	{2, 1, 96, 70, "interleaved", false, dtype.BF16, 64, "static", dtype.Invalid, false},
	{2, 1, 256, 256, "half", true, dtype.BF16, 128, "static", dtype.Invalid, false},
	{1, 1, 5, 4, "half", true, dtype.BF16, 16, "static", dtype.Invalid, false},
	{2, 2, 20, 10, "interleaved", true, dtype.F32, 16, "static", dtype.Invalid, false},
	{4, 2, 64, 64, "half", false, dtype.F32, 16, "longrope", dtype.Invalid, false},
	{2, 1, 96, 70, "interleaved", true, dtype.BF16, 64, "longrope", dtype.Invalid, false},
	{3, 1, 80, 32, "half", true, dtype.BF16, 48, "dynamic", dtype.Invalid, false},
	{2, 2, 20, 10, "interleaved", false, dtype.F32, 16, "dynamic", dtype.Invalid, false},
	{2, 1, 256, 256, "half", false, dtype.F32, 16, "dynamic", dtype.Invalid, false},
	{4, 2, 64, 64, "half", false, dtype.F32, 16, "static", dtype.F16, false},
	{2, 1, 96, 70, "interleaved", true, dtype.BF16, 64, "static", dtype.F16, false},
	{4, 2, 128, 128, "half", true, dtype.BF16, 32, "static", dtype.I8, false},
	{3, 1, 21, 10, "half", false, dtype.F32, 48, "dynamic", dtype.I8, false},
	{4, 2, 64, 64, "half", false, dtype.F32, 16, "static", dtype.F8E4M3, false},
	{1, 1, 5, 4, "half", true, dtype.BF16, 16, "static", dtype.F8E4M3, false},
	{4, 2, 64, 64, "half", true, dtype.F32, 16, "static", dtype.Invalid, true},
	{12, 4, 96, 70, "interleaved", true, dtype.BF16, 64, "longrope", dtype.Invalid, true},
	{3, 1, 5, 4, "half", true, dtype.BF16, 48, "static", dtype.F16, true},
	{4, 2, 64, 64, "half", true, dtype.BF16, 16, "static", dtype.F8E4M3, true},
	{4, 2, 128, 128, "half", true, dtype.BF16, 32, "static", dtype.U4, false},
	{3, 1, 80, 32, "half", false, dtype.BF16, 48, "static", dtype.U4, false},
	{2, 1, 96, 70, "interleaved", true, dtype.BF16, 64, "longrope", dtype.U4, false},
	{3, 1, 21, 10, "half", false, dtype.F32, 48, "dynamic", dtype.U4, false},
	{2, 1, 256, 256, "half", false, dtype.F32, 16, "static", dtype.U4, false},
	{12, 4, 64, 64, "half", true, dtype.F32, 16, "static", dtype.U4, true},
}

func (c ropeCase) stored() dtype.Type { return shape{cache: c.cache}.stored() }

func (c ropeCase) rope() rotary { return rotary{c.mode, c.style, c.rotary} }

const ropeEps = 1e-6

func (c ropeCase) single(t *testing.T) (*single, *engine.Buffer, *engine.Buffer) {
	kernel := "cuda.rope_kv"
	if c.rows {
		kernel = "cuda.rope_kv_rows"
	}
	s := newSingle(t, kernel, "rope_kv", append(c.rope().attrs(),
		engine.Attr{Name: "heads", Int: int64(c.heads)}, engine.Attr{Name: "kv_heads", Int: int64(c.kvHeads)}, engine.Attr{Name: "dim", Int: int64(c.dim)},
		engine.Attr{Name: "eps", Float: ropeEps})...)
	s.program.Buffers = make([]engine.Buffer, 0, 2)
	qkv, y := s.buffer("qkv", dtype.F32, (c.heads+2*c.kvHeads)*c.dim), s.buffer("y", c.out, c.heads*c.dim)
	s.inputs("positions", "ropelen", "slots")
	s.weight("inv_freq", int64(c.rope().variants()), int64(c.rotary/2))
	s.cache(c.kvHeads, c.dim, c.stored())
	if c.norm {
		s.weight("q_norm", int64(c.normed(c.heads)))
		s.weight("k_norm", int64(c.normed(c.kvHeads)))
	}
	return s, qkv, y
}

// normed is how many elements have a norm of queries or keys, of which there are so many heads.
func (c ropeCase) normed(heads int) int {
	if c.rows {
		return heads * c.dim
	}
	return c.dim
}

// normal is head h of a row's queries or keys as it is before it turns, in float64.
func (c ropeCase) normal(heads []float32, h int, norm []float32) []float64 {
	x := make([]float64, c.dim)
	for i := range x {
		x[i] = float64(heads[h*c.dim+i])
	}
	if !c.norm {
		return x
	}
	together, weights := heads[h*c.dim:][:c.dim], norm
	if c.rows {
		together, weights = heads, norm[h*c.dim:]
	}
	squares := 0.0
	for _, v := range together {
		squares += float64(v) * float64(v)
	}
	for i := range x {
		x[i] *= float64(weights[i]) / math.Sqrt(squares/float64(len(together))+ropeEps)
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

func (c ropeCase) run(t *testing.T, target string, positions, slots []int32) *ropeStep {
	t.Helper()
	s, qkvBuffer, yBuffer := c.single(t)
	s.write(target)
	r := &ropeStep{ropeCase: c, positions: positions, slots: slots, written: map[int]bool{}}
	var err error
	r.kv, err = layout.NewPlainKV(c.stored(), c.page, c.kvHeads, c.dim)
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
	r.qNorm, r.kNorm = randoms(c.normed(c.heads), 1, 1), randoms(c.normed(c.kvHeads), 2, 1)
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

// queries and keys are all heads of them in a token's row of qkv.
func (r *ropeStep) queries(token int) []float32 {
	return r.data[token*(r.heads+2*r.kv.Heads)*r.dim:][:r.heads*r.dim]
}

func (r *ropeStep) keys(token int) []float32 {
	return r.data[(token*(r.heads+2*r.kv.Heads)+r.heads)*r.dim:][:r.kv.Heads*r.dim]
}

// head is a head of a token's row of qkv.
func (r *ropeStep) head(token, h int) []float32 {
	return r.data[(token*(r.heads+2*r.kv.Heads)+h)*r.dim:][:r.dim]
}

// at marks bytes of a slot's page as written, and returns what lies there.
func (r *ropeStep) at(slot int32, offset, size int) []byte {
	at := int(slot)/r.page*r.stride + offset
	for i := range size {
		r.written[at+i] = true
	}
	return r.cache[at : at+size]
}

// row is a head of keys or values that was stored for a token: its numbers, and its bytes, or codes, with the scale.
func (r *ropeStep) row(slot int32, h int, value bool) (numbers []float32, bytes, scale []byte) {
	offset := int(slot) % r.page
	from, scaleAt := r.kv.K(h, offset, 0), 0
	if value {
		from = r.kv.V(h, offset, 0)
	}
	stored := r.dim * r.kv.DType.Size()
	if r.kv.DType == dtype.U4 { // what lies behind the last channel is nobody's
		stored = r.kv.RowBytes()
	}
	bytes = kvCodes(r.kv, r.at(slot, from, stored))
	if r.kv.Scaled() {
		scaleAt = r.kv.KScale(h, offset)
		if value {
			scaleAt = r.kv.VScale(h, offset)
		}
		scale = r.at(slot, scaleAt, 2)
	}
	for d := range r.dim {
		numbers = append(numbers, kvNumber(r.kv.DType, bytes, scale, d))
	}
	return numbers, bytes, scale
}

// kvNumber is what channel d of a row stands for.
func kvNumber(t dtype.Type, row, scale []byte, d int) float32 {
	f, err := quant.KVOf(t)
	if err != nil {
		panic(err)
	}
	switch {
	case f.Scaled():
		return f.Level(uint16(row[d])) * dtype.F16ToF32(binary.LittleEndian.Uint16(scale))
	case t == dtype.F16:
		return dtype.F16ToF32(binary.LittleEndian.Uint16(row[2*d:]))
	}
	return widened(binary.LittleEndian.Uint16(row[2*d:]))
}

// TestRopeKV compares queries, keys and values of tokens at near and far positions with plain arithmetic, and wants everything
// else of the cache untouched.
func TestRopeKV(t *testing.T) {
	for _, c := range ropeCases {
		for _, target := range []string{"sm80", "sm89"} { // which round to e4m3 each in its own way
			if target != "sm80" && c.cache != dtype.F8E4M3 {
				continue
			}
			t.Run(fmt.Sprintf("%s_%d_%d_%d_%d_%s_%v_%s_%v_%v", target, c.heads, c.kvHeads, c.dim, c.rotary, c.style, c.out, c.mode, c.stored(), c.rows), func(t *testing.T) {
				r := c.run(t, target, []int32{0, 1, 17, 99999, 131071, 5}, []int32{3, 40, 0, 5, -1, 130})
				for token := range r.positions {
					r.checkToken(t, token)
				}
				r.y.checkPadding(t, len(r.positions))
				for i, b := range r.cache {
					if !r.written[i] && b != 0xff {
						t.Fatalf("byte %d of the cache was written", i)
					}
				}
			})
		}
	}
}

func (r *ropeStep) checkToken(t *testing.T, token int) {
	t.Helper()
	position, length, slot := r.positions[token], r.lengths[token], r.slots[token]
	slack := r.rope().slack(position, length)
	for h := range r.heads {
		want := r.normal(r.queries(token), h, r.qNorm)
		r.rope().turn(want, position, length)
		near(t, fmt.Sprintf("token %d query %d", token, h), want, r.out, slack,
			func(d int) float32 { return r.y.at(token, h*r.dim+d) })
	}
	if slot < 0 {
		return
	}
	for h := range r.kv.Heads {
		want := r.normal(r.keys(token), h, r.kNorm)
		if r.mode == "static" {
			r.rope().turn(want, position, length)
		}
		keys, _, _ := r.row(slot, h, false)
		turnWanted(t, r.kv.DType, want)
		near(t, fmt.Sprintf("token %d key %d", token, h), want, r.kv.DType, 0, func(d int) float32 { return keys[d] })
		r.wantRow(t, fmt.Sprintf("token %d value %d", token, h), r.head(token, r.heads+r.kv.Heads+h), slot, h, true)
	}
}

// wantRow wants the bits of a row that was stored.
func (r *ropeStep) wantRow(t *testing.T, what string, numbers []float32, slot int32, h int, value bool) {
	t.Helper()
	_, bytes, scale := r.row(slot, h, value)
	want, wantScale := make([]byte, r.kv.RowBytes()), make([]byte, len(scale))
	kvPut(r.kv.DType, 0, slices.Clone(numbers), want, wantScale)
	if wantBytes := kvCodes(r.kv, want); !slices.Equal(bytes, wantBytes) || !slices.Equal(scale, wantScale) {
		t.Fatalf("%s: %v with scale %v, want %v with %v", what, bytes, scale, wantBytes, wantScale)
	}
}

// turnWanted multiplies a row with the matrices of a format of caches.
func turnWanted(t *testing.T, typ dtype.Type, row []float64) {
	t.Helper()
	f, err := quant.KVOf(typ)
	check(t, err)
	numbers := make([]float32, len(row))
	for d, v := range row {
		numbers[d] = float32(v)
	}
	turnRow(f, 0, numbers)
	for d, v := range numbers {
		row[d] = float64(v)
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
		switch typ {
		case dtype.BF16:
			tolerance += math.Abs(w) / 256
		case dtype.F16:
			tolerance += math.Abs(w) / 2047
		case dtype.F8E4M3:
			tolerance += max(math.Abs(w)/16, top/448/512) * 1.001
		case dtype.I8:
			tolerance += top / 254 * 1.001
		case dtype.U4: // half of the widest step, or what the smallest scale cuts off
			tolerance += max(top/10, math.Abs(w)-0.75*top) * 1.001
		}
		if g := float64(got(d)); !(math.Abs(g-w) <= tolerance) {
			t.Fatalf("%s channel %d: %v, want %v", what, d, g, w)
		}
	}
}
