package cuda

import (
	"math"

	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/sym"
)

// Shape of attention. Positions are cut into tiles at multiples of attentionTile, whatever the step, so that the order of sums is
// a property of the sequence alone. All else here may change without changing a bit of a result.
const (
	attentionWarps   = 4
	attentionThreads = 32 * attentionWarps
	attentionTile    = 64 // positions; a warp copies 16 of them, which are in one page

	warpChannels = 128      // of 16 rows of results, that the registers of a warp hold
	sharedWanted = 80 << 10 // bytes of shared memory, which let two CTAs have a multiprocessor of most targets

	// Tiles of keys or values in shared memory. The fewest take 87 KB with the largest heads, which every target has.
	minSlots, maxSlots = 2, 4
)

// attend is what an attention is written for.
type attend struct {
	*entry
	heads, kvHeads, dim int
	rows                int // queries of a CTA at most: tokens times heads
	shares              int // warps that have the channels of 16 rows
	group               int // query heads of a CTA
	parts               int // CTAs that share the heads of one KV head
	window              int
	block               int // tokens of an item at most
	slots               int // tiles in shared memory

	lane, warp ptx.Reg
	q, ring    ptx.Reg // shared memory: queries, slots of tiles
	p, tops    ptx.Reg // of one row tile: what all warps share when they have a part of each tile

	first, count ptx.Reg // rows of the item
	top          ptx.Reg // position of its last row
	load         loads
	keys         keyTurns // where keys turn as they are read
}

func newAttend(e *entry) *attend {
	attr := func(name string) int { return int(e.launch.Int(name, 0)) }
	a := &attend{entry: e, heads: attr("heads"), kvHeads: attr("kv_heads"), dim: attr("dim"), window: attr("window")}
	a.shares = (a.dimPad() + warpChannels - 1) / warpChannels
	a.rows = 16 * attentionWarps / a.shares
	a.slots = maxSlots
	for a.slots > minSlots && a.bytes(a.slots) > sharedWanted {
		a.slots--
	}
	all := a.heads / a.kvHeads
	a.parts = (all + a.rows - 1) / a.rows
	a.group = (all + a.parts - 1) / a.parts
	a.block = a.rows / a.group
	if e.turnsOnRead() {
		a.block = 1 // the rows of a CTA share its keys, so that all must have one token's frequencies
	}
	return a
}

// bytes is the shared memory with that many slots.
func (a *attend) bytes(slots int) int {
	return a.queryBytes() + topsBytes + weightsBytes + slots*a.slotBytes()
}

// dimPad is the channels that the matrix units see.
func (a *attend) dimPad() int { return (a.dim + 15) / 16 * 16 }

// rowBytes is the distance of rows of channels in shared memory: an odd number of 16 bytes, so that eight rows lie in different banks.
func (a *attend) rowBytes() int { return 2*a.dimPad() + 16 }

func (a *attend) slotBytes() int  { return attentionTile * a.rowBytes() }
func (a *attend) queryBytes() int { return a.rows * a.rowBytes() }

const (
	weightRowBytes = 2*attentionTile + 16    // of P in shared memory
	topsBytes      = 4 * 16 * attentionWarps // the largest score of each row in each warp's part
	weightsBytes   = 16 * weightRowBytes     // P of one row tile
)

func attentionGrid(e *entry) [3]engine.Extent {
	a := newAttend(e)
	items := engine.Extent{Of: e.buffer("y").Rows, Per: int64(a.block)}
	items.Of = items.Of.Add(sym.Of(sym.B).Scale(int64(a.block)))
	return grid(items, engine.Extent{Of: constant(a.kvHeads), Per: 1}, engine.Extent{Of: constant(a.parts), Per: 1})
}

// attentionCTAs is what shared memory allows most targets with heads of more than 64 channels. Left alone, some assemblers would rather
// spill a few registers than have two CTAs where three would find registers.
func attentionCTAs(e *entry) int {
	if newAttend(e).dim > 64 {
		return 2
	}
	return 0
}

// attention is y = softmax(scale * q K^T) V over the positions that each query sees. CTA (i, j, k) has item i and KV head j; its rows are
// the item's tokens times the query heads of j (a part of them, if they are more than 64), row = token*group + head.
//
// Each tile of 64 positions gives every row its largest score, then weights P = 2^(score - largest) in bf16, their sum and their products
// with V from zero. This is merged into what the tiles before gave, in order of position. What a row gets does not depend on which
// warps compute it, which other rows there are, or which tiles those need.
//
// Where keys turn as they are read, all threads first turn those of a tile in shared memory, and an item is one token.
//
//	up to 16 rows: a warp has 16 positions of the scores and a quarter of the channels of the result; P goes through shared memory
//	more:          a warp has 16 rows, or two warps have them, each half of the channels of the result
func attention(e *entry) {
	a := newAttend(e)
	a.lane, a.warp = a.Lane(), a.Warp()
	item := a.LdV(ptx.U32, 4, a.Index(a.pointers["items"], a.CtaX(), 16))
	sequence := item[0]
	a.first, a.count = item[1], item[2]
	a.If(a.Gt(a.count, 0), func() {
		a.places()
		a.padRows()
		a.stageQueries()
		a.load = a.startLoads(sequence)
		if a.turnsOnRead() {
			a.keys = a.newKeyTurns()
		}
		if a.block*a.group <= 16 {
			a.tiles(newSharedRows(a))
		} else {
			a.IfElse(a.Gt(a.Mul(a.count, a.group), 16),
				func() { a.tiles(newRowWarps(a)) },
				func() { a.tiles(newSharedRows(a)) })
		}
		a.storeMaxima()
	})
}

