package cuda

import (
	"math"

	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// Shape of attention. Positions are cut into tiles at multiples of attentionTile, whatever the step, so that the order of sums is
// a property of the sequence alone. All else here may change without changing a bit of a result.
const (
	attentionSplit   = engine.AttentionSplit
	attentionWarps   = 4
	attentionThreads = 32 * attentionWarps
	attentionTile    = 64 // positions; a warp copies 16 of them, which are in one page

	warpChannels = 128      // of 16 rows of results, that the registers of a warp hold
	sharedWanted = 80 << 10 // bytes of shared memory, which let two CTAs have a multiprocessor of most targets

	// Tiles of keys or values in shared memory. The fewest take 99 KB with the largest heads, which every target has.
	minSlots, maxSlots = 2, 4
)

// attend is what an attention is written for.
type attend struct {
	e                   *entry
	heads, kvHeads, dim int
	values              int // channels of a value: dim, or of latent rows the first so many
	rows                int // queries of a CTA at most: tokens times heads
	shares              int // warps that have the channels of 16 rows
	group               int // query heads of a CTA
	parts               int // CTAs that share the heads of one KV head
	reach               engine.Reach
	format              tileFormat
	block               int     // tokens of an item at most
	slots               int     // tiles in shared memory
	table               ptx.Reg // shared memory: numbers by distance, of heads that have such
	latentParked        int     // see parkedBlocks

	lane, warp ptx.Reg
	q, ring    ptx.Reg // shared memory: queries, slots of tiles
	turned     ptx.Reg // a tile of keys that were codes, where they turn
	int8Offset ptx.Reg
	u4Low      ptx.Reg // see expandU4
	p, tops    ptx.Reg // of one row tile: what all warps share when they have a part of each tile

	work piece
	load loads
	keys keyTurns // where keys turn as they are read
}

func newAttend(e *entry) *attend {
	attr := func(name string) int { return int(e.launch.Int(name, 0)) }
	a := &attend{e: e, heads: attr("heads"), kvHeads: attr("kv_heads"), dim: attr("dim"), reach: engine.ReachOf(e.launch)}
	a.values = a.dim
	a.format = tileFormatOf(e)
	if a.latent() {
		a.planLatent()
		return a
	}
	a.shares = (a.dimPad() + warpChannels - 1) / warpChannels
	a.rows = 16 * attentionWarps / a.shares
	a.shareHeads()
	if e.turnsOnRead() {
		a.block = 1 // the rows of a CTA share its keys, so that all must have one token's frequencies
	}
	a.slots = maxSlots
	for a.slots > minSlots && a.bytes(a.slots) > sharedWanted {
		a.slots--
	}
	return a
}

// shareHeads gives the query heads of a KV head to as few CTAs as have rows for them.
func (a *attend) shareHeads() {
	all := a.heads / a.kvHeads
	a.parts = (all + a.rows - 1) / a.rows
	a.group = (all + a.parts - 1) / a.parts
	a.block = a.rows / a.group
}

// bytes is the shared memory with that many slots.
func (a *attend) bytes(slots int) int {
	return a.queryBytes() + topsBytes + weightsBytes + slots*a.slotBytes() + a.turnedBytes() + a.parkedBytes() + a.relativeBytes()
}

// dimPad is the channels that the matrix units see.
func (a *attend) dimPad() int { return a.padded(a.dim) }

// rowBytes is the distance of rows of 16-bit channels in shared memory: an odd number of 16 bytes, so that eight rows lie in different banks.
func (a *attend) rowBytes() int { return 2*a.dimPad() + 16 }

func (a *attend) queryBytes() int { return a.rows * a.rowBytes() }

func (a *attend) slotBytes() int {
	if a.scaled() {
		return a.tileScale() + attentionTile*kvScaleBytes
	}
	return a.tileScale()
}

func (a *attend) turnedBytes() int {
	if a.scaled() && a.e.turnsOnRead() {
		return attentionTile * a.rowBytes()
	}
	return 0
}

const (
	weightRowBytes = 2*attentionTile + 16    // of P in shared memory
	topsBytes      = 4 * 16 * attentionWarps // the largest score of each row in each warp's part
	weightsBytes   = 16 * weightRowBytes     // P of one row tile
)

func attentionGrid(e *entry) [3]engine.Extent {
	a := newAttend(e)
	items := engine.Extent{Of: e.buffer("y").Rows, Per: int64(a.block)}
	items.Of = items.Of.Add(sym.Of(sym.B).Add(constant(a.extra())).Scale(int64(a.block)))
	return grid(items, engine.Extent{Of: constant(a.kvHeads), Per: 1}, engine.Extent{Of: constant(a.parts), Per: 1})
}

// attentionCTAs is what shared memory allows most targets with heads of more than 64 channels, or 32. Left alone, some assemblers would rather
// spill a few registers than have two CTAs where three would find registers.
func attentionCTAs(e *entry) int {
	switch a := newAttend(e); {
	case a.dim > 64 || (a.relative() || a.span() == 32) && a.dim > 32: // tables of distances and wide spans take registers, too
		return 2
	case a.dim > 32:
		return 3
	}
	return 0
}

// attention is y = softmax(scale * q K^T) V over the positions that each query sees. CTA (i, j, k) has item i and KV head j; its rows are
// the item's tokens times the query heads of j (a part of them, if they are more than 64), row = token*group + head.
//
// Each tile of 64 positions gives every row its largest score, then weights P = 2^(score - largest) in bf16, their sum and their products
// with V from zero. This is merged into what the tiles before gave of the same split of 256 positions, and splits are merged into what those
// before gave, both in order of position. What a row gets does not depend on which warps compute it, which other rows there are, or
// which tiles those need; nor on whether one CTA has all splits of an item or several have some each, as the work list says: see piece.
//
// Where keys turn as they are read, all threads first turn those of a tile in shared memory, and an item is one token.
//
//	up to 16 rows: a warp has 16 positions of the scores and a quarter of the channels of the result; P goes through shared memory
//	more:          a warp has 16 rows, or two warps have them, each half of the channels of the result
func attention(e *entry) {
	a := newAttend(e)
	a.lane, a.warp = a.e.Lane(), a.e.Warp()
	item := a.item()
	a.e.If(a.e.Gt(item[2], 0), func() {
		a.places(item)
		a.work = a.newPiece(item)
		a.stageQueries(item)
		a.load = a.startLoads(item)
		a.padRows(item)
		a.spreadRelative()
		if a.e.turnsOnRead() {
			a.keys = a.newKeyTurns(item[1])
		}
		if a.block*a.group <= 16 || a.e.part != nil && a.partTokens() > 0 {
			a.tiles(newSharedRows(a, item))
			return
		}
		a.e.IfElse(a.e.Gt(a.e.Mul(item[2], a.group), 16),
			func() { a.tiles(newRowWarps(a, item)) },
			func() { a.tiles(newSharedRows(a, item)) })
	})
}

// places declares shared memory.
func (a *attend) places(item []ptx.Reg) {
	a.q = a.e.Addr(a.e.Dynamic("queries", a.queryBytes(), 16))
	a.p = a.e.Addr(a.e.Dynamic("weights", weightsBytes, 16))
	a.tops = a.e.Addr(a.e.Dynamic("tops", topsBytes, 16))
	a.ring = a.e.Addr(a.e.Dynamic("tiles", a.slots*a.slotBytes(), 16))
	if n := a.turnedBytes(); n > 0 {
		a.turned = a.e.Addr(a.e.Dynamic("turned", n, 16))
	}
	switch a.e.kv().DType {
	case dtype.I8:
		a.int8Offset = a.e.Const(ptx.F16x2, float64(int8Offset))
	case dtype.U4:
		a.u4Low = a.e.Or(a.e.Shr(item[2], 31), int(u4Table()[0]))
	}
	a.e.shared = a.bytes(a.slots)
}

// query tells the token (a row of q and y), the head and the column of a row of the CTA, and whether there is such a row.
func (a *attend) query(item []ptx.Reg, row ptx.Reg) (token, column, ok ptx.Reg) {
	number := a.e.Div(row, a.group)
	head := a.e.Sub(row, a.e.Mul(number, a.group))
	ok = a.e.Lt(number, item[2])
	if a.parts > 1 {
		head = a.e.Mad(a.e.CtaZ(), a.group, head)
		ok = a.e.CmpAnd(ptx.LT, head, a.heads/a.kvHeads, ok)
	}
	column = a.e.Mul(a.e.Mad(a.e.CtaY(), a.heads/a.kvHeads, head), a.values)
	return a.e.Add(item[1], number), column, ok
}

// stageQueries writes the queries to shared memory, as what keys are multiplied as, with zeros in rows and channels that are not there.
func (a *attend) stageQueries(item []ptx.Reg) {
	a.e.Section("queries")
	if a.codedKeys() && a.e.turnBlock() > 1 {
		a.stageTurned(item)
		return
	}
	pairs := a.dimPad() / 2
	tiles := a.e.Shr(a.e.Add(a.e.Mul(item[2], a.group), 15), 4)
	a.e.For(ptx.Range{Name: "queries", From: a.e.TidX(), To: a.e.Mul(tiles, 16*pairs), Step: attentionThreads}, func(i ptx.Reg) {
		row := a.e.Div(i, pairs)
		d := a.e.Shl(a.e.Sub(i, a.e.Mul(row, pairs)), 1)
		token, column, ok := a.query(item, row)
		both := a.e.Const(ptx.B32, 0)
		a.e.If(a.e.CmpAnd(ptx.LT, d, a.dim, ok), func() {
			a.e.Set(both, a.queryChannels(token, column, d).As(ptx.B32))
		})
		a.e.St(a.e.Mad(row, a.rowBytes(), a.e.Index(a.q, a.queryOrder(d), 2)), both)
	})
}

// queryChannels reads channels d and d+1 of a token's head that begins at column, as a pair of what keys are multiplied as.
func (a *attend) queryChannels(token, column, d ptx.Reg) ptx.Reg {
	if a.latent() {
		v := a.latentPair(token, column, d)
		return a.e.Cvt2(a.format.pair, v[0], v[1])
	}
	return a.queryPair(a.e.row("q", token), a.e.Add(column, d), d)
}

// queryNumbers reads them as f32.
func (a *attend) queryNumbers(token, column, d ptx.Reg) []ptx.Reg {
	if a.latent() {
		return a.latentPair(token, column, d)
	}
	row, at := a.e.row("q", token), a.e.Add(column, d) // the head has an even number of channels, as others are not turned
	if a.e.isBF16("q") {
		both := a.e.widen(a.e.Ld(ptx.BF16x2, a.e.Index(row, at, 2)))
		return both[:]
	}
	return a.e.LdV(ptx.F32, 2, a.e.Index(row, at, 4))
}

// queryPair reads channels d and d+1 of a head at column of a row of q. The second may be behind an odd head's last one.
func (a *attend) queryPair(row, column, d ptx.Reg) ptx.Reg {
	if a.dim%2 == 0 {
		if a.e.isBF16("q") {
			return a.fromBF16(a.e.Ld(ptx.BF16x2, a.e.Index(row, column, 2)))
		}
		v := a.e.LdV(ptx.F32, 2, a.e.Index(row, column, 4))
		return a.e.Cvt2(a.format.pair, v[0], v[1])
	}
	there := a.e.Lt(d, a.dim-1)
	if a.e.isBF16("q") {
		at, high := a.e.Index(row, column, 2), a.e.Const(ptx.B16, 0)
		low := a.e.Ld(ptx.B16, at)
		a.e.When(there).Into(high).Ld(ptx.B16, at.At(2))
		return a.fromBF16(a.e.Pack(ptx.BF16x2, low, high))
	}
	at, high := a.e.Index(row, column, 4), a.e.Const(ptx.F32, 0)
	low := a.e.Ld(ptx.F32, at)
	a.e.When(there).Into(high).Ld(ptx.F32, at.At(4))
	return a.e.Cvt2(a.format.pair, low, high)
}

// fromBF16 makes a pair of bf16 one of the type that keys have.
func (a *attend) fromBF16(pair ptx.Reg) ptx.Reg {
	if a.format.pair == ptx.BF16x2 {
		return pair
	}
	both := a.e.widen(pair)
	return a.e.Cvt2(a.format.pair, both[0], both[1])
}

// scorePlan is how the warps share the work on a tile.
type scorePlan interface {
	// scores takes the keys in a slot, of the tile that begins at a position.
	scores(slot, position ptx.Reg)
	// accumulate takes the values of the same tile.
	accumulate(slot ptx.Reg)
	// blocks calls each for the lane's pairs of channels of results, as many as it has blocks, with the first of the two.
	blocks(each func(n int, column ptx.Reg))
	// spans calls each for the spans of channels of which the warp has results, its qth with the number among all; all threads of the warp come along.
	spans(each func(q int, number ptx.Reg))
	// holds tells whether the warp has all channels of its rows.
	holds() bool
	// state is that of the lane's rows; leads tells whether the lane is the first that has them.
	state() *rowState
	leads() ptx.Reg
}

// tiles goes through the tiles that some row of the CTA sees. Tiles of keys and of values are copied in turn, slots-1 of them ahead.
func (a *attend) tiles(plan scorePlan) {
	if a.latent() {
		a.latentTiles(plan)
		return
	}
	l := &a.load
	a.e.Section("first tiles")
	for j := range a.slots - 1 {
		l.issue(j, a.e.Const(ptx.U32, j*a.slotBytes()))
	}
	slot, free := a.e.Const(ptx.U32, 0), a.e.Const(ptx.U32, (a.slots-1)*a.slotBytes())
	arrive := func(j int) ptx.Reg {
		a.e.CopyWait(a.slots - 2)
		a.e.Sync() // the tile has come for all, and all have left the one before, whose slot is filled next
		l.issue(j+a.slots-1, free)
		at := a.e.Add(a.ring, slot)
		a.e.Set(free, slot)
		next := a.e.Add(slot, a.slotBytes())
		a.e.Set(slot, a.e.Select(a.e.Eq(next, a.slots*a.slotBytes()), 0, next))
		return at
	}
	a.e.Section("tiles")
	end := a.e.Add(a.work.last, 1)
	a.e.For(ptx.Range{Name: "tiles", From: l.from, To: end, Step: attentionTile}, func(position ptx.Reg) {
		slot := arrive(0)
		keys := slot
		if a.e.turnsOnRead() {
			keys = a.keys.turn(slot, position)
			a.e.Sync()
		}
		plan.scores(keys, position)
		plan.accumulate(arrive(1))
		a.splitAt(plan, position, end)
	})
	a.finish(plan)
}

// splitAt is for the end of the tile at a position: of a split too, or of all tiles.
func (a *attend) splitAt(plan scorePlan, position, end ptx.Reg) {
	next := a.e.Add(position, attentionTile)
	a.e.If(a.e.CmpOr(ptx.GE, next, end, a.e.Eq(a.e.And(next, attentionSplit-1), 0)), func() { a.endSplit(plan, position) })
}

// base2 is the factor that makes the products of queries and keys exponents of 2.
func (a *attend) base2() float64 { return a.e.launch.Float("scale", 1) * math.Log2E }
