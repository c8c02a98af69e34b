package cuda_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/relative"
)

// shape is what an attention is written for.
type shape struct {
	heads, kv, dim, window int
	chunk                  int // of positions
	ahead                  int // positions seen behind the own one
	softcap                float64
	q, y                   dtype.Type
	cache                  dtype.Type // invalid: bf16
	alibi, sinks           bool
	buckets                relative.Buckets // of learned scores; none: there are no such
	ofText                 bool             // the sequence is a text, all of which is seen
	rotary                                  // where keys turn as they are read
}

func (c shape) scale() float64 { return 1 / math.Sqrt(float64(c.dim)) }

// history is a sequence: a query, a key and a value for each position and head.
type history struct {
	shape
	q, k, v []float32                // [position][head][dim], as kernels see them
	given   struct{ k, v []float32 } // keys and values before they were stored
	turned  func(key []float64, position, length int32)

	scores, slope, sink []float32 // what shape says of them
}

// newHistory makes a sequence of random numbers. The first channels make all scores negative, so that a hidden position or an empty
// tile that counts as zero outweighs them.
func newHistory(c shape, length int, seed uint64) *history {
	h := &history{shape: c, q: randoms(length*c.heads*c.dim, seed, 2), k: randoms(length*c.kv*c.dim, seed+1, 1), v: randoms(length*c.kv*c.dim, seed+2, 1)}
	for i := range h.q {
		if i%c.dim == 0 {
			h.q[i] -= 8
		}
	}
	for i := range h.k {
		if i%c.dim == 0 {
			h.k[i] += 8
		}
	}
	for i, x := range h.q {
		h.q[i] = rounded(x)
	}
	h.given.k, h.given.v = slices.Clone(h.k), slices.Clone(h.v)
	for _, numbers := range [][]float32{h.k, h.v} {
		for row := range slices.Chunk(numbers, c.dim) {
			kvPut(c.stored(), 0, row, nil, nil)
		}
	}
	h.scores, h.slope, h.sink = c.learned(), c.slopes(), c.sinkScores()
	h.turned = func([]float64, int32, int32) {}
	if c.mode != "" {
		h.turned = c.turn
	}
	return h
}

// ropeLen is the length that a position stands for: that of a prompt of 50, until the sequence is longer.
func ropeLen(position int) int32 { return int32(max(50, position+1)) }

// key fills k with a head's key as the query at a position sees it.
func (h *history) key(k []float64, p, head, position int) {
	for d := range k {
		k[d] = float64(h.k[(p*h.kv+head)*h.dim+d])
	}
	if h.mode != "" {
		for d := range k {
			k[d] = float64(h.multiplied(float32(k[d]))) // of codes; others are such numbers
		}
		h.turned(k, int32(p), ropeLen(position))
		for d := range k {
			k[d] = float64(h.multiplied(float32(k[d])))
		}
	}
}

// attend is one head at one position, in float64.
func (h *history) attend(position, head int) []float64 {
	first := 0
	if h.window > 0 {
		first = max(0, position-h.window+1)
	}
	if h.chunk > 0 {
		first = max(first, position-position%h.chunk)
	}
	kv := head / (h.heads / h.kv)
	q := h.q[(position*h.heads+head)*h.dim:]
	var scores []float64
	top, key := math.Inf(-1), make([]float64, h.dim)
	for p := first; p <= h.last(position); p++ {
		s := 0.0
		h.key(key, p, kv, position)
		for d, k := range key {
			s += float64(q[d]) * k
		}
		s *= h.scale()
		if h.softcap > 0 {
			s = h.softcap * math.Tanh(s/h.softcap)
		}
		if h.alibi {
			s += float64(h.slope[head]) * float64(p-position)
		}
		if h.buckets.Count > 0 {
			s += float64(h.scores[h.buckets.Of(p-position)*h.heads+head])
		}
		scores, top = append(scores, s), max(top, s)
	}
	out, sum := make([]float64, h.dim), 0.0
	if h.sinks {
		sink := float64(h.sink[head])
		top = max(top, sink)
		sum = math.Exp(sink - top)
	}
	for i, s := range scores {
		w := math.Exp(s - top)
		sum += w
		for d := range out {
			out[d] += w * float64(h.v[((first+i)*h.kv+kv)*h.dim+d])
		}
	}
	for d := range out {
		out[d] /= sum
	}
	return out
}

// length is how many positions the sequence has.
func (h *history) length() int { return len(h.k) / (h.kv * h.dim) }

