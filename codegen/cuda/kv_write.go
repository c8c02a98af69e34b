package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
)

func kvWriteGrid(e *entry) [3]engine.Extent {
	return grid(engine.Extent{Of: e.buffer("k").Rows, Per: 1}, engine.Extent{Of: constant(2 * e.kv().Heads), Per: ropeWarps})
}

// kvWrite is K[slots[m], h] = k[m, h*dim..], V[slots[m], h] = v[m, h*dim..], rounded to what the cache holds: keys that do not turn, or have turned before, and
// whose queries are of other rows. It is one CTA for each token and four of its heads, a warp a head: those of keys come first, then those of values. A lane has
// channels lane, lane+32, ... of its head, which stay in its registers from the load to the store.
//
//	warp:  0     ..  kv_heads-1 | kv_heads  ..  2*kv_heads-1
//	row:   k: | head 0 | .. |     v: | head 0 | .. |            a lane:  lane | lane+32 | ..
func kvWrite(e *entry) {
	cache := e.kv()
	r := &rope{e: e, kvHeads: cache.Heads, dim: cache.Dim, lane: e.Lane()}
	token := e.CtaX()
	head := e.Mad(e.CtaY(), ropeWarps, e.Warp())
	e.If(e.Lt(head, r.allHeads()), func() {
		isValue := e.Ge(head, r.kvHeads)
		row := e.Select(isValue, e.row("v", token), e.row("k", token))
		row = e.Index(row, e.Mul(e.Sub(head, e.Select(isValue, e.Const(ptx.U32, r.kvHeads), 0)), r.dim), 4)
		_, all := r.channels()
		for _, c := range all {
			r.load(c.value, row, c)
		}
		r.storeCache(all, token, head)
	})
}