// places declares shared memory.
func (a *attend) places() {
	a.q = a.Addr(a.Dynamic("queries", a.queryBytes(), 16))
	a.p = a.Addr(a.Dynamic("weights", weightsBytes, 16))
	a.tops = a.Addr(a.Dynamic("tops", topsBytes, 16))
	a.ring = a.Addr(a.Dynamic("tiles", a.slots*a.slotBytes(), 16))
	a.shared = a.bytes(a.slots)
	a.top = a.Ld(ptx.S32, a.Index(a.pointers["positions"], a.Sub(a.Add(a.first, a.count), 1), 4))
}

// query tells the token (a row of q and y), the head and the column of a row of the CTA, and whether there is such a row.
func (a *attend) query(row ptx.Reg) (token, column, ok ptx.Reg) {
	number := a.Div(row, a.group)
	head := a.Sub(row, a.Mul(number, a.group))
	ok = a.Lt(number, a.count)
	if a.parts > 1 {
		head = a.Mad(a.CtaZ(), a.group, head)
		ok = a.CmpAnd(ptx.LT, head, a.heads/a.kvHeads, ok)
	}
	column = a.Mul(a.Mad(a.CtaY(), a.heads/a.kvHeads, head), a.dim)
	return a.Add(a.first, number), column, ok
}

// stageQueries writes the queries to shared memory as bf16, with zeros in rows and channels that are not there.
func (a *attend) stageQueries() {
	a.Section("queries")
	pairs := a.dimPad() / 2
	tiles := a.Shr(a.Add(a.Mul(a.count, a.group), 15), 4)
	a.For(ptx.Range{Name: "queries", From: a.TidX(), To: a.Mul(tiles, 16*pairs), Step: attentionThreads}, func(i ptx.Reg) {
		row := a.Div(i, pairs)
		d := a.Shl(a.Sub(i, a.Mul(row, pairs)), 1)
		token, column, ok := a.query(row)
		both := a.Const(ptx.B32, 0)
		a.If(a.CmpAnd(ptx.LT, d, a.dim, ok), func() {
			a.Set(both, a.queryPair(a.row("q", token), a.Add(column, d), d).As(ptx.B32))
		})
		a.St(a.Mad(row, a.rowBytes(), a.Index(a.q, d, 2)), both)
	})
}

// queryPair reads channels d and d+1 of a head at column of a row of q. The second may be behind an odd head's last one.
func (a *attend) queryPair(row, column, d ptx.Reg) ptx.Reg {
	if a.dim%2 == 0 {
		if a.isBF16("q") {
			return a.Ld(ptx.BF16x2, a.Index(row, column, 2))
		}
		v := a.LdV(ptx.F32, 2, a.Index(row, column, 4))
		return a.Cvt2(ptx.BF16x2, v[0], v[1])
	}
	there := a.Lt(d, a.dim-1)
	if a.isBF16("q") {
		at, high := a.Index(row, column, 2), a.Const(ptx.B16, 0)
		low := a.Ld(ptx.B16, at)
		a.When(there).Into(high).Ld(ptx.B16, at.At(2))
		return a.Pack(ptx.BF16x2, low, high)
	}
	at, high := a.Index(row, column, 4), a.Const(ptx.F32, 0)
	low := a.Ld(ptx.F32, at)
	a.When(there).Into(high).Ld(ptx.F32, at.At(4))
	return a.Cvt2(ptx.BF16x2, low, high)
}

// scorePlan is how the warps share the work on a tile.
type scorePlan interface {
	// scores takes the keys in a slot, of the tile that begins at a position.
	scores(slot, position ptx.Reg)
	// accumulate takes the values of the same tile.
	accumulate(slot ptx.Reg)
	// store writes the results.
	store()
}

// tiles goes through the tiles that some row of the CTA sees. Tiles of keys and of values are copied in turn, slots-1 of them ahead.
func (a *attend) tiles(plan scorePlan) {
	l := &a.load
	a.Section("first tiles")
	for j := range a.slots - 1 {
		l.issue(j, a.Const(ptx.U32, j*a.slotBytes()))
	}
	slot, free := a.Const(ptx.U32, 0), a.Const(ptx.U32, (a.slots-1)*a.slotBytes())
	arrive := func(j int) ptx.Reg {
		a.CopyWait(a.slots - 2)
		a.Sync() // the tile has come for all, and all have left the one before, whose slot is filled next
		l.issue(j+a.slots-1, free)
		at := a.Add(a.ring, slot)
		a.Set(free, slot)
		next := a.Add(slot, a.slotBytes())
		a.Set(slot, a.Select(a.Eq(next, a.slots*a.slotBytes()), 0, next))
		return at
	}
	a.Section("tiles")
	a.For(ptx.Range{Name: "tiles", From: l.from, To: a.Add(a.top, 1), Step: attentionTile}, func(position ptx.Reg) {
		keys := arrive(0)
		if a.turnsOnRead() {
			a.keys.turn(keys, position)
			a.Sync()
		}
		plan.scores(keys, position)
		plan.accumulate(arrive(1))
	})
	a.Section("results")
	plan.store()
}

// base2 is the factor that makes the products of queries and keys exponents of 2.
func (a *attend) base2() float64 { return a.launch.Float("scale", 1) * math.Log2E }
