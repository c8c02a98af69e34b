package cuda

import (
	"llmc/codegen/ptx"
	"llmc/internal/dtype"
)

// loads copies tiles through the page table. A warp copies 16 rows of a tile, which lie together in one page. Rows behind the item's
// last position, or that of the CTA's piece, become zeros and are not read.
type loads struct {
	*attend
	from   ptx.Reg // position of the first tile
	tile   ptx.Reg // position of the next tile whose keys are copied
	table  ptx.Reg // the sequence's page table
	magic  ptx.Reg // see lookup
	page   ptx.Reg // number of the page of the next tile, loaded ahead
	offset ptx.Reg // of the warp's rows in it

	keys, left   ptx.Reg // of the tile whose keys were copied last: where they lie, rows until the last position
	values       ptx.Reg // bytes from keys to values
	scales       ptx.Reg // of those keys, and how far behind lie those of the values
	valueScales  ptx.Reg
	scalesTo     ptx.Reg // where the lane's scales go in a slot
	copies       []unit
	first        ptx.Reg // see firstUnit
	sharedOffset ptx.Reg // of the warp's rows in a slot
}

// unit is 16 bytes that a lane copies. Units repeat in rows further down, so registers hold what differs among the first of them.
type unit struct {
	row, to ptx.Reg // row of the first, its place in the slot
	rows    int     // this one is that many rows further
	have    ptx.Operand
	from    int     // bytes behind the lane's first unit
	ok      ptx.Reg // no register: every lane has this one
}

func (a *attend) startLoads(item []ptx.Reg) loads {
	a.e.Section("page table")
	l := loads{attend: a, from: a.e.Max(a.firstPosition(item), a.e.Shl(a.work.from, log2(attentionSplit)))}
	l.tile = a.e.Mov(l.from)
	start := a.e.Ld(ptx.U32, a.e.Index(a.told("page_start"), item[0], 4))
	l.table = a.e.Index(a.told("pages"), start, 4)
	groups := a.e.Shr(a.e.pageSize, 4)
	l.magic = a.e.Div(a.e.Add(groups, 1<<31-1), groups)
	l.page, l.offset, l.keys, l.left = a.e.Reg(ptx.U32), a.e.Reg(ptx.U32), a.e.Reg(ptx.Global), a.e.Reg(ptx.S32)
	if !a.latent() {
		l.values = a.e.valueBytes()
	}
	if l.scaled() {
		l.scales = a.e.Reg(ptx.Global)
		if !a.latent() {
			l.valueScales = a.e.Mul(a.e.kvRows(), kvScaleBytes)
		}
		l.scalesTo = a.e.Add(a.e.Mad(a.warp, 16*kvScaleBytes, a.e.Shl(a.lane, 4)), a.tileScale())
	}
	l.units()
	l.zeroColumns()
	l.lookup()
	return l
}

// firstUnit is the number of the lane's first unit: lane, but where rows are 32 or 64 bytes. Eight lanes write at a time, and two or four rows that lie side by
// side in shared memory, an odd number of units apart, share banks: the eight then have rows of which that many are between one and the next.
//
//	rows of 4 units: lanes 0-3 row 0, 4-7 row 4, 8-11 row 1, ..   rows of 2: lanes 0-1 row 0, 2-3 row 2, 4-5 row 4, 6-7 row 6, 8-9 row 1, ..
func (l *loads) firstUnit(width int) ptx.Reg {
	if width != 2 && width != 4 {
		return l.lane
	}
	eight, within := l.e.Shr(l.lane, 3), l.e.And(l.lane, 7)
	row := l.e.Add(l.e.And(eight, width-1), l.e.Mul(l.e.Shr(within, log2(width)), width))
	row = l.e.Mad(l.e.Shr(eight, log2(width)), 8, row)
	return l.e.Mad(row, width, l.e.And(within, width-1))
}

