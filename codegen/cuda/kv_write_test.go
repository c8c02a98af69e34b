package cuda_test

import (
	"fmt"
	"slices"
	"testing"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// TestKVWrite writes keys and values of tokens to slots out of order, and wants the rows that the cache's format makes of them, and nothing else changed.
func TestKVWrite(t *testing.T) {
	for i, c := range []struct {
		heads, dim int
		stored     dtype.Type
	}{{2, 64, dtype.BF16}, {3, 21, dtype.F16}, {1, 128, dtype.I8}, {5, 80, dtype.F8E4M3}} {
		target := gpuTargets[i%len(gpuTargets)]
		t.Run(fmt.Sprint(target, c), func(t *testing.T) {
			const pageSize, pages = 16, 3
			s := newSingle(t, "cuda.kv_write", "kv.write")
			k, v := s.buffer("k", dtype.F32, c.heads*c.dim), s.buffer("v", dtype.F32, c.heads*c.dim)
			k = &s.program.Buffers[0] // where it lies now
			s.inputs("slots")
			s.cache(c.heads, c.dim, c.stored)
			s.write(target)
			kv, err := layout.NewPlainKV(c.stored, pageSize, c.heads, c.dim)
			check(t, err)
			slots, stride := []int32{37, -1, 0, 15, 32}, kv.Bytes()+64
			m := newMemory(t)
			rows := map[string]matrix{"k": m.matrix(k, len(slots)), "v": m.matrix(v, len(slots))}
			cache := m.fresh("cache", pages*stride)
			m.ints("slots", slots)
			want := slices.Clone(cache)
			for token, slot := range slots {
				for head := range c.heads {
					for n, role := range []string{"k", "v"} {
						numbers := randoms(c.dim, uint64(token*100+head*10+n), 3)
						for d, x := range numbers {
							rows[role].set(token, head*c.dim+d, x)
						}
						if slot < 0 {
							continue
						}
						page, at := want[int(slot)/pageSize*stride:], int(slot)%pageSize
						row, scale := page[kv.K(head, at, 0):], []byte(nil)
						if role == "v" {
							row = page[kv.V(head, at, 0):]
						}
						if kv.Scaled() {
							scale = page[kv.KScale(head, at):]
							if role == "v" {
								scale = page[kv.VScale(head, at):]
							}
						}
						kvPut(c.stored, numbers, row, scale)
					}
				}
			}
			s.run(m, len(slots), 1, pageSize, stride)
			if at := slices.IndexFunc(m.operands, func(o operand) bool { return o.role == "cache" }); !slices.Equal(m.operands[at].bytes, want) {
				for i, b := range m.operands[at].bytes {
					if b != want[i] {
						t.Fatalf("byte %d of page %d is %d, want %d", i%stride, i/stride, b, want[i])
					}
				}
			}
		})
	}
}
