package layout

import (
	"fmt"
	"slices"

	"llmc/internal/dtype"
)

// kvLanes is the number of positions (K) or channels (V) that lie side by side: one vector of f32 accumulators.
const kvLanes = 16

// kvForms says, by cache dtype, how its elements lie; those without lanes are not supported.
var kvForms = [256]struct {
	pack, channels uint8 // elements that share a lane, and what a key's channels are rounded up to
	scaled         bool  // elements are codes
}{
	dtype.F32: {1, 2, false}, dtype.BF16: {2, 2, false}, dtype.F16: {1, 2, false}, dtype.F8E4M3: {1, 4, true}, dtype.I8: {4, 4, true},
	dtype.I16: {2, 2, true}, dtype.U4: {4, 8, true},
}

// KVTypes are the element types of caches that CPU kernels read.
var KVTypes = []dtype.Type{dtype.F32, dtype.BF16, dtype.F16, dtype.F8E4M3, dtype.I8, dtype.I16, dtype.U4}

// KV describes one layer's part of a page of the KV cache, or of several that lie together as one: for each KV head its keys, then its values.
//
//	K       [PageSize/16][Dp/q][16][q]   lanes are positions, so a score needs no reduction across lanes
//	V       [PageSize/q][D16][q]         lanes are channels
//	K scale [PageSize] f16, of formats of codes
//	V scale [PageSize] f16
//
// q is 2 for bf16 and i16, 4 for i8 and 1 for all others; Dp is Dim rounded up to even, or to 4 for codes of 8 bits, D16 rounded up to 16. Padding is zero. Who writes
// position 2i of a bf16 page also zeroes V of position 2i+1. Codes of i8 have 128 added;
// those of i16 are in units of 2^-13 of the scale.
//
// Codes of u4 lie as those of i8 in half as many bytes, which kernels make of them before they multiply (Opened). A line of 64 bytes of a key's channels 8i to
// 8i+7, or of a value's channels 32i to 32i+31, has the first half of them in the lower halves of its bytes: Dp is rounded up to 8, D16 to 32.
type KV struct {
	DType    dtype.Type
	PageSize int // positions, a multiple of 16
	Heads    int // KV heads
	Dim      int // channels of a head
	Rank     int // of latent rows, how many of their channels are values; 0: values lie apart

	keys, scales, head int // bytes of a head's keys, those before its scales, all of them: kernels ask for each row
}

// Bounds of what a page, and a span of pages on CPUs, may be: they keep every offset small enough for 32-bit page arithmetic.
const (
	maxPageSize = 128
	maxSpan     = 256
	maxKVHeads  = 1 << 12
	maxHeadDim  = 1 << 12
)

// NewKV checks and returns a description.
func NewKV(t dtype.Type, pageSize, heads, dim int) (KV, error) {
	if !slices.Contains(KVTypes, t) {
		return KV{}, fmt.Errorf("KV cache of %v: CPU kernels read %v", t, KVTypes)
	}
	if pageSize < kvLanes || pageSize > maxSpan || pageSize%kvLanes != 0 {
		return KV{}, fmt.Errorf("KV page of %d positions: must be a multiple of %d up to %d", pageSize, kvLanes, maxSpan)
	}
	if heads < 1 || heads > maxKVHeads || dim < 1 || dim > maxHeadDim {
		return KV{}, fmt.Errorf("KV cache of %d heads of %d: must be within 1..%d and 1..%d", heads, dim, maxKVHeads, maxHeadDim)
	}
	return KV{DType: t, PageSize: pageSize, Heads: heads, Dim: dim}.sized(), nil
}

// NewLatent describes a page of rows of dim channels that are the keys, and the first rank channels of which are the values, of all heads. There are no
// V and no scales of it: who reads values turns what it needs of K.
func NewLatent(t dtype.Type, pageSize, rank, dim int) (KV, error) {
	kv, err := NewKV(t, pageSize, 1, dim)
	if err != nil {
		return KV{}, err
	}
	if rank < 1 || rank >= dim {
		return KV{}, fmt.Errorf("latent cache of rank %d in rows of %d", rank, dim)
	}
	kv.Rank = rank
	return kv.sized(), nil
}

// Values returns the channels of a value.
func (c KV) Values() int {
	if c.Rank > 0 {
		return c.Rank
	}
	return c.Dim
}

// Pack returns how many elements share a lane.
func (c KV) Pack() int { return int(kvForms[c.DType].pack) }

// LaneBytes returns the size of a lane, of codes that share none.
func (c KV) LaneBytes() int { return c.Pack() * c.DType.Size() }