// units plans the lane's copies: unit firstUnit + 32*i of the warp's 16 rows.
func (l *loads) units() {
	width := l.e.kvRowBytes() / 16 // units of a row
	l.first = l.firstUnit(width)
	period := width
	for common := 32; period%2 == 0 && common > 1; common /= 2 {
		period /= 2
	}
	l.sharedOffset = l.e.Mul(l.warp, 16*l.tileRowBytes())
	for i := 0; i*32 < 16*width; i++ {
		u := unit{from: 512 * i, have: 16}
		if i < period {
			number := l.e.Add(l.first, 32*i)
			u.row = l.e.Div(number, width)
			column := l.e.Sub(number, l.e.Mul(u.row, width))
			u.to = l.e.Mad(u.row, l.tileRowBytes(), l.e.Mad(column, 16, l.sharedOffset))
			if rest := l.channelBytes(l.dim) % 16; rest != 0 && l.e.kv().DType != dtype.U4 { // any byte of u4 is two numbers
				u.have = l.e.Select(l.e.Eq(column, width-1), l.e.Const(ptx.U32, rest), 16)
			}
			if i*32+32 > 16*width {
				u.ok = l.e.Lt(number, 16*width)
			}
		} else {
			first := l.copies[i%period]
			u.row, u.to, u.have, u.rows = first.row, first.to, first.have, i/period*(32*period/width)
		}
		l.copies = append(l.copies, u)
	}
}

// zeroColumns clears the channels that no copy writes, once for all tiles.
func (l *loads) zeroColumns() {
	from := l.e.kvRowBytes()
	if from == l.channelBytes(l.dimPad()) {
		return
	}
	zero := l.e.Zeros(ptx.B32, 4)
	l.e.For(ptx.Range{Name: "rows", From: l.e.TidX(), To: l.slots * attentionTile, Step: attentionThreads}, func(row ptx.Reg) {
		l.e.StV(l.e.Index(l.ring, row, l.tileRowBytes()).At(from), zero)
	})
}

// lookup finds the page of the warp's rows of the next tile, or of the CTA's last position where that comes before. It divides by the 16s of
// a page by multiplying with 2^31/n rounded up, which is exact for positions below 2^31 and n up to 8.
func (l *loads) lookup() {
	position := l.e.Min(l.e.Add(l.tile, l.e.Shl(l.warp, 4).As(ptx.S32)), l.work.last).As(ptx.U32)
	group := l.e.Shr(position, 4)
	number := l.e.MulHi(l.e.Shl(group, 1), l.magic)
	l.e.Into(l.page).Ld(ptx.U32, l.e.Index(l.table, number, 4))
	l.e.Into(l.offset).Sub(l.e.Shl(group, 4), l.e.Mul(number, l.e.pageSize))
}

// issue starts the copy of a tile's keys (j even) or of the same tile's values (odd) to a slot.
func (l *loads) issue(j int, slot ptx.Reg) {
	if j%2 == 1 {
		if l.scaled() {
			l.e.Into(l.scales).Index(l.scales, l.valueScales, 1)
		}
		l.copy(l.e.Index(l.keys, l.values, 1), slot)
		return
	}
	page, row := l.e.kvPage(l.page), l.e.kvRow(l.e.CtaY(), l.offset)
	l.e.Into(l.keys).Index(l.e.Index(page, row, l.e.kvRowBytes()), l.first, 16)
	l.e.Into(l.left).Sub(l.work.last, l.tile)
	if l.scaled() {
		l.e.Into(l.scales).Index(l.e.Index(l.e.kvScales(page), row, kvScaleBytes), l.lane, 16)
	}
	l.copy(l.keys, slot)
	l.e.Into(l.tile).Add(l.tile, attentionTile)
	l.lookup()
}

// copy starts the lane's copies, unless the tile is behind the last position.
func (l *loads) copy(from, slot ptx.Reg) {
	l.e.If(l.e.Ge(l.left, 0), func() {
		left := l.e.Sub(l.left, l.e.Shl(l.warp, 4).As(ptx.S32))
		to := l.e.Add(l.ring, slot)
		for _, u := range l.copies {
			have := l.e.Select(l.e.Le(u.row.As(ptx.S32), l.e.Sub(left, u.rows)), u.have, l.e.Const(ptx.U32, 0))
			b := l.e.Builder
			at := b.Add(to, u.to)
			if u.ok != (ptx.Reg{}) {
				b = b.When(u.ok)
			}
			b.CopyAsyncZero(at.At(u.rows*l.tileRowBytes()), from.At(u.from), 16, have)
		}
		if l.scaled() {
			l.copyScales(left, to)
		}
	})
	l.e.CopyCommit()
}

// copyScales starts the copies of the scales of the warp's 16 rows, of which left are before the last position: eight by each of two lanes.
func (l *loads) copyScales(left, slot ptx.Reg) {
	mine := l.e.Max(l.e.Min(l.e.Sub(l.e.Add(left, 1), l.e.Shl(l.lane, 3).As(ptx.S32)), 8), 0)
	l.e.When(l.e.Lt(l.lane, 2)).CopyAsyncZero(l.e.Add(slot, l.scalesTo), l.scales, 16, l.e.Shl(mine, 1).As(ptx.U32))
}
