package cpu

import (
	"fmt"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/runtime/device/cpu/kernel"
)

// kvPool holds the pages of every cache of a program: spans of pages, each of cache by cache, layer by layer, and of these head by head the keys of all its
// positions, then the values. A span is as long as a split of attention, which therefore reads memory front to back where the pages of a sequence follow each
// other; pages by themselves would be stretches of a few KB, which memory hands out a third slower.
//
// A page has positions of a sequence or of a text that was encoded, whose caches may differ in shape: with both, a span is one page.
type kvPool struct {
	mem       region
	spanBytes int64
	spanPages int
	pages     int
	pageSize  int
	caches    []kvCache
	to, from  []stretch // scratch of copyPage
}

// kvCache is one row of the program's cache table within the pool.
type kvCache struct {
	layout.KV               // a span of a layer, of all kinds but states
	state      layout.State // of kind "state": of a page of a layer
	offset     int64        // of layer 0 within a span
	layerBytes int64
	layers     int
	cross      bool // of texts
}

// tokenBytes returns the cache size of one position, in pages of pageSize.
func tokenBytes(caches []engine.Cache, pageSize int) (int64, error) {
	pool := kvPool{pageSize: pageSize}
	if err := pool.plan(caches); err != nil {
		return 0, err
	}
	return (pool.pageBytes() + int64(pageSize) - 1) / int64(pageSize), nil
}

// pageBytes returns what a page takes of its span.
func (p *kvPool) pageBytes() int64 {
	return (p.spanBytes + int64(p.spanPages) - 1) / int64(p.spanPages)
}

func (p *kvPool) plan(caches []engine.Cache) error {
	p.spanPages = 1
	if p.pageSize > 0 && kernel.SplitLength%p.pageSize == 0 {
		p.spanPages = kernel.SplitLength / p.pageSize
	}
	for _, c := range caches {
		if c.Kind == engine.Cross {
			p.spanPages = 1
		}
	}
	ends := map[bool]int64{} // of what a span holds of texts, and of what it holds of sequences
	for _, c := range caches {
		own := kvCache{layers: c.Layers, cross: c.Kind == engine.Cross}
		var err error
		if c.Kind == engine.State {
			own.state, err = c.State()
			own.layerBytes = int64(p.spanPages) * int64(own.state.Bytes())
		} else {
			own.KV, err = c.Layout(p.pageSize * p.spanPages)
			own.layerBytes = int64(own.Bytes())
		}
		if err != nil {
			return fmt.Errorf("cache %q: %w", c.Name, err)
		}
		own.offset = ends[own.cross]
		p.caches = append(p.caches, own)
		ends[own.cross] += own.layerBytes * int64(c.Layers)
		p.spanBytes = max(p.spanBytes, ends[own.cross])
	}
	return nil
}

func newKVPool(caches []engine.Cache, pageSize, pages int) (*kvPool, error) {
	p := &kvPool{pageSize: pageSize, pages: pages}
	if err := p.plan(caches); err != nil {
		return nil, err
	}
	mem, err := newRegion(p.spanBytes*int64((pages+p.spanPages-1)/p.spanPages), "the KV cache")
	p.mem = mem
	return p, err
}

// statePart returns where a layer has the state of a page, of so many bytes, behind its part of the first span.
func (p *kvPool) statePart(page int, bytes int64) int64 {
	return int64(page/p.spanPages)*p.spanBytes + int64(page%p.spanPages)*bytes
}

// stretch is consecutive bytes of the pool.
type stretch struct{ offset, bytes int64 }

// stretches appends where a page lies, in an order that is the same for all pages.
func (p *kvPool) stretches(list []stretch, page int32) []stretch {
	span, slot := int64(page)/int64(p.spanPages)*p.spanBytes, int(page)%p.spanPages
	if p.spanPages == 1 { // of texts as of sequences
		return append(list, stretch{span, p.spanBytes})
	}
	for i := range p.caches {
		c := &p.caches[i]
		for layer := range c.layers {
			list = c.stretches(list, span+c.offset+int64(layer)*c.layerBytes, slot, p.pageSize)
		}
	}
	return list
}

// stretches appends where a page of a layer lies, whose part of the span begins at offset; slot counts pages in the span.
func (c *kvCache) stretches(list []stretch, offset int64, slot, pageSize int) []stretch {
	if c.state.Channels > 0 {
		n := int64(c.state.Bytes())
		return append(list, stretch{offset + int64(slot)*n, n})
	}
	for head := range c.Heads {
		for _, r := range c.Runs(head, slot*pageSize, pageSize) {
			if r.Bytes > 0 {
				list = append(list, stretch{offset + int64(r.Offset), int64(r.Bytes)})
			}
		}
	}
	return list
}

func (p *kvPool) has(page int32) bool { return page >= 0 && int(page) < p.pages }

func (p *kvPool) copyPage(dst, src int32) error {
	if !p.has(dst) || !p.has(src) {
		return fmt.Errorf("copy of page %d to %d: there are %d pages", src, dst, p.pages)
	}
	p.to, p.from = p.stretches(p.to[:0], dst), p.stretches(p.from[:0], src)
	for i, to := range p.to {
		copy(p.mem[to.offset:][:to.bytes], p.mem[p.from[i].offset:])
	}
	return nil
}

// movedBytes is what readPage and writePage move.
func (p *kvPool) movedBytes() int { return stretched(p.stretches(nil, 0)) }

// stretched is how many bytes a list has.
func stretched(list []stretch) (n int) {
	for _, at := range list {
		n += int(at.bytes)
	}
	return n
}

// readPage collects the stretches of a page.
func (p *kvPool) readPage(page int32, to []byte) error {
	return p.movePage(page, to, func(pool, moved []byte) { copy(moved, pool) })
}

// writePage puts the stretches of a page where they belong.
func (p *kvPool) writePage(page int32, from []byte) error {
	return p.movePage(page, from, func(pool, moved []byte) { copy(pool, moved) })
}

func (p *kvPool) movePage(page int32, moved []byte, move func(pool, moved []byte)) error {
	if !p.has(page) {
		return fmt.Errorf("page %d: there are %d", page, p.pages)
	}
	list := p.stretches(nil, page)
	if n := stretched(list); len(moved) != n {
		return fmt.Errorf("page %d in %d bytes, it has %d", page, len(moved), n)
	}
	for _, at := range list {
		move(p.mem[at.offset:at.offset+at.bytes], moved[:at.bytes])
		moved = moved[at.bytes:]
	}
	return nil
}
