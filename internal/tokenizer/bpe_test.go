package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// joinByDefinition is byte pair encoding as it is defined: join the leftmost of the pairs with the lowest rank, until
// none is left.
func joinByDefinition(m *bpe, symbols []int32) []int32 {
	symbols = slices.Clone(symbols)
	for {
		best := -1
		lowest := uint64(noMerge)
		for i := range max(len(symbols)-1, 0) {
			if c := m.pairs.get(symbols[i], symbols[i+1]); c>>32 < lowest>>32 {
				best, lowest = i, c
			}
		}
		if best < 0 {
			return symbols
		}
		symbols = slices.Replace(symbols, best, best+2, int32(uint32(lowest)))
	}
}

// randomBPE has single letters and random merges of what there is so far.
func randomBPE(t testing.TB, r *rand.Rand, letters, merges int) *bpe {
	t.Helper()
	var words []string
	for i := range letters {
		words = append(words, string(rune('a'+i)))
	}
	var list []merge
	seen := map[string]bool{}
	for range merges {
		a, b := r.IntN(len(words)), r.IntN(len(words))
		if joined := words[a] + words[b]; len(joined) < 10 && !seen[joined] {
			seen[joined] = true
			list = append(list, merge{int32(a), int32(b), int32(len(words))})
			words = append(words, joined)
		}
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	var entries []entry
	for i, w := range words {
		entries = append(entries, entry{w, int32(i)})
	}
	v, err := newVocabulary(entries)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newBPE(&definition{vocab: v, merges: list})
	if err != nil {
		t.Fatal(err)
	}
	m.(*bpe).prepare()
	return m.(*bpe)
}

func TestJoinsFollowTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	s := newScratch(nil)
	for range 60 {
		m := randomBPE(t, r, 1+r.IntN(4), r.IntN(60))
		for range 20 {
			symbols := make([]int32, 1+r.IntN(90))
			for i := range symbols {
				symbols[i] = r.Int32N(int32(m.vocab.len()))
			}
			want := joinByDefinition(m, symbols)
			if got := m.joinShort(slices.Clone(symbols), s); !slices.Equal(got, want) {
				t.Fatalf("joinShort(%v) = %v, want %v", symbols, got, want)
			}
			if got := m.joinLong(slices.Clone(symbols), s); !slices.Equal(got, want) {
				t.Fatalf("joinLong(%v) = %v, want %v", symbols, got, want)
			}
		}
	}
}

// A word of a million characters must not take time that grows with its square (that would be hours).
func TestLongWords(t *testing.T) {
	for _, dir := range goldenDirs(t) {
		if !strings.HasPrefix(dir, "testdata") {
			continue
		}
		tok, _ := loadGolden(t, dir)
		for _, text := range []string{strings.Repeat("a", 1<<20), strings.Repeat("abc1", 1<<17), strings.Repeat(" ", 1<<19), strings.Repeat("é\u0301", 1<<17)} {
			if _, err := tok.Encode(text, false); err != nil {
				t.Fatalf("%s: %v", dir, err)
			}
		}
	}
}

// The word cache must never answer for another word, nor for a word it could not keep.
func TestWordCache(t *testing.T) {
	c := newWordCache()
	r := rand.New(rand.NewPCG(9, 10))
	for range 50000 {
		word := []byte(fmt.Sprintf("%0*d", 1+r.IntN(cacheWordLen+4), r.IntN(1<<30)))
		want := []int32{int32(len(word)), int32(word[len(word)-1])}
		if got, ok := c.get(word); ok && !slices.Equal(got, want) {
			t.Fatalf("%s: cached %v, want %v", word, got, want)
		}
		c.put(word, want)
		if got, ok := c.get(word); ok != (len(word) <= cacheWordLen) || ok && !slices.Equal(got, want) {
			t.Fatalf("%s: just stored, got %v, %v", word, got, ok)
		}
	}
}
