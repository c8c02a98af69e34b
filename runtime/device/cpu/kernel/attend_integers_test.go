package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// Many rows over a cache of integers, those of i8 on tiles with AMX, have the bits of the reference wherever pages and windows end.
func TestManyRowsOverIntegers(t *testing.T) {
	for _, set := range Detect() {
		r := rand.New(rand.NewPCG(37, 38))
		for round := range 16 {
			kv, err := layout.NewKV([]dtype.Type{dtype.I8, dtype.I16}[round/2%2], []int{16, 48, 64}[r.IntN(3)], 2, 64*(1+round%2))
			if err != nil {
				t.Fatal(err)
			}
			s := sequenceIn(r, kv, 60+r.IntN(500))
			n := len(s.keys)
			s.store(set, 0, n)
			from := max(0, n-10-r.IntN(60))
			got, want := s.attend(set, s.queries(from, n)), s.attend(genericSet(), s.queries(from, n))
			for i := range want {
				if !sameBits(got[i], want[i]) || got[i] != got[i] {
					t.Fatalf("%s: %+v window %d, %d positions: [%d] = %g, want %g", set.Name, s.KV, s.Window, n, i, got[i], want[i])
				}
			}
		}
	}
}

// However large and uneven a row of numbers is, sums of products of its words with any codes fit 32 bits, and words are not far from the numbers.
func TestWordsFitTheirSums(t *testing.T) {
	r := rand.New(rand.NewPCG(39, 40))
	for round := range 400 {
		n := 1 + r.IntN([]int{20, 300, 4096}[round%3])
		x := randomRow(r, n)
		for i := range x {
			x[i] *= float32(math.Exp(r.NormFloat64() * float64(round%5)))
		}
		for _, s := range Detect() {
			row := make([]byte, integerBytes*(n+panelPositions)+entryBytes)
			entryAt := (len(row) - entryBytes) &^ 15
			s.wordRow(row, x, s.rangeOf(x), entryAt)
			scale := at[layout.Entry](unsafe.Pointer(&row[0]), entryAt).Scale / wordUnit
			total := 0
			for i, v := range x {
				word := *at[int16](unsafe.Pointer(&row[0]), integerBytes*i)
				total += max(int(word), -int(word))
				if off := math.Abs(float64(word)*float64(scale) - float64(v)); off > 0.51*float64(scale) {
					t.Fatalf("%s: %v became %d times %v", s.Name, v, word, scale)
				}
			}
			if total*mostI16 > math.MaxInt32 {
				t.Fatalf("%s: words of %d numbers add up to %d", s.Name, n, total)
			}
		}
	}
}