// Scaled tells whether elements are codes with a scale for each position.
func (c KV) Scaled() bool { return kvForms[c.DType].scaled }

// DimK returns the channels of a key that are stored.
func (c KV) DimK() int { return roundUp(c.Dim, max(1, int(kvForms[c.DType].channels))) }

// DimV returns the channels of a value that are stored.
func (c KV) DimV() int { return roundUp(c.Values(), kvLanes) }

// Halves tells whether a byte has the codes of two channels.
func (c KV) Halves() bool { return c.DType == dtype.U4 }

// Opened describes what kernels make of pages of codes that share bytes: codes of i8, of which nobody reads more than keys and values.
func (c KV) Opened() KV {
	if c.Halves() {
		c.DType = dtype.I8
	}
	return c.sized()
}

// KPanelBytes returns the size of the keys of 16 positions of one head.
func (c KV) KPanelBytes() int { return kvLanes * c.DimK() * c.DType.Bits() / 8 }

// VRowBytes returns the size of the values of Pack() positions of one head.
func (c KV) VRowBytes() int {
	width := c.DimV()
	if c.Halves() {
		width = roundUp(width, 2*kvLanes)
	}
	return width * c.Pack() * c.DType.Bits() / 8
}

// sized returns c with its sizes.
func (c KV) sized() KV {
	c.keys = c.PageSize / kvLanes * c.KPanelBytes()
	if c.scales = c.keys; c.Rank == 0 {
		c.scales += c.PageSize / c.Pack() * c.VRowBytes()
	}
	switch c.head = c.scales; {
	case c.Scaled() && c.Rank > 0:
		c.head = roundUp(c.scales+c.PageSize*plainScale, Align)
	case c.Scaled():
		c.head += 2 * c.PageSize * plainScale
	}
	return c
}

// HeadBytes returns the size of one head's keys and values of a page: a multiple of Align.
func (c KV) HeadBytes() int { return c.head }

// Bytes returns the size of one layer's part of a page.
func (c KV) Bytes() int { return c.Heads * c.head }

// High tells whether the code of channel d of a key, or of a value, is the upper half of its byte.
func (c KV) High(d int, value bool) bool {
	half := c.Pack()
	if value && c.Rank == 0 {
		half = kvLanes
	}
	return c.Halves() && d/half%2 == 1
}

// K returns the offset of channel d of the key at slot (position within the page), or of the byte that it shares.
func (c KV) K(head, slot, d int) int {
	q := c.Pack()
	if c.Halves() {
		return head*c.head + slot/kvLanes*c.KPanelBytes() + (d/(2*q)*kvLanes+slot%kvLanes)*q + d%q
	}
	return head*c.head + slot/kvLanes*c.KPanelBytes() + ((d/q*kvLanes+slot%kvLanes)*q+d%q)*c.DType.Size()
}

// V returns the offset of channel d of the value at slot.
func (c KV) V(head, slot, d int) int {
	if c.Rank > 0 {
		return c.K(head, slot, d)
	}
	q := c.Pack()
	row := head*c.head + c.keys + slot/q*c.VRowBytes()
	if c.Halves() {
		return row + (d/(2*kvLanes)*kvLanes+d%kvLanes)*q + slot%q
	}
	return row + (d*q+slot%q)*c.DType.Size()
}

// KScale returns the offset of the scale of the key at slot.
func (c KV) KScale(head, slot int) int {
	return head*c.head + c.scales + slot*plainScale
}

// VScale returns the offset of the scale of the value at slot, which latent rows share with the key.
func (c KV) VScale(head, slot int) int {
	if c.Rank > 0 {
		return c.KScale(head, slot)
	}
	return c.KScale(head, c.PageSize+slot)
}

// Run is consecutive bytes of a page.
type Run struct{ Offset, Bytes int }

// Runs returns where the positions [slot, slot+n) of a head lie, whole panels: their keys, values, and the scales of both.
func (c KV) Runs(head, slot, n int) [4]Run {
	runs := [4]Run{{c.K(head, slot, 0), n / kvLanes * c.KPanelBytes()}}
	if c.Scaled() {
		runs[1] = Run{c.KScale(head, slot), n * plainScale}
	}
	if c.Rank > 0 {
		return runs
	}
	runs[2] = Run{c.V(head, slot, 0), n / c.Pack() * c.VRowBytes()}
	if c.Scaled() {
		runs[3] = Run{c.VScale(head, slot), n * plainScale}
	}
	return runs
}
