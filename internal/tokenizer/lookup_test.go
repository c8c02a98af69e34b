package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func randomWord(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteString([]string{"a", "b", "c", "é", "\x00", "日"}[r.IntN(6)])
	}
	return b.String()
}

// The trie and the index of a vocabulary agree with a map, in which the last of equal words counts.
func TestLookups(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 50 {
		var entries []entry
		want := map[string]int32{}
		id := int32(0)
		for range r.IntN(300) {
			id += r.Int32N(3) * r.Int32N(2) // repeated ids, gaps
			entries = append(entries, entry{randomWord(r), id})
			want[entries[len(entries)-1].token] = id
		}
		v, err := newVocabulary(entries)
		if err != nil {
			t.Fatal(err)
		}
		trie := vocabularyTrie(v)
		for range 500 {
			word := randomWord(r)
			id, ok := want[word]
			if got, found := v.id(word); found != ok || got != id {
				t.Fatalf("id(%q) = %d, %v, want %d, %v", word, got, found, id, ok)
			}
			if got, found := v.idOf([]byte(word)); found != ok || got != id {
				t.Fatalf("idOf(%q) = %d, %v, want %d, %v", word, got, found, id, ok)
			}
			length, value := 0, int32(0)
			for n := 1; n <= len(word); n++ {
				if id, ok := want[word[:n]]; ok {
					length, value = n, id
				}
			}
			if gotValue, got := trie.longest(root, []byte(word)); got != length || length > 0 && gotValue != value {
				t.Fatalf("longest(%q) = %d of %d bytes, want %d of %d", word, gotValue, got, value, length)
			}
		}
		for _, e := range entries {
			if token, ok := v.token(e.id); !ok || want[token] < e.id {
				t.Fatalf("token(%d) = %q, %v", e.id, token, ok)
			}
		}
		if token, ok := v.token(id + 1); ok {
			t.Fatalf("token of an id that is not there: %q", token)
		}
	}
}
