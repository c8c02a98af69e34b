package partition

import (
	"fmt"

	"llmc/engine"
)

// split returns a rank's heads of attention, whose group of query heads shares each KV head. Where there are fewer KV heads than ranks, several ranks cache the same one and share its
// query heads.
func split(kv, group, rank, ranks int) Heads {
	if kv >= ranks {
		own := Share(kv, rank, ranks)
		return Heads{Range{own.From * group, own.To * group}, own}
	}
	head := rank * kv / ranks
	first := (head*ranks + kv - 1) / kv
	end := ((head+1)*ranks + kv - 1) / kv
	own := Share(group, rank-first, end-first)
	return Heads{Range{head*group + own.From, head*group + own.To}, Range{head, head + 1}}
}

// queryHeads returns the query heads of a launch over a cache of heads.
func queryHeads(l *engine.Launch, c *engine.Cache) int { return int(l.Int("heads", int64(c.KVHeads))) }

// cacheHeads returns the heads of each cache that each rank of a stage has; those of a kind that is not split are all.
func cacheHeads(p *engine.Program, tp int) ([][]Heads, error) {
	all := make([][]Heads, tp)
	for r := range all {
		for i := range p.Caches {
			c := &p.Caches[i]
			if !splits(c) {
				all[r] = append(all[r], Heads{KV: Range{0, c.KVHeads}})
				continue
			}
			all[r] = append(all[r], split(c.KVHeads, 1, r, tp))
		}
	}
	for i := range p.Launches {
		l := &p.Launches[i]
		op := engine.FindKernel(l.Kernel).Operand(l, "cache")
		if op.Kind != engine.OperandCache || !splits(&p.Caches[op.Index]) || l.Int("heads", 0) == 0 {
			continue
		}
		if heads := queryHeads(l, &p.Caches[op.Index]); heads < tp {
			return nil, fmt.Errorf("tp %d: the model has %d heads of attention, which is how many ranks can share them at most", tp, heads)
		}
	}
	return all, nil
}

// splits tells whether ranks of a stage have heads of their own of a cache. Rows of a latent cache are all heads', and states are moved on by all.
func splits(c *engine.Cache) bool { return c.Kind == engine.Paged || c.Kind == engine.Cross }
