package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/ir"
)

// kvWriteGrid is a CTA for each token and four rows of its keys and values.
func kvWriteGrid(e *entry) [3]engine.Extent {
	return grid(engine.Extent{Of: e.buffer("k").Rows, Per: 1}, engine.Extent{Of: constant(2 * e.kv().Heads), Per: ropeWarps})
}

// kvWrite writes keys and values that are rows of their own to the slots of their tokens, as they are:
//
//	cache[slot of token, key of head h] = k[token, h*dim ..],  value likewise of v
//
//	CTA (token, i): warp w has row 4i + w of | keys: head 0 | head 1 | .. | values: head 0 | .. |
//
// A lane has channels lane, lane+32, .. of its row, in registers from the load to the store.
func kvWrite(e *entry) {
	heads, dim := e.kv().Heads, e.kv().Dim
	r := &rope{e: e, kvHeads: heads, dim: dim}
	r.lane = e.Lane()
	token := e.CtaX()
	row := e.Mad(e.CtaY(), ropeWarps, e.Warp())
	e.If(e.Lt(row, 2*heads), func() {
		isValue := e.Ge(row, heads)
		from := e.Select(isValue, e.row("v", token), e.row("k", token))
		head := e.Sub(row, e.Select(isValue, e.Const(ptx.U32, heads), 0))
		_, all := r.channels()
		for _, c := range all {
			r.load(c.value, e.Index(from, e.Mul(head, dim), 4), c)
		}
		r.storeCache(all, token, row)
	})
}

// ownRows tells that keys and values are results of their own, not columns of one product, which the op that turns them writes.
func ownRows(op *ir.Op) bool {
	for _, name := range []string{"k", "v"} {
		if def := op.Arg(name).Def; def != nil && def.Kind.Has(ir.View) {
			return false
		}
	}
	return true
}
