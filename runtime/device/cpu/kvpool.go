package cpu

import (
	"fmt"

	"llmc/engine"
	"llmc/engine/layout"
)

// kvPool holds the pages of every cache of a program. A page is one block of bytes that covers PageSize positions in
// all layers of all caches of a kind, so that copying or freeing a page is one operation: cache by cache, layer by layer. A page has positions of a sequence
// or of a text that was encoded, so both kinds begin at its start.
type kvPool struct {
	mem       region
	pageBytes int64
	pages     int
	pageSize  int
	caches    []kvCache
}

// kvCache is one row of the program's cache table within the pool.
type kvCache struct {
	layout.KV               // of all kinds but states
	state      layout.State // of kind "state"
	offset     int64        // of layer 0 within a page
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
	return (pool.pageBytes + int64(pageSize) - 1) / int64(pageSize), nil
}

func (p *kvPool) plan(caches []engine.Cache) error {
	ends := map[bool]int64{} // of what a page holds of texts, and of what it holds of sequences: it belongs to one or the other
	for _, c := range caches {
		own := kvCache{layers: c.Layers, cross: c.Kind == engine.Cross}
		var err error
		bytes := 0
		if c.Kind == engine.State {
			own.state, err = c.State()
			bytes = own.state.Bytes()
		} else {
			own.KV, err = c.Layout(p.pageSize)
			bytes = own.Bytes()
		}
		if err != nil {
			return fmt.Errorf("cache %q: %w", c.Name, err)
		}
		own.layerBytes = int64(bytes+layout.Align-1) / layout.Align * layout.Align
		own.offset = ends[own.cross]
		p.caches = append(p.caches, own)
		ends[own.cross] += own.layerBytes * int64(c.Layers)
		p.pageBytes = max(p.pageBytes, ends[own.cross])
	}
	return nil
}

func newKVPool(caches []engine.Cache, pageSize, pages int) (*kvPool, error) {
	p := &kvPool{pageSize: pageSize, pages: pages}
	if err := p.plan(caches); err != nil {
		return nil, err
	}
	mem, err := newRegion(p.pageBytes*int64(pages), "the KV cache")
	p.mem = mem
	return p, err
}

func (p *kvPool) copyPage(dst, src int32) error {
	if dst < 0 || src < 0 || int(dst) >= p.pages || int(src) >= p.pages {
		return fmt.Errorf("copy of page %d to %d: there are %d pages", src, dst, p.pages)
	}
	page := func(i int32) []byte { return p.mem[int64(i)*p.pageBytes : (int64(i)+1)*p.pageBytes] }
	copy(page(dst), page(src))
	return nil
}
