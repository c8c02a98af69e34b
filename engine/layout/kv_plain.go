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

// PlainKV describes one layer's part of a page of the KV cache on GPUs, which turn tiles on their way to the matrix units and so want
// plain rows:
//
//	K       [Heads][PageSize][DimPad]
//	V       [Heads][PageSize][DimPad]
//	K scale [Heads][PageSize] f16, of formats of codes
//	V scale [Heads][PageSize] f16
//
// DimPad is Dim rounded up to 16 bytes. Nobody reads the padding, so it holds anything. Codes of i8 have 128 added. Scales lie apart from
// the rows, so that rows stay aligned and 16 positions' scales are two copies of 16 bytes.
type PlainKV struct {
	DType    dtype.Type
	PageSize int // positions, a multiple of 16
	Heads    int // KV heads
	Dim      int // channels of a head
}

// PlainTypes are the element types of caches that GPU kernels read.
var PlainTypes = []dtype.Type{dtype.BF16, dtype.F16, dtype.F8E4M3, dtype.I8}

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
	return PlainKV{t, pageSize, heads, dim}, nil
}

// RowBytes returns the distance from a position to the next.
func (c PlainKV) RowBytes() int { return roundUp(c.Dim*c.DType.Size(), plainRow) }

// half is the size of all keys, and of all values.
func (c PlainKV) half() int { return c.Heads * c.PageSize * c.RowBytes() }

// Scaled tells whether rows are codes with scales.
func (c PlainKV) Scaled() bool { return c.DType.Size() == 1 }

// Bytes returns the size of one layer's part of a page: a multiple of Align, because pages are of whole 16 positions.
func (c PlainKV) Bytes() int {
	if c.Scaled() {
		return 2 * (c.half() + c.Heads*c.PageSize*plainScale)
	}
	return 2 * c.half()
}

// K returns the offset of channel d of the key at slot (position within the page).
func (c PlainKV) K(head, slot, d int) int {
	return (head*c.PageSize+slot)*c.RowBytes() + d*c.DType.Size()
}

// V returns the offset of channel d of the value at slot.
func (c PlainKV) V(head, slot, d int) int { return c.half() + c.K(head, slot, d) }

// KScale returns the offset of the scale of the key at slot.
func (c PlainKV) KScale(head, slot int) int { return 2*c.half() + (head*c.PageSize+slot)*plainScale }

// VScale returns the offset of the scale of the value at slot.
func (c PlainKV) VScale(head, slot int) int { return c.KScale(c.Heads+head, slot) }
