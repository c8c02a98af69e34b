package gpu

import "llmc/engine"

// pool says where each cache of a program lies in a page. A page is one block of bytes that covers PageSize positions in all layers of all
// caches of a kind: cache by cache, layer by layer. It has positions of a sequence or of a text that was encoded, so both kinds begin at its start.
type pool struct {
	pageBytes int64
	layers    []cacheLayers // by cache
	mem       Memory
}

// cacheLayers is one row of the program's cache table within a page.
type cacheLayers struct{ offset, layerBytes int64 }

func newPool(program *engine.Program, pageSize int) (*pool, error) {
	p, ends := &pool{}, map[bool]int64{} // of what a page holds of texts, and of what it holds of sequences
	for i := range program.Caches {
		layer, err := program.LayerBytes(i, pageSize)
		if err != nil {
			return nil, err
		}
		ofText := program.Caches[i].Kind == engine.Cross
		p.layers = append(p.layers, cacheLayers{ends[ofText], layer})
		ends[ofText] += layer * int64(program.Caches[i].Layers)
		p.pageBytes = max(p.pageBytes, ends[ofText])
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