// last is the last position that one at a position sees.
func (h *history) last(position int) int {
	if h.ofText {
		return h.length() - 1
	}
	return min(position+h.ahead, h.length()-1)
}

// chunk is the tokens at positions from..to-1 of a sequence in a step.
type chunk struct {
	*history
	from, to int
}

// held is how many positions the cache has: those of the whole sequence where tokens see what is ahead of them.
func (c chunk) held() int {
	if c.ahead > 0 || c.ofText {
		return c.length()
	}
	return c.to
}

// attention is a kernel that is written, to run steps with.
type attention struct {
	*single
	shape
	qBuffer, yBuffer *engine.Buffer
	share            int // splits of a piece; 0: items are whole
}

func newAttention(t *testing.T, c shape, target string) *attention {
	t.Helper()
	attrs := []engine.Attr{
		{Name: "heads", Int: int64(c.heads)}, {Name: "kv_heads", Int: int64(c.kv)}, {Name: "dim", Int: int64(c.dim)},
		{Name: "scale", Float: c.scale()}, {Name: "window", Int: int64(c.window)}, {Name: "chunk", Int: int64(c.chunk)}, {Name: "softcap", Float: c.softcap},
	}
	if c.mode != "" {
		attrs = append(attrs, c.attrs()...)
	}
	kernel := "cuda.attention"
	if c.ahead > 0 {
		kernel, attrs = "cuda.attention_ahead", append(attrs, engine.Attr{Name: "ahead", Int: int64(c.ahead)})
	}
	if c.ofText {
		kernel = "cuda.attention_text"
	}
	if c.buckets.Count > 0 {
		kernel, attrs = "cuda.attention_relative", append(attrs, engine.Attr{Name: "reach", Int: int64(c.buckets.Reach)})
		if c.buckets.Both {
			attrs = append(attrs, engine.Attr{Name: "both", Int: 1})
		}
	}
	s := newSingle(t, kernel, "attn.paged", attrs...)
	s.program.Buffers = make([]engine.Buffer, 0, 3)
	a := &attention{single: s, shape: c}
	a.qBuffer, a.yBuffer = s.buffer("q", c.q, c.heads*c.dim), s.buffer("y", c.y, c.heads*c.dim)
	s.inputs("items")
	if c.ofText {
		s.inputs("source_length", "source_start", "source_pages")
	} else {
		s.inputs("positions", "page_start", "pages")
	}
	s.cache(c.kv, c.dim, c.stored())
	if c.ahead > 0 || c.buckets.Count > 0 {
		s.inputs("context")
	}
	if c.buckets.Count > 0 {
		s.weight("relative", int64(c.buckets.Count), int64(c.heads))
	}
	if c.mode != "" {
		s.inputs("ropelen")
		s.weight("inv_freq", int64(c.variants()), int64(c.rotary.dim/2))
	}
	for role, given := range map[string]bool{"alibi": c.alibi, "sinks": c.sinks} {
		if given {
			s.weight(role, int64(c.heads))
		}
	}
	s.write(target)
	return a
}

// step runs chunks of sequences and returns the row of y of each token, in order. Pages lie in random order, and whatever no
// position of a sequence has been written to is NaN.
func (a *attention) step(pageSize int, chunks ...chunk) [][]float32 {
	a.t.Helper()
	kv, err := layout.NewPlainKV(a.stored(), pageSize, a.kv, a.dim)
	check(a.t, err)
	m, stride := newMemory(a.t), kv.Bytes()+64
	tokens, pages := 0, 0
	for _, c := range chunks {
		tokens += c.to - c.from
		pages += (c.held() + pageSize - 1) / pageSize
	}
	q, y, cache := m.matrix(a.qBuffer, tokens), m.matrix(a.yBuffer, tokens), m.fresh("cache", pages*stride)
	order := rand.New(rand.NewPCG(uint64(tokens), uint64(pages))).Perm(pages)
	block := int(a.launch.Int("block", 0))
	work := a.newWorkList()
	var positions, lengths, context, table []int32
	start := []int32{0}
	for b, c := range chunks {
		for p := range c.held() {
			if p%pageSize == 0 {
				table = append(table, int32(order[len(table)]))
			}
			a.fill(cache[int(table[len(table)-1])*stride:], kv, c.history, p)
		}
		start, context = append(start, int32(len(table))), append(context, int32(c.held()))
		for p := c.from; p < c.to; p++ {
			if (p-c.from)%block == 0 {
				work.add(b, len(positions), min(block, c.to-p), p, c.last(min(p+block, c.to)-1))
			}
			for i := range a.heads * a.dim {
				q.set(len(positions), i, c.q[p*a.heads*a.dim+i])
			}
			positions, lengths = append(positions, int32(p)), append(lengths, ropeLen(p))
		}
	}
	a.operands(m, positions, lengths)
	names := []string{"context", "page_start", "pages"}
	if a.ofText {
		names = []string{"source_length", "source_start", "source_pages"}
	}
	for i, values := range [][]int32{context, start, table} {
		m.ints(names[i], values)
	}
	work.run(m, tokens, len(chunks), pageSize, stride)
	y.checkPadding(a.t, tokens)
	rows := make([][]float32, tokens)
	for r := range rows {
		for c := range int(y.Cols) {
			rows[r] = append(rows[r], y.at(r, c))
		}
	}
	return rows
}

