package gpu

import "llmc/engine"

// pool says where each cache of a program lies in a page. A page is one block of bytes that covers PageSize positions in all layers of all
// caches: cache by cache, layer by layer.
type pool struct {
	pageBytes int64
	layers    []cacheLayers // by cache
	mem       Memory
}

// cacheLayers is one row of the program's cache table within a page.
type cacheLayers struct{ offset, layerBytes int64 }

func newPool(program *engine.Program, pageSize int) (*pool, error) {
	p := &pool{}
	for i := range program.Caches {
		layer, err := program.LayerBytes(i, pageSize)
		if err != nil {
			return nil, err
		}
		p.layers = append(p.layers, cacheLayers{p.pageBytes, layer})
		p.pageBytes += layer * int64(program.Caches[i].Layers)
	}
	return p, nil
}

// tokenBytes is what a position takes, rounded up.
func (p *pool) tokenBytes(pageSize int) int64 {
	return (p.pageBytes + int64(pageSize) - 1) / int64(pageSize)
}

// layer is the offset of a layer of a cache within a page.
func (p *pool) layer(cache int, layer int64) int64 {
	return p.layers[cache].offset + layer*p.layers[cache].layerBytes
}
