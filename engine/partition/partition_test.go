package partition

import (
	"math/rand/v2"
	"testing"
)

// members are the numbers of a set below 64.
func members(s Set) (bits uint64) {
	for _, r := range s {
		for i := r.From; i < r.To; i++ {
			bits |= 1 << i
		}
	}
	return bits
}

// TestSets compares ranges with bits.
func TestSets(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	made := func() Set {
		var s Set
		for range rng.IntN(5) {
			from := rng.IntN(60)
			s = s.Union(Of(from, from+rng.IntN(64-from)))
		}
		return s
	}
	for range 2000 {
		a, b := made(), made()
		for _, c := range []struct {
			name string
			got  Set
			want uint64
		}{{"union", a.Union(b), members(a) | members(b)}, {"intersection", a.Intersect(b), members(a) & members(b)}, {"difference", a.Minus(b), members(a) &^ members(b)},
			{"blocks", a.Blocks(4).Scale(4), blocksOf(members(a))}} {
			if members(c.got) != c.want {
				t.Fatalf("%s of %v and %v is %v", c.name, a, b, c.got)
			}
			for i, r := range c.got {
				if r.Len() <= 0 || i > 0 && r.From <= c.got[i-1].To && c.name != "intersection" && c.name != "difference" {
					t.Fatalf("%s of %v and %v: %v is out of order", c.name, a, b, c.got)
				}
			}
		}
	}
}

func blocksOf(bits uint64) (all uint64) {
	for i := range 16 {
		if bits>>(4*i)&15 != 0 {
			all |= 15 << (4 * i)
		}
	}
	return all
}

// TestHeads wants each query head on one rank, with the KV head that it reads, and heads of a rank in groups of one size.
func TestHeads(t *testing.T) {
	for kv := 1; kv <= 9; kv++ {
		for group := 1; group <= 8; group++ {
			for ranks := 1; ranks <= kv*group; ranks++ {
				next := 0
				for r := range ranks {
					h := split(kv, group, r, ranks)
					if h.Query.From != next || h.Query.Len() < 1 || h.KV.Len() < 1 || h.Query.Len()%h.KV.Len() != 0 {
						t.Fatalf("%d KV heads of %d query heads each, rank %d of %d: %+v behind head %d", kv, group, r, ranks, h, next)
					}
					each := h.Query.Len() / h.KV.Len()
					for q := h.Query.From; q < h.Query.To; q++ {
						if q/group != h.KV.From+(q-h.Query.From)/each {
							t.Fatalf("%d KV heads of %d query heads each, rank %d of %d: %+v", kv, group, r, ranks, h)
						}
					}
					next = h.Query.To
				}
				if next != kv*group {
					t.Fatalf("%d KV heads of %d query heads each, %d ranks: %d heads are nobody's", kv, group, ranks, kv*group-next)
				}
			}
		}
	}
}
