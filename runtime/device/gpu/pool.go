package gpu

import (
	"fmt"

	"llmc/engine"
	"llmc/internal/dtype"
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

// layerAlign is what the parts of a page are padded to.
const layerAlign = 64

func newPool(caches []engine.Cache, pageSize int) (*pool, error) {
	p := &pool{}
	for _, c := range caches {
		if c.Kind != "paged" || c.DType != dtype.BF16 {
			return nil, fmt.Errorf("cache %q: a %s cache of %v is not supported on GPUs", c.Name, c.Kind, c.DType)
		}
		part := int64(c.KVHeads) * int64(pageSize) * int64(c.Dim) * int64(c.DType.Size())
		layer := 2 * ((part + layerAlign - 1) / layerAlign * layerAlign)
		p.layers = append(p.layers, cacheLayers{p.pageBytes, layer})
		p.pageBytes += layer * int64(c.Layers)
	}
	return p, nil
}

// layer is the offset of a layer of a cache within a page.
func (p *pool) layer(cache int, layer int64) int64 {
	return p.layers[cache].offset + layer*p.layers[cache].layerBytes
}
