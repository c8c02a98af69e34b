package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// golden is golden_tokenizer.json: what the reference library gives for a tokenizer.
type golden struct {
	VocabSize int `json:"vocab_size"`
	Cases     []struct {
		Text        string
		IDs         []int32
		IDsSpecial  []int32 `json:"ids_special"`
		Decoded     string
		DecodedSkip string `json:"decoded_skip"`
	}
	Pairs []struct {
		A, B    string
		IDs     []int32
		TypeIDs []int32 `json:"type_ids"`
	}
	Stream []struct {
		IDs  []int32
		Skip bool `json:"skip_special_tokens"`
		Full string
	}
}

// goldenDirs lists the directories with a tokenizer and its golden: the small ones kept here, and those shared by
// the checkpoints' tests where they are present.
func goldenDirs(t testing.TB) []string {
	t.Helper()
	own, _ := filepath.Glob("testdata/*/golden_tokenizer.json")
	shared, _ := filepath.Glob("../../../shared/checkpoints/*/golden_tokenizer.json")
	var dirs []string
	for _, path := range append(own, shared...) {
		dirs = append(dirs, filepath.Dir(path))
	}
	if len(own) == 0 {
		t.Fatal("no tokenizers in testdata")
	}
	return dirs
}

func loadGolden(t testing.TB, dir string) (*Tokenizer, golden) {
	t.Helper()
	tok, _, err := LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "golden_tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return tok, g
}

func TestGoldens(t *testing.T) {
	for _, dir := range goldenDirs(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tok, g := loadGolden(t, dir)
			checkGolden(t, tok, g)
		})
	}
}

func checkGolden(t *testing.T, tok *Tokenizer, g golden) {
	t.Helper()
	if got := tok.VocabSize(); got != g.VocabSize {
		t.Errorf("vocabulary of %d tokens, want %d", got, g.VocabSize)
	}
	for _, c := range g.Cases {
		for _, e := range []struct {
			special bool
			want    []int32
		}{{false, c.IDs}, {true, c.IDsSpecial}} {
			if got, err := tok.Encode(c.Text, e.special); err != nil || !slices.Equal(got, e.want) {
				t.Errorf("Encode(%q, %v) = %v, %v\nwant %v", c.Text, e.special, got, err, e.want)
			}
		}
		for _, d := range []struct {
			skip bool
			want string
		}{{false, c.Decoded}, {true, c.DecodedSkip}} {
			checkDecode(t, tok, c.IDsSpecial, d.skip, d.want)
		}
	}
	for _, p := range g.Pairs {
		ids, types, err := tok.EncodePair(p.A, p.B, true)
		if err != nil || !slices.Equal(ids, p.IDs) || !slices.Equal(types, p.TypeIDs) {
			t.Errorf("EncodePair(%q, %q) = %v, %v, %v\nwant %v, %v", p.A, p.B, ids, types, err, p.IDs, p.TypeIDs)
		}
	}
	for _, s := range g.Stream {
		checkDecode(t, tok, s.IDs, s.Skip, s.Full)
	}
}

// checkDecode holds Decode and a Stream against the text wanted.
func checkDecode(t *testing.T, tok *Tokenizer, ids []int32, skip bool, want string) {
	t.Helper()
	if got, err := tok.Decode(ids, skip); err != nil || got != want {
		t.Errorf("Decode(%v, %v) = %q, %v\nwant %q", ids, skip, got, err, want)
	}
	var text strings.Builder
	s := tok.NewStream(skip)
	for _, id := range ids {
		chunk := s.Next(id)
		if !utf8.ValidString(chunk) {
			t.Errorf("stream of %v: chunk %q cuts a character", ids, chunk)
		}
		text.WriteString(chunk)
	}
	text.WriteString(s.Flush())
	if text.String() != want {
		t.Errorf("stream of %v gives %q\nwant %q", ids, text.String(), want)
	}
}
