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
	key, value := unsafe.Add(base, c.K(head, slot, 0)), unsafe.Add(base, c.V(head, slot-slot%c.Pack(), 0))
	k, v = k[:c.Dim], v[:c.Dim]
	kernels := &s.attend[kvKind(c)]
	kernels.storeKey(key, &k[0], c.Dim)
	kernels.storeValue[slot%2](value, &v[0], c.Dim)
	if c.Pack() == 1 || slot%2 == 0 {
		clear(unsafe.Slice((*float32)(value), c.DimV())[c.Dim:])
	}
	if c.Pack() == 1 && c.DimK() > c.Dim {
		*at[float32](key, 4*panelPositions*c.Dim) = 0
	}
}

func kvKind(c layout.KV) int {
	if c.DType == dtype.BF16 {
		return kvBF16
	}
	return kvF32
}

func storeKeyF32(dst unsafe.Pointer, x *float32, n int) {
	for d, v := range unsafe.Slice(x, n) {
		*at[float32](dst, 4*panelPositions*d) = v
	}
}

func storeValueF32(dst unsafe.Pointer, x *float32, n int) {
	copy(unsafe.Slice((*float32)(dst), n), unsafe.Slice(x, n))
}

func (r bf16Rules) storeKey(dst unsafe.Pointer, x *float32, n int) {
	row := unsafe.Slice(x, n)
	for d := 0; d < n; d += 2 {
		pair := at[[2]uint16](dst, 4*panelPositions*d/2)
		pair[0], pair[1] = r.round(row[d]), 0
		if d+1 < n {
			pair[1] = r.round(row[d+1])
		}
	}
}

func (r bf16Rules) storeEven(dst unsafe.Pointer, x *float32, n int) {
	for d, v := range unsafe.Slice(x, n) {
		*at[[2]uint16](dst, 4*d) = [2]uint16{r.round(v), 0}
	}
}

func (r bf16Rules) storeOdd(dst unsafe.Pointer, x *float32, n int) {
	for d, v := range unsafe.Slice(x, n) {
		at[[2]uint16](dst, 4*d)[1] = r.round(v)
	}
}
