package cuda_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// latentShape is what attention over latent rows is written for.
type latentShape struct {
	heads, rank, rope int
	cache             dtype.Type
}

func (c latentShape) dim() int { return c.rank + c.rope }

// latentHistory is a sequence: the two parts of a query for each position and head, and a row for each position as it is stored.
type latentHistory struct {
	latentShape
	q, turning, rows []float32
	given            []float32 // rows before they were stored
}

// newLatentHistory makes random numbers. The first channel that turns makes all scores negative, so that a hidden position that counts as zero outweighs
// them.
func newLatentHistory(c latentShape, length int, seed uint64) *latentHistory {
	h := &latentHistory{latentShape: c, q: randoms(length*c.heads*c.rank, seed, 1), turning: randoms(length*c.heads*c.rope, seed+1, 1), rows: randoms(length*c.dim(), seed+2, 1)}
	for i, v := range h.q {
		h.q[i] = rounded(v)
	}
	for i, v := range h.turning {
		if i%c.rope == 0 {
			v -= 16
		}
		h.turning[i] = rounded(v)
	}
	for row := range slices.Chunk(h.rows, c.dim()) {
		row[c.rank] += 8
	}
	h.given = slices.Clone(h.rows)
	for row := range slices.Chunk(h.rows, c.dim()) {
		kvPut(c.cache, c.rank, row, nil, nil)
	}
	return h
}

func (c latentShape) scale() float64 { return 1 / math.Sqrt(float64(c.dim())) }

// attend is one head at one position, in float64.
func (h *latentHistory) attend(position, head int) []float64 {
	q := h.q[(position*h.heads+head)*h.rank:][:h.rank]
	turning := h.turning[(position*h.heads+head)*h.rope:][:h.rope]
	scores, top := make([]float64, position+1), math.Inf(-1)
	for p := range scores {
		row := h.rows[p*h.dim():]
		for d, v := range q {
			scores[p] += float64(v) * float64(row[d])
		}
		for d, v := range turning {
			scores[p] += float64(v) * float64(row[h.rank+d])
		}
		scores[p] *= h.scale()
		top = max(top, scores[p])
	}
	out, sum := make([]float64, h.rank), 0.0
	for p, s := range scores {
		w := math.Exp(s - top)
		sum += w
		for d := range out {
			out[d] += w * float64(h.rows[p*h.dim()+d])
		}
	}
	for d := range out {
		out[d] /= sum
	}
	return out
}

// latentChunk is the tokens at positions from..to-1 of a sequence in a step.
type latentChunk struct {
	*latentHistory
	from, to int
}

// latentAttention is a kernel that is written, to run steps with.
type latentAttention struct {
	attention // for its work lists, which know the channels of results as those of heads
	latentShape
	turning *engine.Buffer
}

func newLatentAttention(t *testing.T, c latentShape, target string) *latentAttention {
	t.Helper()
	s := newSingle(t, "cuda.attention_latent", "attn.latent", engine.Attr{Name: "heads", Int: int64(c.heads)}, engine.Attr{Name: "scale", Float: c.scale()})
	s.program.Buffers = make([]engine.Buffer, 0, 4)
	a := &latentAttention{attention: attention{single: s, shape: shape{heads: c.heads, kv: 1, dim: c.rank}}, latentShape: c}
	a.qBuffer, a.turning, a.yBuffer = s.buffer("q", dtype.F32, c.heads*c.rank), s.buffer("q_rope", dtype.F32, c.heads*c.rope), s.buffer("y", dtype.F32, c.heads*c.rank)
	s.inputs("positions", "items", "page_start", "pages")
	s.latentCache(c)
	s.write(target)
	return a
}

func (s *single) latentCache(c latentShape) {
	s.place("cache", engine.Operand{Kind: engine.OperandCache})
	s.program.Caches = []engine.Cache{{Name: "kv", Kind: engine.Latent, Layers: 1, KVHeads: 1, Dim: c.dim(), Rank: c.rank, DType: c.cache}}
}

// step runs chunks of sequences and returns the row of y of each token, in order. Pages lie in random order, and whatever no position of a sequence has been
// written to is NaN.
func (a *latentAttention) step(pageSize int, chunks ...latentChunk) [][]float32 {
	t := a.single.t
	t.Helper()
	kv, err := layout.NewPlainLatent(a.latentShape.cache, pageSize, a.rank, a.latentShape.dim())
	check(t, err)
	m, stride := newMemory(t), kv.Bytes()+64
	tokens, pages := 0, 0
	for _, c := range chunks {
		tokens += c.to - c.from
		pages += (c.to + pageSize - 1) / pageSize
	}
	q, turning, y, cache := m.matrix(a.qBuffer, tokens), m.matrix(a.turning, tokens), m.matrix(a.yBuffer, tokens), m.fresh("cache", pages*stride)
	order := rand.New(rand.NewPCG(uint64(tokens), uint64(pages))).Perm(pages)
	block, work := int(a.launch.Int("block", 0)), a.newWorkList()
	var positions, table []int32
	start := []int32{0}
	for b, c := range chunks {
		for p := range c.to {
			if p%pageSize == 0 {
				table = append(table, int32(order[len(table)]))
			}
			page, slot := cache[int(table[len(table)-1])*stride:], p%pageSize
			var scale []byte
			if kv.Scaled() {
				scale = page[kv.KScale(0, slot):]
			}
			kvPut(kv.DType, kv.Rank, slices.Clone(c.given[p*c.dim():][:c.dim()]), page[kv.K(0, slot, 0):], scale)
		}
		start = append(start, int32(len(table)))
		for p := c.from; p < c.to; p++ {
			if (p-c.from)%block == 0 {
				work.add(b, len(positions), min(block, c.to-p), p, min(p+block, c.to)-1)
			}
			q.setRow(len(positions), c.q[p*c.heads*c.rank:])
			turning.setRow(len(positions), c.turning[p*c.heads*c.rope:])
			positions = append(positions, int32(p))
		}
	}
	m.ints("positions", positions)
	m.ints("page_start", start)
	m.ints("pages", table)
	work.run(m, tokens, len(chunks), pageSize, stride)
	rows := make([][]float32, tokens)
	for r := range rows {
		for c := range int(y.Cols) {
			rows[r] = append(rows[r], y.at(r, c))
		}
	}
	return rows
}

