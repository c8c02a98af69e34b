package cpu

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"llmc/engine"
	"llmc/engine/partition"
	"llmc/internal/relative"
	"llmc/runtime/device/cpu/kernel"
)

// attention is one layer of paged attention. Work items are (sequence, block of its tokens, KV head); workers take the next
// free one, which changes no result: an item's bits depend on nothing but its own rows.
type attention struct {
	set     *kernel.Set
	q, y    view
	rope    view // of a latent cache: what follows q's channels of each head
	layer   kernel.Attention
	next    atomic.Int64 // work item; reset when a step begins
	turning *turning     // nil unless K is cached as it was before the rotary embedding
	queries []kernel.Queries
	parts   []float32 // [splits, query heads, PartFloats] of a token that all workers attend for
	meet    func(worker int)
	text    bool // tokens see all of the text that was encoded for their sequence, whatever their position
}

// itemRows is how many query rows (tokens times query heads of a KV head) a work item has at most: enough to use every
// key that was read several times, few enough to share a prompt evenly.
const itemRows = 96

// leastRows is how many rows an item keeps where a sequence has too few for all workers: as many as the kernels of most kinds take in together.
const leastRows = 12

// blockTokens is how many tokens of a sequence a work item has. A few tokens behind a long context are a step's longest work: they are shared evenly too.
func (a *attention) blockTokens(tokens, workers int) int {
	group := a.layer.QueryHeads / a.layer.Heads
	block := min(tokens, max(1, itemRows/group))
	for workers > 1 && block*group > leastRows && (tokens+block-1)/block*a.layer.Heads < 3*workers {
		block = max(block/2, 1)
	}
	return block
}

func bindAttention(b *binding) (runner, error) {
	v, err := b.views("q", "y")
	if err != nil {
		return nil, err
	}
	a := &attention{set: b.m.set, q: v[0], y: v[1]}
	if a.layer, err = b.cacheLayer(); err != nil {
		return nil, err
	}
	if own := b.part.Heads; own != nil {
		first, end := own.Query.From*a.layer.Dim, own.Query.To*a.layer.Dim
		a.q, a.y = a.q.span(first, end), a.y.span(first, end)
	}
	width := a.layer.QueryHeads * a.layer.Dim
	if a.q.cols != width || a.y.cols != width || a.layer.QueryHeads%a.layer.Heads != 0 {
		return nil, fmt.Errorf("rows of %d and %d for %d query heads of %d over %d KV heads", a.q.cols, a.y.cols, a.layer.QueryHeads, a.layer.Dim, a.layer.Heads)
	}
	if err := b.scores(&a.layer); err != nil {
		return nil, err
	}
	if b.launch.Text("mode", "static") != "static" {
		if a.layer.Ahead > 0 {
			return nil, errors.New("positions ahead of tokens with keys that are turned when they are read")
		}
		if a.turning, err = b.newTurning(&a.layer); err != nil {
			return nil, err
		}
	}
	c, _ := b.cache("cache")
	if a.text = b.m.kv.caches[c].cross && b.f.program.Func == engine.StepFunc; a.text && a.layer.Ahead < math.MaxInt16 {
		return nil, fmt.Errorf("%d positions ahead of tokens that see all of a text", a.layer.Ahead)
	}
	return a.prepare(b), nil
}

// prepare gives attention what it needs while it runs.
func (a *attention) prepare(b *binding) *attention {
	a.queries = make([]kernel.Queries, b.m.settings.Threads)
	a.meet = b.m.team.Barrier
	splits := (b.m.settings.MaxContext + kernel.SplitLength - 1) / kernel.SplitLength
	a.parts = b.m.attentionParts(splits * a.layer.QueryHeads * a.layer.PartFloats())
	b.f.attentions = append(b.f.attentions, a)
	return a
}

// scores reads what makes scores besides queries and keys.
func (b *binding) scores(layer *kernel.Attention) error {
	layer.Softcap = float32(b.launch.Float("softcap", 0))
	for role, to := range map[string]*[]float32{"alibi": &layer.ALiBi, "sinks": &layer.Sinks} {
		if !b.has(role) {
			continue
		}
		w, err := b.vector(role)
		if err != nil {
			return err
		}
		if heads := int(b.launch.Int("heads", 0)); len(w) != heads {
			return fmt.Errorf("%s of %d heads for %d", role, len(w), heads)
		}
		if own := b.part.Heads; own != nil {
			w = w[own.Query.From:own.Query.To]
		}
		if b.launch.Text("mode", "static") != "static" { // a copy of one head at a time does not know which
			return fmt.Errorf("%s with rotary frequencies that depend on the length", role)
		}
		*to = w
	}
	if layer.Ahead > 0 && layer.ALiBi != nil {
		return errors.New("alibi with positions ahead of tokens")
	}
	return b.relative(layer)
}

// relative reads what scores have added by the distance of positions, and spreads it over the distances.
func (b *binding) relative(layer *kernel.Attention) error {
	if !b.has("relative") {
		return nil
	}
	w, err := b.vector("relative")
	if err != nil {
		return err
	}
	heads, reach, own := int(b.launch.Int("heads", 0)), int(b.launch.Int("reach", 0)), partition.Range{To: layer.QueryHeads}
	if b.part.Heads != nil {
		own = b.part.Heads.Query
	}
	buckets := relative.Buckets{Count: len(w) / heads, Reach: reach, Both: b.launch.Int("both", 0) != 0}
	if err := buckets.Check(); err != nil {
		return err
	}
	if b.launch.Text("mode", "static") != "static" {
		return errors.New("relative with rotary frequencies that depend on the length")
	}
	r := &kernel.Relative{Rows: reach + 1, Before: reach}
	if buckets.Both {
		r.Rows += reach
	}
	for h := own.From; h < own.To; h++ {
		for d := range r.Rows {
			r.Table = append(r.Table, w[buckets.Of(d-reach)*heads+h])
		}
	}
	layer.Relative = r
	return nil
}