// operands places what depends on the tokens' positions, and what does not depend on the step.
func (a *attention) operands(m *memory, positions, lengths []int32) {
	m.ints("positions", positions)
	if a.buckets.Count > 0 {
		m.floats("relative", a.learned())
	}
	if a.mode != "" {
		m.ints("ropelen", lengths)
		m.floats("inv_freq", a.rotary.table())
	}
	if a.alibi {
		m.floats("alibi", a.slopes())
	}
	if a.sinks {
		m.floats("sinks", a.sinkScores())
	}
}

// workList is the input "items" as it is made.
type workList struct {
	*attention
	items         []int32
	rows, counter int
}

func (a *attention) newWorkList() *workList { return &workList{attention: a} }

// add appends the item of count tokens from first on, the first of which is at a position, and the last of which sees positions up to last.
func (w *workList) add(sequence, first, count, position, last int) {
	from, to := 0, last/engine.AttentionSplit+1
	if w.window > 0 {
		from = max(0, position-w.window+1)
	}
	if w.chunk > 0 {
		from = max(from, position-position%w.chunk)
	}
	from /= engine.AttentionSplit
	share := w.share
	if share == 0 || to-from <= share {
		w.items = append(w.items, int32(sequence), int32(first), int32(count), int32(from), int32(to), 1, 0, 0)
		return
	}
	pieces := (to - from + share - 1) / share
	for p := from; p < to; p += share {
		w.items = append(w.items, int32(sequence), int32(first), int32(count), int32(p), int32(min(p+share, to)), int32(pieces), int32(w.rows), int32(w.counter))
	}
	w.rows += (to - from) * count * int(w.launch.Int("group", 0))
	w.counter++
}

// run launches the kernel and wants the counters as they were.
func (w *workList) run(m *memory, tokens, sequences, pageSize, stride int) {
	w.t.Helper()
	planes := int(w.launch.Int("planes", 0))
	items := m.ints("items", w.words(tokens, sequences))
	m.fresh("partials", max(w.rows, 1)*planes*engine.PartialRowBytes(w.dim))
	w.attention.run(m, tokens, sequences, pageSize, stride)
	for i, b := range items[:4*engine.AttentionCounters(int(w.launch.Int("extra", 0)), planes)] {
		if b != 0 {
			w.t.Fatalf("byte %d of the counters is %d behind the launch", i, b)
		}
	}
}

// words is the list of a step, padded to what the grid has.
func (w *workList) words(tokens, sequences int) []int32 {
	block, extra := int(w.launch.Int("block", 0)), int(w.launch.Int("extra", 0))
	items := (tokens+block-1)/block + sequences + extra
	if len(w.items)/8 > items {
		w.t.Fatalf("%d items, the grid has %d", len(w.items)/8, items)
	}
	list := append(make([]int32, engine.AttentionCounters(extra, int(w.launch.Int("planes", 0)))), w.items...)
	return append(list, make([]int32, 8*items-len(w.items))...)
}

// fill writes the keys and values of a position to its page.
func (a *attention) fill(page []byte, kv layout.PlainKV, h *history, p int) {
	for head := range a.kv {
		row, slot := h.given.k[(p*a.kv+head)*a.dim:][:a.dim], p%kv.PageSize
		values := h.given.v[(p*a.kv+head)*a.dim:][:a.dim]
		var keyScale, valueScale []byte
		if kv.Scaled() {
			keyScale, valueScale = page[kv.KScale(head, slot):], page[kv.VScale(head, slot):]
		}
		kvPut(kv.DType, 0, slices.Clone(row), page[kv.K(head, slot, 0):], keyScale)
		kvPut(kv.DType, 0, slices.Clone(values), page[kv.V(head, slot, 0):], valueScale)
	}
}
