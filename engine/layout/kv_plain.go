package layout

import (
	"fmt"
	"slices"

	"llmc/internal/dtype"
)

// plainRow is what rows of channels are rounded up to, so that a GPU copies them 16 bytes at a time.
const plainRow = 16

// MinPageSize is the smallest page: what all pages are a multiple of.
const MinPageSize = kvLanes

// MaxPlainDim is the largest head that GPU kernels hold in registers.
const MaxPlainDim = 256

// Bounds of latent rows on GPUs: a warp's registers hold the results of 16 queries of a quarter of so many channels, and shared memory of 99 KB 64 rows
// of so many of 16 bits beside 16 queries.
const (
	MaxPlainRank   = 512
	MaxPlainLatent = 576
)

// PlainKV describes one layer's part of a page of the KV cache on GPUs, which turn tiles on their way to the matrix units and so want
// plain rows:
//
//	K       [Heads][PageSize][DimPad]
//	V       [Heads][PageSize][DimPad]
//	K scale [Heads][PageSize] f16, of formats of codes
//	V scale [Heads][PageSize] f16
//
// DimPad is Dim rounded up to 16 bytes. Nobody reads the padding, so it holds anything. Codes of i8 have 128 added. Scales lie apart from
// the rows, so that rows stay aligned and 16 positions' scales are two copies of 16 bytes. Latent rows are K alone: values are their first channels.
//
// Codes of u4 are magnitudes of three bits and a sign. Four channels share 16 bits, which is what transposed tiles hand out:
//
//	bit      0-2  3   4-6  7   8-10 11  12-14 15
//	channel  |0|  -0  |1|  -2  |2|  -1  |3|   -3
//
// Two magnitudes are then the selectors of a table of bytes, and the signs of channels 0 and 1, or 2 and 3, come to the tops of two bytes by one shift or
// none.
type PlainKV struct {
	DType    dtype.Type
	PageSize int // positions, a multiple of 16
	Heads    int // KV heads
	Dim      int // channels of a head
	Rank     int // of latent rows, how many of their channels are values; 0: values lie apart
}

// PlainTypes are the element types of caches that GPU kernels read.
var PlainTypes = []dtype.Type{dtype.BF16, dtype.F16, dtype.F8E4M3, dtype.I8, dtype.U4}

// plainScale is the size of a scale.
const plainScale = 2

// NewPlainKV checks and returns a description.
func NewPlainKV(t dtype.Type, pageSize, heads, dim int) (PlainKV, error) {
	if !slices.Contains(PlainTypes, t) {
		return PlainKV{}, fmt.Errorf("KV cache of %v: GPU kernels read %v", t, PlainTypes)
	}
	if pageSize < kvLanes || pageSize > maxPageSize || pageSize%kvLanes != 0 {
		return PlainKV{}, fmt.Errorf("KV page of %d positions: must be a multiple of %d up to %d", pageSize, kvLanes, maxPageSize)
	}
	if heads < 1 || heads > maxKVHeads || dim < 1 || dim > MaxPlainDim {
		return PlainKV{}, fmt.Errorf("KV cache of %d heads of %d: must be within 1..%d and 1..%d", heads, dim, maxKVHeads, MaxPlainDim)
	}
	return PlainKV{DType: t, PageSize: pageSize, Heads: heads, Dim: dim}, nil
}

// NewPlainLatent describes a page of rows of dim channels that are the keys, and the first rank channels of which are the values, of all heads. Kernels
// take pairs of channels, both of which are values or neither.
func NewPlainLatent(t dtype.Type, pageSize, rank, dim int) (PlainKV, error) {
	kv, err := NewPlainKV(t, pageSize, 1, 1)
	if err != nil {
		return PlainKV{}, err
	}
	if rank < 2 || rank > MaxPlainRank || rank%2 != 0 || dim <= rank || dim > MaxPlainLatent || dim%2 != 0 {
		return PlainKV{}, fmt.Errorf("latent cache of rank %d in rows of %d: GPU kernels take even ranks up to %d in rows of an even number up to %d", rank, dim, MaxPlainRank, MaxPlainLatent)
	}
	kv.Dim, kv.Rank = dim, rank
	return kv, nil
}

// RowBytes returns the distance from a position to the next.
func (c PlainKV) RowBytes() int { return roundUp(c.channelBytes(c.Dim), plainRow) }

// channelBytes is the size of the first n channels of a row, with the others that share 16 bits with them.
func (c PlainKV) channelBytes(n int) int {
	if c.DType == dtype.U4 {
		n = roundUp(n, len(U4Signs))
	}
	return n * c.DType.Bits() / 8
}

// half is the size of all keys, and of all values.
func (c PlainKV) half() int { return c.Heads * c.PageSize * c.RowBytes() }

// Parts returns how many rows a position has of each head: a key and a value, or one that is both.
func (c PlainKV) Parts() int {
	if c.Rank > 0 {
		return 1
	}
	return 2
}

// Scaled tells whether rows are codes with scales.
func (c PlainKV) Scaled() bool { return c.DType.Bits() <= 8 }

// Bytes returns the size of one layer's part of a page: a multiple of Align, because pages are of whole 16 positions.
func (c PlainKV) Bytes() int {
	if c.Scaled() {
		return roundUp(c.Parts()*(c.half()+c.Heads*c.PageSize*plainScale), Align)
	}
	return c.Parts() * c.half()
}

// K returns the offset of channel d of the key at slot (position within the page); of the byte with the magnitude of a code of u4.
func (c PlainKV) K(head, slot, d int) int {
	return (head*c.PageSize+slot)*c.RowBytes() + d*c.DType.Bits()/8
}

// V returns the offset of channel d of the value at slot.
func (c PlainKV) V(head, slot, d int) int { return (c.Parts()-1)*c.half() + c.K(head, slot, d) }

// KScale returns the offset of the scale of the key at slot.
func (c PlainKV) KScale(head, slot int) int {
	return c.Parts()*c.half() + (head*c.PageSize+slot)*plainScale
}

// VScale returns the offset of the scale of the value at slot, which latent rows share with the key.
func (c PlainKV) VScale(head, slot int) int { return c.KScale((c.Parts()-1)*c.Heads+head, slot) }

// U4Signs are the bits of the signs of four channels in the 16 that they share.
var U4Signs = [4]int{3, 11, 7, 15}

// PutU4 sets the code of channel d in a row of u4.
func PutU4(row []byte, d int, code uint16) {
	row[d/2] = row[d/2]&^(7<<(d%2*4)) | byte(code&7)<<(d%2*4)
	sign := U4Signs[d%4]
	at := d/4*2 + sign/8
	row[at] = row[at]&^(1<<(sign%8)) | byte(code>>3&1)<<(sign%8)
}

// U4 returns the code of channel d in a row of u4.
func U4(row []byte, d int) uint16 {
	sign := U4Signs[d%4]
	return uint16(row[d/2]>>(d%2*4)&7) | uint16(row[d/4*2+sign/8]>>(sign%8)&1)<<3
}
