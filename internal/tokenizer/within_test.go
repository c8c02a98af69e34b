package tokenizer

import (
	"fmt"
	"strings"
	"testing"

	shared "llmc/internal/golden"
)

// Pairs are cut to the lengths that the tokenizers library's "longest_first" gives, special tokens kept.
func TestEncodeWithinPairs(t *testing.T) {
	tok := within(t)
	for _, c := range [][5]int{ // letters of both texts, tokens at most, letters that are left
		{3, 3, 20, 3, 3}, {5, 9, 11, 4, 4}, {9, 5, 11, 4, 4}, {6, 6, 10, 3, 4}, {6, 6, 11, 4, 4}, {9, 8, 10, 4, 3}, {8, 9, 10, 3, 4}, {2, 9, 8, 2, 3},
		{9, 2, 8, 3, 2}, {1, 1, 4, 0, 1}, {5, 4, 3, 0, 0}, {10, 3, 9, 3, 3}, {3, 10, 9, 3, 3}, {7, 0, 6, 3, 0}, {0, 7, 6, 0, 3}, {9, 4, 10, 4, 3}, {4, 9, 10, 3, 4},
	} {
		ids, types, err := tok.EncodeWithin(c[2], letters(c[0]), letters(c[1]))
		if err != nil {
			t.Fatal(err)
		}
		want, wantTypes, err := tok.EncodePair(letters(c[3]), letters(c[4]), true)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(ids, types) != fmt.Sprint(want, wantTypes) {
			t.Errorf("%v: %v %v, want %v %v", c, ids, types, want, wantTypes)
		}
	}
	if _, _, err := tok.EncodeWithin(2, "a", "b"); err == nil {
		t.Error("three special tokens fit into two")
	}
}

func TestEncodeWithinOneText(t *testing.T) {
	tok := within(t)
	for most := 2; most < 12; most++ {
		ids, types, err := tok.EncodeWithin(most, letters(8))
		if err != nil {
			t.Fatal(err)
		}
		want, err := tok.Encode(letters(min(8, most-2)), true)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(ids) != fmt.Sprint(want) || len(types) != len(ids) {
			t.Errorf("%d: %v with %d types, want %v", most, ids, len(types), want)
		}
	}
}

// letters is a text of so many tokens.
func letters(n int) string { return strings.Join(strings.Split("abcdefghijkl"[:n], ""), " ") }

func within(t *testing.T) *Tokenizer {
	t.Helper()
	tok, _, err := LoadDir(shared.Shared(t, "checkpoints", "bert-minilm"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}
