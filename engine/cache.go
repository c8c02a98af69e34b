package engine

import (
	"fmt"
	"slices"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// Kinds of caches: keys and values of each head; rows that are keys and values of all heads; what function "encode" keeps of a text, at the positions
// of its tokens; what a sequence has come to. A page of states holds the one behind the last of its tokens. Any other holds positions of a sequence in all
// caches but those of kind cross, or positions of a text in all of that kind: they lie in the same place.
const (
	Paged  = "paged"
	Latent = "latent"
	Cross  = "cross"
	State  = "state"
)

// CacheTypes lists, by device, the element types that a KV cache can have.
var CacheTypes = map[string][]dtype.Type{"cpu": layout.KVTypes, "cuda": layout.PlainTypes}

// CacheKinds lists, by device, the kinds of cache that kernels read.
var CacheKinds = map[string][]string{"cpu": {Paged, Cross, Latent, State}, "cuda": {Paged, Cross, Latent, State}}

// layerBytes returns, by device, what one layer of a cache takes of a page.
var layerBytes = map[string]func(c *Cache, pageSize int) (int, error){
	"cpu": func(c *Cache, pageSize int) (int, error) {
		if c.Kind == State {
			state, err := c.State()
			return state.Bytes(), err
		}
		kv, err := c.Layout(pageSize)
		if err != nil {
			return 0, err
		}
		return kv.Bytes(), nil
	},
	"cuda": func(c *Cache, pageSize int) (int, error) {
		if c.Kind == State {
			state, err := c.State()
			return state.Bytes(), err
		}
		kv, err := c.Plain(pageSize)
		if err != nil {
			return 0, err
		}
		return kv.Bytes(), nil
	},
}

// State describes a layer's part of a page of a cache of states.
func (c *Cache) State() (layout.State, error) { return layout.NewState(c.DType, c.KVHeads, c.Dim) }

// StateRows is how many rows of a state a launch moves on: the inputs that a convolution keeps, or the states of a scan.
func (c *Cache) StateRows(l *Launch) int {
	if FindKernel(l.Kernel).Operand(l, "skip").Kind == OperandWeight { // a scan
		return c.KVHeads - c.Rank
	}
	return c.Rank
}

// KeepsState tells whether some cache holds states. What tokens did to one can not be taken back.
func (p *Program) KeepsState() bool {
	return slices.ContainsFunc(p.Caches, func(c Cache) bool { return c.Kind == State })
}

// Positions of a page where the launch leaves them open. A page of states is as large however many tokens it is for, so that it is for many.
const (
	DefaultPageSize = 16
	statePageSize   = 256
)

// DefaultPageSize returns the positions of a page where the launch leaves them open.
func (p *Program) DefaultPageSize() int {
	if len(p.Caches) > 0 && !slices.ContainsFunc(p.Caches, func(c Cache) bool { return c.Kind != State }) {
		return statePageSize
	}
	return DefaultPageSize
}

// Layout describes a layer's part of a page on CPUs.
func (c *Cache) Layout(pageSize int) (layout.KV, error) {
	if c.Kind == Latent {
		return layout.NewLatent(c.DType, pageSize, c.Rank, c.Dim)
	}
	return layout.NewKV(c.DType, pageSize, c.KVHeads, c.Dim)
}

// Plain describes a layer's part of a page on GPUs.
func (c *Cache) Plain(pageSize int) (layout.PlainKV, error) {
	switch c.Kind {
	case Paged, Cross:
		return layout.NewPlainKV(c.DType, pageSize, c.KVHeads, c.Dim)
	case Latent:
		return layout.NewPlainLatent(c.DType, pageSize, c.Rank, c.Dim)
	}
	return layout.PlainKV{}, fmt.Errorf("GPU kernels read no cache of kind %q; build the plan for a CPU target", c.Kind)
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

// EncodeFunc is the function that a text goes through before the first step of its sequence.
const EncodeFunc = "encode"

// PageBytes returns what a page of so many positions takes in all caches.
func (p *Program) PageBytes(pageSize int) (int64, error) {
	sums := map[bool]int64{}
	for i := range p.Caches {
		layer, err := p.LayerBytes(i, pageSize)
		if err != nil {
			return 0, err
		}
		sums[p.Caches[i].Kind == Cross] += layer * int64(p.Caches[i].Layers)
	}
	return max(sums[false], sums[true]), nil
}

// Encodes tells whether the program reads or writes what is kept of texts.
func (p *Program) Encodes() bool {
	return slices.ContainsFunc(p.Caches, func(c Cache) bool { return c.Kind == Cross })
}

func (s *programScope) checkCache(i int) error {
	c := &s.program.Caches[i]
	switch {
	case c.Kind != Paged && c.Kind != Latent && c.Kind != Cross && c.Kind != State:
		return fmt.Errorf("cache %s: unknown kind %q", c.Name, c.Kind)
	case c.Kind == State && (c.Rank < 1 || c.Rank >= c.KVHeads):
		return fmt.Errorf("cache %s: a state of %d rows, %d of them inputs", c.Name, c.KVHeads, c.Rank)
	case c.Kind == Paged && c.Rank != 0 || c.Kind == Latent && c.KVHeads != 1:
		return fmt.Errorf("cache %s: kind %q with %d heads and rank %d", c.Name, c.Kind, c.KVHeads, c.Rank)
	}
	if c.Layers < 1 || c.Layers > 1<<16 {
		return fmt.Errorf("cache %s: %d layers", c.Name, c.Layers)
	}
	target, err := FindTarget(s.program.Target)
	if err != nil {
		return err
	}
	if !slices.Contains(CacheKinds[target.Device], c.Kind) {
		return fmt.Errorf("cache %s: target %s takes no cache of kind %q", c.Name, target.Name, c.Kind)
	}
	_, err = s.program.LayerBytes(i, layout.MinPageSize)
	return err
}
