package cpu

import (
	"fmt"
	"unsafe"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/runtime/device/cpu/kernel"
)

// recurrence moves rows of the states of a layer on. Each worker has some blocks of channels, which know nothing of the others, and takes the tokens of
// every sequence in order. A state lies in the page of the last token that it knows. Behind a page's last token it stays as it is then, so that who goes on
// from there, another sequence with the same beginning or one that lost its later pages, finds it.
type recurrence struct {
	layout.State
	pool     *kvPool
	offset   int64 // of the layer in a page
	first, n int   // rows of the state that move
	y        view
	advance  func(sc *kernel.Scratch, rows []float32, block, first, tokens int)
}

// recurrence binds what all kernels of states share. inputs says that those rows move that are earlier inputs, else the others do.
func (b *binding) recurrence(y view, inputs bool) (*recurrence, error) {
	c, err := b.cache("cache")
	if err != nil {
		return nil, err
	}
	cache, layer := &b.m.kv.caches[c], int64(b.m.layer(c, int(b.launch.Int("layer", 0))))
	row := &b.f.program.Caches[c]
	if row.Kind != engine.State || layer < 0 || layer >= int64(cache.layers) || y.cols != cache.state.Channels {
		return nil, fmt.Errorf("layer %d of rows of %d in a cache of kind %q of %d layers, rows of %d", layer, y.cols, row.Kind, cache.layers, cache.state.Channels)
	}
	r := &recurrence{State: cache.state, pool: b.m.kv, offset: cache.offset + layer*cache.layerBytes, n: row.Rank, y: y}
	if !inputs {
		r.first, r.n = row.Rank, row.KVHeads-row.Rank
	}
	return r, nil
}

// floats returns a view as kernels of states take it.
func (v view) floats() kernel.Floats { return kernel.Floats{Data: v.f32(), LD: v.ld()} }

// columns returns a row-major weight of rows of the layer's channels.
func (b *binding) columns(role string, rows, cols int) (kernel.Floats, error) {
	w, err := b.vector(role)
	if err == nil && len(w) < rows*cols {
		err = fmt.Errorf("%s of %d numbers for %d rows of %d", role, len(w), rows, cols)
	}
	return kernel.Floats{Data: w, LD: cols}, err
}

func bindStateConv(b *binding) (runner, error) {
	v, err := b.views("x", "y")
	if err != nil {
		return nil, err
	}
	r, err := b.recurrence(v[1], true)
	if err != nil {
		return nil, err
	}
	c := &kernel.Convolution{Y: r.y.floats(), X: v[0].floats(), Bias: make([]float32, r.Channels)}
	if c.W, err = b.columns("w", r.n+1, r.Channels); err != nil {
		return nil, err
	}
	if b.has("bias") {
		bias, err := b.columns("bias", 1, r.Channels)
		if err != nil {
			return nil, err
		}
		c.Bias = bias.Data
	}
	set := b.m.set
	r.advance = func(sc *kernel.Scratch, rows []float32, block, first, tokens int) {
		set.Convolve(sc, c, rows, block, first, tokens)
	}
	return r, nil
}

func bindStateScan(b *binding) (runner, error) {
	v, err := b.views("x", "dt", "b", "c", "y")
	if err != nil {
		return nil, err
	}
	r, err := b.recurrence(v[4], false)
	if err != nil {
		return nil, err
	}
	if v[2].cols != r.n || v[3].cols != r.n {
		return nil, fmt.Errorf("rows of %d and %d for %d states", v[2].cols, v[3].cols, r.n)
	}
	c := &kernel.Scan{Y: r.y.floats(), X: v[0].floats(), DT: v[1].floats(), B: v[2].floats(), C: v[3].floats()}
	if c.A, err = b.columns("a", r.n, r.Channels); err != nil {
		return nil, err
	}
	skip, err := b.columns("skip", 1, r.Channels)
	c.Skip = skip.Data
	set := b.m.set
	r.advance = func(sc *kernel.Scratch, rows []float32, block, first, tokens int) {
		set.Scan(sc, c, rows, block, first, tokens)
	}
	return r, err
}

func (r *recurrence) run(s *state, worker int) {
	lo, hi := share(r.Blocks(), worker, s.workers)
	for b := range s.step.B() {
		pages := s.step.Pages[s.step.PageStart[b]:s.step.PageStart[b+1]]
		for t, end := int(s.step.SeqStart[b]), int(s.step.SeqStart[b+1]); t < end; {
			n := r.together(s.step.Slots[t:end])
			r.walk(s, worker, pages, t, n, lo, hi)
			t += n
		}
	}
}

// together returns how many tokens from the first on go to the same page.
func (r *recurrence) together(slots []int32) int {
	size, n := int32(r.pool.pageSize), 1
	for slots[0] >= 0 && n < len(slots) && slots[n] >= 0 && slots[n]/size == slots[0]/size {
		n++
	}
	return n
}

// walk moves blocks [lo, hi) on by tokens that go to one page.
func (r *recurrence) walk(s *state, worker int, pages []int32, first, tokens, lo, hi int) {
	slot, position := int(s.step.Slots[first]), int(s.step.Positions[first])
	if slot < 0 { // padding
		clear(r.y.row(first)[lo*layout.StateLanes : hi*layout.StateLanes])
		return
	}
	page := slot / r.pool.pageSize
	to := r.part(page)
	from := to
	if position > 0 {
		if before := int(pages[(position-1)/r.pool.pageSize]); before != page {
			from = r.part(before)
		}
	}
	for block := lo; block < hi; block++ {
		at, size := r.At(block, r.first), r.n*layout.StateLanes
		rows := to[at : at+size : at+size]
		switch {
		case position == 0:
			clear(rows)
		case &from[0] != &to[0]:
			copy(rows, from[at:])
		}
		r.advance(s.scratch[worker], rows, block, first, tokens)
	}
}

// part returns the layer's state in a page.
func (r *recurrence) part(page int) []float32 {
	at := r.offset + r.pool.statePart(page, int64(r.Bytes()))
	data := r.pool.mem[at : at+int64(r.Bytes())]
	return unsafe.Slice((*float32)(unsafe.Pointer(&data[0])), len(data)/4)
}
