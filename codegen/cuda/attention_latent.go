package cuda

import (
	"llmc/codegen/ptx"
)

// latentRows is how many queries a CTA has where keys and values are rows of a latent cache: so wide keys leave room for one tile of the matrix units.
const latentRows = 16

// latent tells whether the cache has rows of keys whose first channels are the values.
func (a *attend) latent() bool { return a.e.kv().Rank > 0 }

// planLatent is the shape of attention over latent rows (c, k) of rank + rope channels, of which all query heads see the same:
//
//	scores = scale * (q.c + q_rope.k),  y = softmax(scores) c
//
// It is attention of one KV head of rank + rope channels whose values are the first rank of them, so that a CTA has 16 query heads of a token, or more tokens
// of fewer heads, and the four warps share rows as in sharedRows. A tile of 64 positions is copied once:
//
//	           rank                rope
//	q      16 | q of the head     | q_rope |        scores of warp w: positions 16w.., all channels
//	tile   64 | c                 | k      |        results of warp w: channels 16w.., then 64 further, of c
//
// Of 576 channels of bf16 a tile takes 73 KB and the queries 18. Where there is room for two tiles the next one is copied meanwhile; sm80 and sm89 have it for codes
// alone. It changes no bit.
func (a *attend) planLatent() {
	kv := a.e.kv()
	a.kvHeads, a.dim, a.values = 1, kv.Dim, kv.Rank
	a.shares, a.rows = 1, latentRows
	a.shareHeads()
	a.slots = 2
	if a.bytes(a.slots) > a.e.sharedMemory {
		a.slots = 1
	}
	for a.fillsRegisters() && a.latentParked < mostParked {
		if a.bytes(a.slots)+2*16*attentionThreads > a.e.sharedMemory {
			return
		}
		a.latentParked += 2
	}
}

// fillsRegisters tells that values of latent rows are so wide that the results of a split and those before it take nearly all registers of a thread.
func (a *attend) fillsRegisters() bool { return a.latent() && a.warpBlocks() >= 14 }

// mostParked is how many of the 16 blocks of 8 channels that a warp has of 512 are kept in shared memory from split to split where there is room.
const mostParked = 6

// valuesPad is the channels of values that the matrix units see.
func (a *attend) valuesPad() int { return a.padded(a.values) }

// latentPair reads channels d and d+1 of a query: the first of q, at column, the others of q_rope. Both parts have an even number of channels.
func (a *attend) latentPair(token, column, d ptx.Reg) []ptx.Reg {
	e := a.e
	turning := e.Ge(d, a.values)
	row := e.Select(turning, e.row("q_rope", token), e.row("q", token))
	head := e.Div(column, a.values)
	of := e.Select(turning, e.Mad(head, a.dim-a.values, e.Sub(d, a.values)), e.Add(column, d))
	return e.LdV(ptx.F32, 2, e.Index(row, of, 4))
}

// latentTiles is tiles of rows that are keys first, then values. Weights go through shared memory: all threads have written theirs before anyone multiplies
// them, and have left a tile before its slot is filled again.
func (a *attend) latentTiles(plan scorePlan) {
	l, e := &a.load, a.e
	e.Section("first tile")
	slot := e.Const(ptx.U32, 0)
	l.issue(0, slot)
	e.Section("tiles")
	end := e.Add(a.work.last, 1)
	e.For(ptx.Range{Name: "tiles", From: l.from, To: end, Step: attentionTile}, func(position ptx.Reg) {
		e.CopyWait(0)
		e.Sync()
		if a.slots > 1 {
			l.issue(0, e.Sub(a.slotBytes(), slot))
		}
		tile := e.Add(a.ring, slot)
		plan.scores(tile, position)
		e.Sync()
		plan.accumulate(tile)
		a.splitAt(plan, position, end)
		if a.slots > 1 {
			e.Set(slot, e.Sub(a.slotBytes(), slot))
			return
		}
		e.Sync()
		l.issue(0, slot)
	})
	a.finish(plan)
}
