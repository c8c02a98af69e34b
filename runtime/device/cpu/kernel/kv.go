package kernel

import (
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// StoreKV stores key and value [Dim] of one KV head at slot of a page; block is the layer's part of the page. The odd partner of an even
// slot is zeroed in V, padding channels too, so that a page never holds numbers left over from its last owner beside new ones.
func (s *Set) StoreKV(c layout.KV, block []byte, head, slot int, k, v []float32) {
	block = block[:c.Bytes()]
	base := unsafe.Pointer(&block[0])
	key, value := unsafe.Add(base, c.K(head, slot, 0)), unsafe.Add(base, c.V(head, slot, 0))
	k, v = k[:c.Dim], v[:c.Dim]
	if c.DType == dtype.BF16 {
		s.storeBF16(key, value, slot%2 == 0, k, v)
		for d := c.Dim; d < c.DimV(); d++ {
			*at[uint16](value, 4*d) = 0
		}
	} else {
		copy(unsafe.Slice((*float32)(value), c.DimV()), v)
		clear(unsafe.Slice((*float32)(value), c.DimV())[c.Dim:])
		for d, x := range k {
			*at[float32](key, 4*panelPositions*d) = x
		}
	}
	for d := c.Dim; d < c.DimK(); d++ {
		at := unsafe.Add(base, c.K(head, slot, d))
		clear(unsafe.Slice((*byte)(at), c.DType.Size()))
	}
}

func (s *Set) storeBF16(key, value unsafe.Pointer, even bool, k, v []float32) {
	for d, x := range k {
		*at[uint16](key, d/2*4*panelPositions+d%2*2) = s.bf16.round(x)
	}
	if !even {
		for d, x := range v {
			*at[uint16](value, 4*d) = s.bf16.round(x)
		}
		return
	}
	for d, x := range v {
		*at[uint32](value, 4*d) = uint32(s.bf16.round(x))
	}
}
