package engine

import (
	"fmt"
	"slices"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// CacheTypes lists, by device, the element types that a KV cache can have.
var CacheTypes = map[string][]dtype.Type{"cpu": layout.KVTypes, "cuda": layout.PlainTypes}

// layerBytes returns, by device, what one layer of a cache takes of a page.
var layerBytes = map[string]func(c *Cache, pageSize int) (int, error){
	"cpu": func(c *Cache, pageSize int) (int, error) {
		kv, err := layout.NewKV(c.DType, pageSize, c.KVHeads, c.Dim)
		if err != nil {
			return 0, err
		}
		return kv.Bytes(), nil
	},
	"cuda": func(c *Cache, pageSize int) (int, error) {
		kv, err := layout.NewPlainKV(c.DType, pageSize, c.KVHeads, c.Dim)
		if err != nil {
			return 0, err
		}
		return kv.Bytes(), nil
	},
}

// LayerBytes returns what one layer of the program's cache takes of a page of so many positions, on the device of its target.
func (p *Program) LayerBytes(cache, pageSize int) (int64, error) {
	target, err := FindTarget(p.Target)
	if err != nil {
		return 0, err
	}
	c := &p.Caches[cache]
	n, err := layerBytes[target.Device](c, pageSize)
	if err != nil {
		return 0, fmt.Errorf("cache %s: %w", c.Name, err)
	}
	return int64(n), nil
}

// CrossKind is the kind of a cache of what function "encode" keeps of a text, at the positions of its tokens. A page holds positions of a sequence in all
// caches of kind "paged", or positions of a text in all of this kind: they lie in the same place.
const CrossKind = "cross"

// PageBytes returns what a page of so many positions takes in all caches.
func (p *Program) PageBytes(pageSize int) (int64, error) {
	sums := map[string]int64{}
	for i := range p.Caches {
		layer, err := p.LayerBytes(i, pageSize)
		if err != nil {
			return 0, err
		}
		sums[p.Caches[i].Kind] += layer * int64(p.Caches[i].Layers)
	}
	return max(sums["paged"], sums[CrossKind]), nil
}

// Encodes tells whether the program reads or writes what is kept of texts.
func (p *Program) Encodes() bool {
	return slices.ContainsFunc(p.Caches, func(c Cache) bool { return c.Kind == CrossKind })
}

func (s *programScope) checkCache(i int) error {
	c := &s.program.Caches[i]
	if c.Kind != "paged" && c.Kind != CrossKind {
		return fmt.Errorf("cache %s: unknown kind %q", c.Name, c.Kind)
	}
	if c.Layers < 1 || c.Layers > 1<<16 {
		return fmt.Errorf("cache %s: %d layers", c.Name, c.Layers)
	}
	_, err := s.program.LayerBytes(i, layout.MinPageSize)
	return err
}
