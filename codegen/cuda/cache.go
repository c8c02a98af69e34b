package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// kv describes the launch's cache, with pages of the smallest size: that is known at launch alone.
func (e *entry) kv() layout.PlainKV {
	c := e.program.Caches[e.kernel.Operand(e.launch, "cache").Index]
	kv, err := c.Plain(layout.MinPageSize)
	if err != nil {
		panic("cuda: " + err.Error()) // Target was asked, which knows them
	}
	return kv
}

// kvRowBytes is the distance from a position of the cache to the next.
func (e *entry) kvRowBytes() int { return e.kv().RowBytes() }

// kvPage is where a page of the launch's layer lies. The number of a page is not negative.
func (e *entry) kvPage(number ptx.Reg) ptx.Reg {
	return e.Add(e.pointers["cache"], e.Mul(e.Cvt(ptx.U64, number), e.pageStride))
}

// kvRow counts the rows of keys in a page before an offset of a head; valueBytes further lies the value.
func (e *entry) kvRow(head, offset ptx.Reg) ptx.Reg { return e.Mad(head, e.pageSize, offset) }

// kvRows is the number of rows of keys in a page, and of values.
func (e *entry) kvRows() ptx.Reg { return e.Mul(e.pageSize, e.kv().Heads) }

// valueBytes is the distance from a key to its value.
func (e *entry) valueBytes() ptx.Reg { return e.Mul(e.kvRows(), e.kvRowBytes()) }

// kvScaleBytes is the size of a row's scale, of f16.
const kvScaleBytes = 2

// kvScales is where the scales of a page's keys lie, one for each of kvRow; those of values follow.
func (e *entry) kvScales(page ptx.Reg) ptx.Reg {
	return e.Index(page, e.kvRows(), e.kv().Parts()*e.kvRowBytes())
}

// kvPlace is where a key or a value of a token goes.
type kvPlace struct{ row, scale ptx.Reg } // scale is no register where rows have none

// atSlot calls then with the place of a key, or of a value where isValue holds, of a KV head of a token, if the token has a slot.
func (e *entry) atSlot(token, head, isValue ptx.Reg, then func(place kvPlace)) {
	e.slotOf(token, func(page, offset ptx.Reg) {
		row := e.kvRow(head, offset)
		further := e.Select(isValue, e.kvRows(), 0)
		place := kvPlace{row: e.Index(e.Index(page, row, e.kvRowBytes()), further, e.kvRowBytes())}
		if e.kv().Scaled() {
			place.scale = e.Index(e.kvScales(page), e.Add(row, further), kvScaleBytes)
		}
		then(place)
	})
}

// atLatentSlot is atSlot for the one row that a token has in a latent cache.
func (e *entry) atLatentSlot(token ptx.Reg, then func(place kvPlace)) {
	e.slotOf(token, func(page, offset ptx.Reg) {
		place := kvPlace{row: e.Index(page, offset, e.kvRowBytes())}
		if e.kv().Scaled() {
			place.scale = e.Index(e.kvScales(page), offset, kvScaleBytes)
		}
		then(place)
	})
}

// slotOf calls then with the page of a token's slot and the position in it, if the token has a slot.
func (e *entry) slotOf(token ptx.Reg, then func(page, offset ptx.Reg)) {
	slot := e.Ld(ptx.S32, e.Index(e.pointers["slots"], token, 4))
	e.If(e.Ge(slot, 0), func() {
		at := slot.As(ptx.U32)
		number := e.Div(at, e.pageSize)
		offset := e.Sub(at, e.Mul(number, e.pageSize))
		then(e.kvPage(number), offset)
	})
}

// kvElements are the types of the numbers of rows without scales.
var kvElements = map[dtype.Type]ptx.Type{dtype.BF16: ptx.BF16, dtype.F16: ptx.F16}

// storeKV writes a channel of a row that has no scale, through a view of the builder, which may have a guard.
func (e *entry) storeKV(b *ptx.Builder, place kvPlace, channel, v ptx.Reg) {
	b.St(e.Index(place.row, channel, 2), e.Cvt(kvElements[e.kv().DType], v))
}
