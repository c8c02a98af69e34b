package layout

import (
	"fmt"

	"llmc/internal/dtype"
)

// kvLanes is the number of positions (K) or channels (V) that lie side by side: one vector of f32 accumulators.
const kvLanes = 16

// kvPack is how many elements share a lane's 4 bytes, by cache dtype; 0: not supported.
var kvPack = [256]uint8{dtype.F32: 1, dtype.BF16: 2}

// KV describes one layer's part of a page of the KV cache: for each KV head its keys, then its values.
//
//	K  [PageSize/16][Dp/q][16][q]   lanes are positions, so a score needs no reduction across lanes
//	V  [PageSize/q][D16][q]         lanes are channels
//
// q is 1 for f32 and 2 for bf16; Dp is Dim rounded up to even, D16 rounded up to 16. Padding is zero. Who writes position 2i
// of a bf16 page also zeroes V of position 2i+1.
type KV struct {
	DType    dtype.Type
	PageSize int // positions, a multiple of 16
	Heads    int // KV heads
	Dim      int // channels of a head
}

// Bounds of what a page may be: they keep every offset small enough for 32-bit page arithmetic.
const (
	maxPageSize = 128
	maxKVHeads  = 1 << 12
	maxHeadDim  = 1 << 12
)

// NewKV checks and returns a description.
func NewKV(t dtype.Type, pageSize, heads, dim int) (KV, error) {
	if kvPack[t] == 0 {
		return KV{}, fmt.Errorf("KV cache of %v: only f32 and bf16 are supported", t)
	}
	if pageSize < kvLanes || pageSize > maxPageSize || pageSize%kvLanes != 0 {
		return KV{}, fmt.Errorf("KV page of %d positions: must be a multiple of %d up to %d", pageSize, kvLanes, maxPageSize)
	}
	if heads < 1 || heads > maxKVHeads || dim < 1 || dim > maxHeadDim {
		return KV{}, fmt.Errorf("KV cache of %d heads of %d: must be within 1..%d and 1..%d", heads, dim, maxKVHeads, maxHeadDim)
	}
	return KV{t, pageSize, heads, dim}, nil
}

// Pack returns how many elements share a lane's 4 bytes.
func (c KV) Pack() int { return int(kvPack[c.DType]) }

// DimK returns the channels of a key that are stored.
func (c KV) DimK() int { return roundUp(c.Dim, 2) }

// DimV returns the channels of a value that are stored.
func (c KV) DimV() int { return roundUp(c.Dim, kvLanes) }

// KPanelBytes returns the size of the keys of 16 positions of one head.
func (c KV) KPanelBytes() int { return kvLanes * c.DimK() * c.DType.Size() }

// VRowBytes returns the size of the values of Pack() positions of one head.
func (c KV) VRowBytes() int { return c.Pack() * c.DimV() * c.DType.Size() }

func (c KV) kBytes() int { return c.PageSize / kvLanes * c.KPanelBytes() }

// HeadBytes returns the size of one head's keys and values of a page.
func (c KV) HeadBytes() int { return c.kBytes() + c.PageSize/c.Pack()*c.VRowBytes() }

// Bytes returns the size of one layer's part of a page.
func (c KV) Bytes() int { return c.Heads * c.HeadBytes() }

// K returns the offset of channel d of the key at slot (position within the page).
func (c KV) K(head, slot, d int) int {
	q := c.Pack()
	return head*c.HeadBytes() + slot/kvLanes*c.KPanelBytes() + ((d/q*kvLanes+slot%kvLanes)*q+d%q)*c.DType.Size()
}

// V returns the offset of channel d of the value at slot.
func (c KV) V(head, slot, d int) int {
	q := c.Pack()
	return head*c.HeadBytes() + c.kBytes() + slot/q*c.VRowBytes() + (d*q+slot%q)*c.DType.Size()
}
