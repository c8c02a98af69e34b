package layout

import (
	"fmt"

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
//	K  [Heads][PageSize][DimPad]
//	V  [Heads][PageSize][DimPad]
//
// DimPad is Dim rounded up to 16 bytes. Nobody reads the padding, so it holds anything.
type PlainKV struct {
	DType    dtype.Type
	PageSize int // positions, a multiple of 16
	Heads    int // KV heads
	Dim      int // channels of a head
}

// NewPlainKV checks and returns a description.
func NewPlainKV(t dtype.Type, pageSize, heads, dim int) (PlainKV, error) {
	if t != dtype.BF16 {
		return PlainKV{}, fmt.Errorf("KV cache of %v: GPU kernels read bf16", t)
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

// Bytes returns the size of one layer's part of a page: a multiple of Align, because pages are of whole 16 positions.
func (c PlainKV) Bytes() int { return 2 * c.half() }

// K returns the offset of channel d of the key at slot (position within the page).
func (c PlainKV) K(head, slot, d int) int {
	return (head*c.PageSize+slot)*c.RowBytes() + d*c.DType.Size()
}

// V returns the offset of channel d of the value at slot.
func (c PlainKV) V(head, slot, d int) int { return c.half() + c.K(head, slot, d) }