// setRow fills a row with the first of the numbers.
func (m matrix) setRow(row int, numbers []float32) {
	for c := range int(m.Cols) {
		m.set(row, c, numbers[c])
	}
}

// compareLatent wants the results of plain arithmetic, within the rounding of weights; see compareRows.
func compareLatent(t *testing.T, rows [][]float32, chunks []latentChunk) {
	t.Helper()
	r := 0
	for b, c := range chunks {
		for p := c.from; p < c.to; p++ {
			for h := range c.heads {
				tolerance := 5.0 / 256
				if c.cache != dtype.BF16 {
					tolerance = 5.0 / 1024
				}
				for d, want := range c.attend(p, h) {
					if off := math.Abs(float64(rows[r][h*c.rank+d]) - want); !(off <= tolerance) {
						t.Fatalf("sequence %d position %d head %d channel %d: %v, want %v", b, p, h, d, rows[r][h*c.rank+d], want)
					}
				}
			}
			r++
		}
	}
}

// latentShapes are those of small models, of DeepSeek-V2-Lite and of DeepSeek-V3, which has many CTAs for a token.
var latentShapes = []latentShape{
	{4, 32, 16, dtype.BF16}, {3, 16, 2, dtype.F16}, {20, 48, 10, dtype.I8}, {5, 64, 8, dtype.F8E4M3}, {3, 20, 8, dtype.BF16}, {2, 22, 4, dtype.I8},
	{4, 32, 16, dtype.U4}, {20, 48, 10, dtype.U4}, {5, 64, 64, dtype.U4}, {3, 256, 64, dtype.U4},
	{16, 512, 64, dtype.BF16}, {16, 512, 64, dtype.F16}, {128, 512, 64, dtype.BF16}, {16, 512, 64, dtype.I8}, {16, 512, 64, dtype.F8E4M3},
	{16, 512, 64, dtype.U4},
}

// TestLatentAttention runs steps that mix chunks with single tokens, at contexts around the sizes of tiles, pages and splits.
func TestLatentAttention(t *testing.T) {
	for i, c := range latentShapes {
		for j, target := range gpuTargets {
			if !thorough() && i%3 != j {
				continue
			}
			t.Run(fmt.Sprint(target, c), func(t *testing.T) {
				a := newLatentAttention(t, c, target)
				chunks := []latentChunk{{newLatentHistory(c, 66, 2), 65, 66}}
				if c.rank < 512 || thorough() {
					chunks = append(chunks, latentChunk{newLatentHistory(c, 1, 1), 0, 1}, latentChunk{newLatentHistory(c, 300, 3), 299, 300}, latentChunk{newLatentHistory(c, 17, 4), 0, 17})
				}
				compareLatent(t, a.step([]int{16, 32, 48}[i%3], chunks...), chunks)
			})
		}
	}
}

// TestLatentAttentionIsInvariant wants the same bits for a position however the prompt is cut, whatever else is in the step, for every size of page and however
// splits are shared out, on every target.
func TestLatentAttentionIsInvariant(t *testing.T) {
	for _, c := range []latentShape{{4, 32, 16, dtype.BF16}, {6, 16, 8, dtype.I8}, {3, 64, 64, dtype.U4}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			const length, last = 530, 20 // positions, and those that are compared
			h, other := newLatentHistory(c, length, 11), newLatentHistory(c, 70, 12)
			whole := newLatentAttention(t, c, "sm80").step(16, latentChunk{h, length - last, length})
			compareLatent(t, whole, []latentChunk{{h, length - last, length}})
			for i, target := range gpuTargets {
				a := newLatentAttention(t, c, target)
				a.share = i // splits of a piece
				from := length - last
				for _, to := range []int{length - 19, length - 13, length} {
					n := to - from
					rows := a.step([]int{32, 48, 128}[i], latentChunk{other, 60, 70}, latentChunk{h, from, to}, latentChunk{other, 5, 6})
					for r := range n {
						if p := from + r; !slices.Equal(rows[10+r], whole[p-length+last]) {
							t.Fatalf("%s: position %d differs in the chunk %d..%d", target, p, from, to)
						}
					}
					from = to
				}
			}
		})
	}
}