// cacheLayer describes the cache operand at the launch's layer.
func (b *binding) cacheLayer() (kernel.Attention, error) {
	c, err := b.cache("cache")
	if err != nil {
		return kernel.Attention{}, err
	}
	kv, layer := b.m.kv.caches[c], b.m.layer(c, int(b.launch.Int("layer", 0)))
	if layer < 0 || layer >= kv.layers || int(b.launch.Int("dim", int64(kv.Dim))) != kv.Dim {
		return kernel.Attention{}, fmt.Errorf("layer %d with heads of %d in a cache of %d layers, heads of %d",
			layer, b.launch.Int("dim", 0), kv.layers, kv.Dim)
	}
	heads := int(b.launch.Int("heads", 0))
	if b.part.Heads != nil {
		heads = b.part.Heads.Query.Len()
	}
	return kernel.Attention{
		KV: kv.KV, QueryHeads: heads, Scale: float32(b.launch.Float("scale", 1)),
		Window: int(b.launch.Int("window", 0)), Ahead: int(b.launch.Int("ahead", 0)), Chunk: int(b.launch.Int("chunk", 0)),
		Pool: b.m.kv.mem, Page: b.m.kv.pageSize, Stride: int(b.m.kv.spanBytes), Offset: int(kv.offset + int64(layer)*kv.layerBytes),
	}, nil
}

// attentionParts returns room for n numbers that all layers share: they run one after the other.
func (m *model) attentionParts(n int) []float32 {
	if len(m.parts) < n {
		m.parts = make([]float32, n)
	}
	return m.parts
}

func (a *attention) run(s *state, worker int) {
	if s.step.T() == 1 && s.workers > 1 && a.turning == nil {
		a.runToken(s, worker)
		return
	}
	item, first := int(a.next.Add(1)-1), 0
	for b := 0; b < s.step.B(); {
		tokens := int(s.step.SeqStart[b+1] - s.step.SeqStart[b])
		block := a.blockTokens(tokens, s.workers)
		blocks := (tokens + block - 1) / block
		if item >= first+blocks*a.layer.Heads {
			first += blocks * a.layer.Heads
			b++
			continue
		}
		// The last blocks of a prompt see the most positions: they come first.
		at, head := blocks-1-(item-first)/a.layer.Heads, (item-first)%a.layer.Heads
		a.attend(s, worker, b, head, at*block, min(tokens, (at+1)*block))
		item = int(a.next.Add(1) - 1)
	}
}

// runToken attends for a single token: there are too few heads to share, so workers share the splits of its context, head by head. The bits are those of
// attend, which adds up the same parts in the same order.
func (a *attention) runToken(s *state, worker int) {
	q, scratch := &a.queries[worker], s.scratch[worker]
	a.query(q, s, 0, 0, 1)
	group, size := a.layer.QueryHeads/a.layer.Heads, a.layer.PartFloats()
	from, to := a.layer.Splits(q, 0, group-1)
	splits, stride := to-from, a.layer.QueryHeads*size
	// A worker's splits of a head follow each other, so that it reads what it has asked for ahead.
	lo, hi := share(splits*a.layer.Heads, worker, s.workers)
	for n := 0; lo < hi; lo += n {
		head, split := lo/splits, lo%splits
		if n = min(hi-lo, splits-split); n == splits { // nobody else has a part of it
			a.set.Attend(scratch, &a.layer, q, head, 0, group)
			continue
		}
		a.set.AttendSplits(scratch, &a.layer, q, head, from+split, from+split+n, 0, group, a.parts[split*stride+head*group*size:], stride)
	}
	if a.layer.Heads%s.workers == 0 {
		return
	}
	a.meet(worker)
	row := 0
	for head := range a.layer.Heads {
		if first := head * splits; owner(first, splits*a.layer.Heads, s.workers) == owner(first+splits-1, splits*a.layer.Heads, s.workers) {
			continue
		}
		for r := range group {
			if row++; row%s.workers == worker {
				a.set.Finish(scratch, &a.layer, q, head, r, from, a.parts[(head*group+r)*size:], stride)
			}
		}
	}
}

// attend computes one KV head of tokens [lo, hi) of sequence b.
func (a *attention) attend(s *state, worker, b, head, lo, hi int) {
	q := &a.queries[worker]
	first := a.query(q, s, b, lo, hi)
	if a.turning != nil {
		a.turning.attend(a, s, worker, q, head, first)
		return
	}
	a.set.Attend(s.scratch[worker], &a.layer, q, head, 0, a.layer.Rows(q))
}

// query describes tokens [lo, hi) of sequence b and returns the step's index of the first.
func (a *attention) query(q *kernel.Queries, s *state, b, lo, hi int) (first int) {
	first = int(s.step.SeqStart[b]) + lo
	*q = kernel.Queries{
		Q: a.q.f32()[first*a.q.ld():], LDQ: a.q.ld(), Out: a.y.f32()[first*a.y.ld():], LDOut: a.y.ld(),
		Tokens: hi - lo, First: int(s.step.Positions[first]), Length: int(s.step.Context[b]), Pages: s.step.Pages[s.step.PageStart[b]:s.step.PageStart[b+1]],
	}
	if a.layer.Rank > 0 {
		q.Rope, q.LDRope = a.rope.f32()[first*a.rope.ld():], a.rope.ld()
	}
	if text := &s.step.Source; a.text {
		q.Length, q.Pages = int(text.Length[b]), text.Pages[text.Start[b]:text.Start[b+1]]
	}
	return first
}
