package tokenizer

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestInvalidUTF8CountsAsReplacementCharacter(t *testing.T) {
	for _, dir := range []string{"testdata/gpt2", "testdata/llama-gqa"} {
		tok, _ := loadGolden(t, dir)
		got, err := tok.Encode("a\xff\xe4\xbdb", false)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := tok.Encode("a\ufffd\ufffdb", false)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", dir, got, want)
		}
	}
}

func TestAppendEncodeKeepsWhatIsThere(t *testing.T) {
	for _, dir := range []string{"testdata/gpt2", "testdata/clip"} {
		tok, _ := loadGolden(t, dir)
		alone, _ := tok.Encode("some text", true)
		got, err := tok.AppendEncode([]int32{7, 8}, "some text", true)
		if err != nil || !slices.Equal(got, append([]int32{7, 8}, alone...)) {
			t.Errorf("%s: %v, %v", dir, got, err)
		}
	}
}

// Many goroutines share a tokenizer and its lazily built tables.
func TestConcurrentEncode(t *testing.T) {
	for _, dir := range goldenDirs(t) {
		if !strings.HasPrefix(dir, "testdata") {
			continue
		}
		tok, g := loadGolden(t, dir)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for _, c := range g.Cases {
					ids, err := tok.Encode(c.Text, true)
					if err != nil || !slices.Equal(ids, c.IDsSpecial) {
						t.Errorf("%s: Encode(%q) = %v, %v, want %v", dir, c.Text, ids, err, c.IDsSpecial)
					}
					if text, err := tok.Decode(ids, true); err != nil || text != c.DecodedSkip {
						t.Errorf("%s: Decode(%v) = %q, %v, want %q", dir, ids, text, err, c.DecodedSkip)
					}
				}
			})
		}
		wg.Wait()
	}
}

// Words must not cost allocations: ten times the text, (almost) the same number.
func TestEncodeAllocations(t *testing.T) {
	tok, _ := loadGolden(t, "testdata/gpt2")
	count := func(text string) float64 {
		ids := make([]int32, 0, len(text))
		return testing.AllocsPerRun(20, func() {
			if _, err := tok.AppendEncode(ids, text, false); err != nil {
				t.Fatal(err)
			}
		})
	}
	short, long := count(strings.Repeat("the cat's 12 mats, ", 100)), count(strings.Repeat("the cat's 12 mats, ", 1000))
	if long > short+20 {
		t.Errorf("%g allocations for 1900 bytes, %g for 19000", short, long)
	}
}
