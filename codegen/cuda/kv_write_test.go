package cuda_test

import (
	"fmt"
	"testing"

	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// TestKVWrite wants the bits of keys and values where a token's slot says, of all types of caches, and everything else of the cache untouched.
func TestKVWrite(t *testing.T) {
	for i, c := range []struct {
		heads, dim int
		cache      dtype.Type
	}{{4, 64, dtype.BF16}, {1, 5, dtype.F16}, {3, 80, dtype.I8}, {2, 128, dtype.F8E4M3}, {5, 24, dtype.F8E4M3}, {2, 256, dtype.BF16},
		{2, 64, dtype.U4}, {1, 5, dtype.U4}, {3, 80, dtype.U4}, {2, 128, dtype.U4}, {5, 24, dtype.U4}, {2, 256, dtype.U4}, {3, 20, dtype.U4}, {2, 96, dtype.U4}} {
		target := []string{"sm80", "sm89", "sm90"}[i%3]
		t.Run(fmt.Sprint(target, c), func(t *testing.T) {
			slots := []int32{3, 40, 0, 5, -1, 130}
			s := newSingle(t, "cuda.kv_write", "kv.write")
			s.program.Buffers = make([]engine.Buffer, 0, 2)
			for _, role := range []string{"k", "v"} {
				s.buffer(role, dtype.F32, c.heads*c.dim)
			}
			s.inputs("slots")
			s.cache(c.heads, c.dim, c.cache)
			s.write(target)
			kv, err := layout.NewPlainKV(c.cache, 16, c.heads, c.dim)
			check(t, err)
			m := newMemory(t)
			r := &ropeStep{ropeCase: ropeCase{kvHeads: c.heads, dim: c.dim, page: 16}, kv: kv, stride: kv.Bytes() + 64, written: map[int]bool{}}
			r.cache = m.fresh("cache", 9*r.stride)
			m.ints("slots", slots)
			var given [2][]float32
			for n := range given {
				rows := m.matrix(&s.program.Buffers[n], len(slots))
				given[n] = randoms(len(slots)*c.heads*c.dim, uint64(n+1), 1)
				for j, v := range given[n] {
					rows.set(j/(c.heads*c.dim), j%(c.heads*c.dim), v)
				}
			}
			s.run(m, len(slots), 1, r.page, r.stride)
			for token, slot := range slots {
				for h := 0; h < c.heads && slot >= 0; h++ {
					for n, rows := range given {
						r.wantRow(t, fmt.Sprintf("token %d head %d of %d", token, h, n), rows[(token*c.heads+h)*c.dim:][:c.dim], slot, h, n == 1)
					}
				}
			}
			for i, b := range r.cache {
				if !r.written[i] && b != 0xff {
					t.Fatalf("byte %d of the cache was written", i)
				}
			}
		})
	}
}
