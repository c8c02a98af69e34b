package cpu

import (
	"fmt"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/runtime/device/cpu/kernel"
)

// kvPool holds the pages of every cache of a program: spans of pages, each of cache by cache, layer by layer, and of these head by head the keys of all its
// positions, then the values. A span is as long as a split of attention, which therefore reads memory front to back where the pages of a sequence follow each
// other; pages by themselves would be pieces of a few KB, which memory hands out a third slower.
//
// A page has positions of a sequence or of a text that was encoded, whose caches may differ in shape: with both, a span is one page.
type kvPool struct {
	mem       region
	spanBytes int64
	spanPages int
	pages     int
	pageSize  int
	caches    []kvCache
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

func (p *kvPool) copyPage(dst, src int32) error {
	if dst < 0 || src < 0 || int(dst) >= p.pages || int(src) >= p.pages {
		return fmt.Errorf("copy of page %d to %d: there are %d pages", src, dst, p.pages)
	}
	if p.spanPages == 1 { // of texts as of sequences
		span := func(i int32) []byte { return p.mem[int64(i)*p.spanBytes : (int64(i)+1)*p.spanBytes] }
		copy(span(dst), span(src))
		return nil
	}
	to, from := int64(dst)/int64(p.spanPages)*p.spanBytes, int64(src)/int64(p.spanPages)*p.spanBytes
	for i := range p.caches {
		c := &p.caches[i]
		for layer := range c.layers {
			at := c.offset + int64(layer)*c.layerBytes
			c.copyPage(p.mem[to+at:][:c.layerBytes], p.mem[from+at:][:c.layerBytes], int(dst)%p.spanPages, int(src)%p.spanPages, p.pageSize)
		}
	}
	return nil
}

// copyPage copies a page from one span of a layer to another, or the same; dst and src count pages in their spans.
func (c *kvCache) copyPage(to, from []byte, dst, src, pageSize int) {
	if c.state.Channels > 0 {
		n := c.state.Bytes()
		copy(to[dst*n:(dst+1)*n], from[src*n:])
		return
	}
	for head := range c.Heads {
		places := c.Runs(head, dst*pageSize, pageSize)
		for i, r := range c.Runs(head, src*pageSize, pageSize) {
			copy(to[places[i].Offset:][:r.Bytes], from[r.Offset:])
		}
	}
}
