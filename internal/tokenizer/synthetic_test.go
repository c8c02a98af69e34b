package tokenizer

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"testing"
)

// The file of this test holds tokenizers of parts put together at random and what the reference library gives for
// them. testdata/synthetic.py writes it; TOKENIZER_REFERENCE may name a larger one.
type syntheticCase struct {
	File      json.RawMessage
	VocabSize int `json:"vocab_size"`
	Cases     []struct {
		Text, Error string
		IDs         []int32
		IDsSpecial  []int32 `json:"ids_special"`
		Decode      []int32
		Decoded     *string
		DecodedSkip *string `json:"decoded_skip"`
	}
	Pairs []struct {
		A, B    string
		IDs     []int32
		TypeIDs []int32 `json:"type_ids"`
	}
}

func loadSynthetic(t testing.TB) []syntheticCase {
	t.Helper()
	path := "testdata/synthetic.json"
	if name := os.Getenv("TOKENIZER_REFERENCE"); name != "" {
		path = name
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []syntheticCase `json:"tokenizers_cases"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Cases
}

func TestSyntheticTokenizers(t *testing.T) {
	for i, c := range loadSynthetic(t) {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			tok, err := Load(Files{JSON: c.File})
			if err != nil {
				t.Fatalf("%v\n%s", err, withoutVocabulary(c.File))
			}
			checkSynthetic(t, tok, c)
			if t.Failed() {
				t.Log(withoutVocabulary(c.File))
			}
		})
	}
}

func checkSynthetic(t *testing.T, tok *Tokenizer, c syntheticCase) {
	t.Helper()
	if got := tok.VocabSize(); got != c.VocabSize {
		t.Errorf("vocabulary of %d tokens, want %d", got, c.VocabSize)
	}
	for _, e := range c.Cases {
		for _, run := range []struct {
			special bool
			want    []int32
		}{{false, e.IDs}, {true, e.IDsSpecial}} {
			got, err := tok.Encode(e.Text, run.special)
			if (err != nil) != (e.Error != "") || err == nil && !slices.Equal(got, run.want) {
				t.Errorf("Encode(%+q, %v) = %v, %v\nwant %v %s", e.Text, run.special, got, err, run.want, e.Error)
			}
		}
		if e.Decoded == nil {
			continue
		}
		checkDecode(t, tok, e.Decode, false, *e.Decoded)
		checkDecode(t, tok, e.Decode, true, *e.DecodedSkip)
	}
	for _, p := range c.Pairs {
		ids, types, err := tok.EncodePair(p.A, p.B, true)
		if err != nil || !slices.Equal(ids, p.IDs) || !slices.Equal(types, p.TypeIDs) {
			t.Errorf("EncodePair(%+q, %+q) = %v, %v, %v\nwant %v, %v", p.A, p.B, ids, types, err, p.IDs, p.TypeIDs)
		}
	}
}

// withoutVocabulary shows a file without its long parts.
func withoutVocabulary(raw json.RawMessage) string {
	var file map[string]any
	_ = json.Unmarshal(raw, &file)
	if m, ok := file["model"].(map[string]any); ok {
		delete(m, "vocab")
		delete(m, "merges")
	}
	out, _ := json.Marshal(file)
	return string(out)
}
