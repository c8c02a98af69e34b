package gpu

import (
	"fmt"

	"llmc/engine"
)

// pool says where each cache of a program lies in a page. A page is one block of bytes that covers PageSize positions in all layers of all
// caches: cache by cache, layer by layer.
type pool struct {
	pageBytes int64
	layers    []cacheLayers // by cache
	mem       Memory
}

// cacheLayers is one row of the program's cache table within a page.
type cacheLayers struct{ offset, layerBytes int64 }

func newPool(caches []engine.Cache, pageSize int) (*pool, error) {
	p := &pool{}
	for _, c := range caches {
		kv, err := c.Plain(pageSize)
		if err != nil {
			return nil, fmt.Errorf("cache %q: %w", c.Name, err)
		}
		layer := int64(kv.Bytes())
		p.layers = append(p.layers, cacheLayers{p.pageBytes, layer})
		p.pageBytes += layer * int64(c.Layers)
	}
	return p, nil
}

// layer is the offset of a layer of a cache within a page.
func (p *pool) layer(cache int, layer int64) int64 {
	return p.layers[cache].offset + layer*p.layers[cache].layerBytes
}
