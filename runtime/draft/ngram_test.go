package draft

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestMatchesAreMatches wants what the index finds in random texts of few words to be there.
func TestMatchesAreMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.Int32Range(1, rapid.Int32Range(1, 40).Draw(t, "words"))
		tokens := rapid.SliceOfN(words, 1, 20).Draw(t, "prompt")
		var x Index
		for range rapid.IntRange(1, 60).Draw(t, "looks") {
			m := x.Find(tokens)
			switch {
			case m.Length == 0:
			case m.Next < m.Length || m.Next >= len(tokens) || !slices.Equal(tokens[m.Next-m.Length:m.Next], tokens[len(tokens)-m.Length:]):
				t.Fatalf("%v: %+v is no match", tokens, m)
			default:
				n := rapid.IntRange(1, 12).Draw(t, "guesses")
				drafts := m.Append(nil, tokens, n)
				whole := append(slices.Clone(tokens), drafts...)
				if len(drafts) != n || !slices.Equal(whole[m.Next:m.Next+n], drafts) {
					t.Fatalf("%v, %+v: guesses %v", tokens, m, drafts)
				}
			}
			if m.Length > 0 && rapid.Bool().Draw(t, "goes on") {
				tokens = m.Append(tokens, tokens, rapid.IntRange(1, 5).Draw(t, "right"))
			} else {
				tokens = append(tokens, words.Draw(t, "token"))
			}
		}
	})
}

// TestRepetitionsAreFound wants nearly all tokens of a text that comes a second time to be guessed.
func TestRepetitionsAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		once := rapid.SliceOfN(rapid.Int32Range(0, 49_000), 20, 300).Draw(t, "text")
		whole := append(slices.Clone(once), once...)
		var x Index
		wrong := 0
		for n := len(once) + 2; n < len(whole); n++ {
			m := x.Find(whole[:n])
			if m.Length == 0 || m.Append(nil, whole[:n], 1)[0] != whole[n] {
				wrong++
			}
		}
		if wrong > len(once)/5 {
			t.Fatalf("%d of %d tokens were not guessed", wrong, len(once))
		}
	})
}

// TestTheLongestMatchCounts wants the place with the longer end in common, though another came later.
func TestTheLongestMatchCounts(t *testing.T) {
	var x Index
	tokens := []int32{1, 2, 3, 4, 50, 9, 3, 4, 60, 1, 2, 3, 4}
	if m := x.Find(tokens); m.Next != 4 || m.Length != 4 {
		t.Errorf("%+v", m)
	}
	// Where a match goes on, it is kept, whatever has been found since.
	tokens = append(tokens, 50, 9)
	if m := x.Find(tokens); m.Next != 6 || m.Length != 6 {
		t.Errorf("%+v", m)
	}
	if m := x.Find(append(tokens, 77)); m.Length != 0 {
		t.Errorf("%+v behind a token that is new", m)
	}
}

// TestTheIndexIsBounded wants a long sequence to have a table of bounded size, and late matches to be found in it.
func TestTheIndexIsBounded(t *testing.T) {
	var x Index
	var tokens []int32
	for i := range int32(200_000) {
		tokens = append(tokens, i)
		if i%1000 == 0 {
			x.Find(tokens)
		}
	}
	tokens = append(tokens, 199_990, 199_991, 199_992)
	if m := x.Find(tokens); m.Next != 199_993 || m.Length != 3 {
		t.Errorf("%+v", m)
	}
	if len(x.table) != mostTable {
		t.Errorf("a table of %d places", len(x.table))
	}
}

func BenchmarkFind(b *testing.B) {
	var x Index
	tokens := make([]int32, 4096, 4096+b.N)
	for i := range tokens {
		tokens[i] = int32(i * 31 % 997)
	}
	for i := range b.N {
		tokens = append(tokens, int32(i*37%1009))
		x.Find(tokens)
	}
}
