package kernel

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"llmc/engine/layout"
)

// Queries that come in two parts are the whole ones, and rows of a latent cache that many query heads share have the bits of the reference.
func TestLatentQueriesInParts(t *testing.T) {
	const heads, tokens = 8, 2
	for _, set := range Detect() {
		r := rand.New(rand.NewPCG(39, 40))
		for _, kind := range layout.KVTypes {
			kv, err := layout.NewLatent(kind, 32, 64, 96)
			if err != nil {
				t.Fatal(err)
			}
			n := 300 + r.IntN(100)
			s := sequenceIn(r, kv, n)
			s.QueryHeads, s.ALiBi, s.Sinks, s.Relative = heads, nil, nil, nil
			s.q = randomRow(r, n*heads*kv.Dim)
			s.store(set, 0, n)
			whole := s.queries(n-tokens, n)
			parts := *whole
			parts.Q, parts.LDQ, parts.LDRope, parts.Out = nil, heads*kv.Rank, heads*(kv.Dim-kv.Rank), make([]float32, len(whole.Out))
			for head := range tokens * heads {
				parts.Q = append(parts.Q, whole.Q[head*kv.Dim:][:kv.Rank]...)
				parts.Rope = append(parts.Rope, whole.Q[head*kv.Dim+kv.Rank:][:kv.Dim-kv.Rank]...)
			}
			want := s.attend(reference(set), whole)
			for i, got := range s.attend(set, &parts) {
				if !sameBits(got, want[i]) || got != got {
					t.Fatalf("%s: %+v: [%d] = %g in parts, %g", set.Name, kv, i, got, want[i])
				}
			}
		}
	}
}

// The values that a panel of keys is turned into are the channels of its positions, in lanes of values.
func TestTurnsMoveChannels(t *testing.T) {
	for _, set := range Detect() {
		testTurns(t, set)
	}
}

func testTurns(t *testing.T, set *Set) {
	t.Helper()
	for _, kind := range layout.KVTypes {
		rows, err := layout.NewLatent(kind, 16, 20, 28)
		if err != nil {
			t.Fatal(err)
		}
		values, err := layout.NewKV(kind, 16, 1, rows.Rank)
		if err != nil {
			t.Fatal(err)
		}
		page, turned := make([]byte, rows.Bytes()), make([]byte, values.Bytes())
		r := rand.New(rand.NewPCG(43, 44))
		for i := range page {
			page[i] = byte(r.Uint32())
		}
		first := values.V(0, 0, 0)
		set.turn[kvKind(rows)](unsafe.Pointer(&turned[first]), unsafe.Pointer(&page[0]), min(rows.DimV(), rows.DimK()), values.VRowBytes())
		for slot := range 16 {
			for d := range rows.Rank {
				for i := range kind.Size() {
					if turned[values.V(0, slot, d)+i] != page[rows.K(0, slot, d)+i] {
						t.Fatalf("%s: %v: channel %d of position %d is not what the key has", set.Name, kind, d, slot)
					}
				}
			}
		}
	}
}
