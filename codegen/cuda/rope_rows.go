package cuda

import "llmc/codegen/ptx"

// ropeRowsThreads work on all heads of one token.
const ropeRowsThreads = 256

// ropeKVRows is ropeKV where a norm is of all of a token's queries, and of all of its keys:
//
//	q = rope(q / sqrt(mean(q^2 over all heads) + eps) * q_norm), k likewise
//
// One CTA has a token. At first all threads go through the columns of queries, then of keys, in pairs as norm does, and add up squares in its order. The row,
// which stays in the first-level cache, is then read once more, a warp for each head, eight heads at a time:
//
//	columns  | queries: head 0 | head 1 | .. | keys: head 0 | .. | values: head 0 | .. |
//	warp     |        0        |    1   | .. |   heads mod 8     |                ..   |
//
// A lane has the channels of its head that ropeKV gives it.
func ropeKVRows(e *entry) {
	r := newRope(e)
	token := e.CtaX()
	row := e.row("qkv", token)
	r.lane = e.Lane()
	queries := r.rowScale("query_squares", row, r.heads*r.dim)
	keys := r.rowScale("key_squares", e.Index(row, e.Const(ptx.U32, r.heads*r.dim), 4), r.kvHeads*r.dim)
	e.For(ptx.Range{Name: "heads", From: e.Warp(), To: r.allHeads(), Step: ropeRowsThreads / 32, NoUnroll: true}, func(head ptx.Reg) {
		first := e.Mul(head, r.dim)
		pairs, rest := r.channels()
		all := rest
		for _, p := range pairs {
			all = append(all, p[0], p[1])
		}
		for _, c := range all {
			r.load(c.value, e.Index(row, first, 4), c)
		}
		e.If(e.Lt(head, r.heads+r.kvHeads), func() {
			r.scaleHead(all, head, first, queries, keys)
			r.turnWanted(pairs, token, head)
		})
		e.IfElse(e.Lt(head, r.heads), func() { r.storeQuery(all, token, head) }, func() { r.storeCache(all, token, head) })
	})
}

// rowScale is what columns from row on are divided by their root mean square with; sums go through shared memory of that name.
func (r *rope) rowScale(name string, row ptx.Reg, columns int) ptx.Reg {
	e := r.e
	e.Section("sum of squares")
	n := &normRow{e: e, columns: columns, at: row}
	squares := n.sum(func(i ptx.Reg) [2]ptx.Reg {
		if columns%2 != 0 {
			return [2]ptx.Reg{e.Ld(ptx.F32, e.Index(row, i, 4)), e.Ld(ptx.F32, e.Index(row, e.Min(e.Add(i, 1), columns-1), 4))}
		}
		v := e.LdV(ptx.F32, 2, e.Index(row, i, 4))
		return [2]ptx.Reg{v[0], v[1]}
	}, func(sum, v ptx.Reg) ptx.Reg { return e.Fma(v, v, sum) })
	mean := e.Div(e.sumIn(name, squares), float64(columns))
	return e.Div(1.0, e.Sqrt(e.Add(mean, e.launch.Float("eps", 0))))
}

// scaleHead multiplies a head's channels, of which first is the column of the first one, by the scale and the weights of queries or keys.
func (r *rope) scaleHead(all []channel, head, first, queries, keys ptx.Reg) {
	e := r.e
	isQuery := e.Lt(head, r.heads)
	scale := e.Select(isQuery, queries, keys)
	column := e.Select(isQuery, first, e.Sub(first, r.heads*r.dim))
	weights := e.Index(e.Select(isQuery, e.pointers["q_norm"], e.pointers["k_norm"]), column, 4)
	for _, c := range all {
		w := e.Const(ptx.F32, 0)
		r.load(w, weights, c)
		e.Into(c.value).Mul(e.Mul(c.value, scale), w)
	}
}
