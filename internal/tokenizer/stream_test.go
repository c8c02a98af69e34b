package tokenizer

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// knownIDs lists the ids that have a token.
func knownIDs(tok *Tokenizer) []int32 {
	var ids []int32
	for id := int32(0); len(ids) < tok.VocabSize() && id < maxID; id++ {
		if _, ok := tok.Token(id); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// Whatever the ids, the chunks of a stream are whole characters and join to what Decode gives.
func TestStreamsJoinToDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, dir := range goldenDirs(t) {
		tok, _ := loadGolden(t, dir)
		known := knownIDs(tok)
		for range 60 {
			ids := make([]int32, r.IntN(30))
			for i := range ids {
				ids[i] = known[r.IntN(len(known))]
			}
			skip := r.IntN(2) == 0
			want, err := tok.Decode(ids, skip)
			if err != nil {
				t.Fatal(err)
			}
			checkDecode(t, tok, ids, skip, want)
		}
	}
}

// Text must come out as the ids go in, not at the end: of plain text a stream holds back at most a character.
func TestStreamsAreTimely(t *testing.T) {
	for _, dir := range []string{"testdata/gpt2", "testdata/llama-gqa", "testdata/bert-minilm", "testdata/clip", "testdata/siglip"} {
		tok, _ := loadGolden(t, dir)
		ids, err := tok.Encode("the cat sat on the mat and the dog", false)
		if err != nil {
			t.Fatal(err)
		}
		s := tok.NewStream(false)
		late := 0
		for i, id := range ids {
			if s.Next(id) == "" && i > 0 {
				late++
			}
		}
		if late > 0 {
			t.Errorf("%s: %d of %d ids gave no text", dir, late, len(ids))
		}
	}
}

func TestStreamAfterFlush(t *testing.T) {
	tok, _ := loadGolden(t, "testdata/gpt2")
	s := tok.NewStream(false)
	first := s.Next(40)
	if first == "" {
		t.Error("no text")
	}
	s.Flush()
	if more := s.Next(40) + s.Flush(); more != "" {
		t.Errorf("after Flush comes %q", more)
	}
}

func TestUnknownIDs(t *testing.T) {
	tok, _ := loadGolden(t, "testdata/gpt2")
	for _, id := range []int32{-1, 5000, maxID} {
		if _, err := tok.Decode([]int32{40, id}, false); err == nil || !strings.Contains(err.Error(), "id ") {
			t.Errorf("Decode of id %d: error %v", id, err)
		}
		if got := tok.TokenBytes(id); got != nil {
			t.Errorf("TokenBytes(%d) = %q", id, got)
		}
		if tok.IsSpecial(id) {
			t.Errorf("IsSpecial(%d)", id)
		}
	}
	s := tok.NewStream(false)
	if got := s.Next(40) + s.Next(5000) + s.Next(40) + s.Flush(); got != strings.Repeat(string(tok.TokenBytes(40)), 2) {
		t.Errorf("stream with an unknown id gives %q", got)
	}
}

// The bytes of the tokens of a text are the text, but for what decoders do at its start.
func TestTokenBytes(t *testing.T) {
	const text = "Größe: 12 日本 😀 it's"
	for _, dir := range []string{"testdata/gpt2", "testdata/llama-gqa"} {
		tok, _ := loadGolden(t, dir)
		ids, err := tok.Encode(text, false)
		if err != nil {
			t.Fatal(err)
		}
		var joined []byte
		whole := true
		for _, id := range ids {
			b := tok.TokenBytes(id)
			whole = whole && utf8.Valid(b)
			joined = append(joined, b...)
		}
		if got := string(bytes.TrimPrefix(joined, []byte(" "))); got != text {
			t.Errorf("%s: the bytes of the tokens are %q", dir, got)
		}
		if whole {
			t.Errorf("%s: no token cuts a character: the text tests nothing", dir)
		}
	}
	tok, _ := loadGolden(t, "testdata/bert-minilm")
	for token, want := range map[string]string{"##s": "s", "s": " s", ".": "."} {
		id, ok := tok.TokenID(token)
		if !ok {
			t.Fatalf("no token %q", token)
		}
		if got := string(tok.TokenBytes(id)); got != want {
			t.Errorf("TokenBytes of %q = %q, want %q", token, got, want)
		}
	}
}

func TestTokensAndIDs(t *testing.T) {
	tok, g := loadGolden(t, "testdata/clip")
	specials := 0
	for id := range int32(g.VocabSize) {
		token, ok := tok.Token(id)
		if back, ok2 := tok.TokenID(token); !ok || !ok2 || back != id {
			t.Errorf("id %d is %q, which has id %d", id, token, back)
		}
		if tok.IsSpecial(id) {
			specials++
		}
	}
	if specials != 2 {
		t.Errorf("%d special tokens, want 2", specials)
	}
	if _, ok := tok.TokenID("no such token"); ok {
		t.Error("a token that is not there has an id")
	}
}

// One U+FFFD for each maximal part of a character, as Rust's from_utf8_lossy and Python's decoder give.
func TestAppendValid(t *testing.T) {
	for _, c := range []struct{ in, want, rest string }{
		{"abc", "abc", ""},
		{"\xff\xfe", "\ufffd\ufffd", ""},
		{"a\xe4\xbdb", "a\ufffdb", ""},
		{"\xe4\xbd", "", "\xe4\xbd"},
		{"é\xf0\x9f\x98", "é", "\xf0\x9f\x98"},
		{"\xf0\x80\x80", "\ufffd\ufffd\ufffd", ""},
		{"\xed\xa0\x80", "\ufffd\ufffd\ufffd", ""},
		{"\xf4\x90\x80\x80x", "\ufffd\ufffd\ufffd\ufffdx", ""},
		{"\xc3\xc3\xa9", "\ufffdé", ""},
		{"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", "\ufffd\ufffd\ufffd\ufffdA", ""},
	} {
		out, rest := appendValid(nil, []byte(c.in), false)
		if string(out) != c.want || string(rest) != c.rest {
			t.Errorf("%q gives %q and %q, want %q and %q", c.in, out, rest, c.want, c.rest)
		}
		out, rest = appendValid(nil, []byte(c.in), true)
		if want := c.want + strings.Repeat("\ufffd", min(len(c.rest), 1)); string(out) != want || len(rest) > 0 {
			t.Errorf("%q at the end gives %q, want %q", c.in, out, want)
		}
	}
}

// Decoders that follow Fuse see one token; cut into fragments or not, the text is the same.
func TestStripOfFragments(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for range 2000 {
		var tokens []string
		for range r.IntN(6) {
			tokens = append(tokens, strings.Repeat("é", r.IntN(4))+strings.Repeat("x", r.IntN(2))+strings.Repeat("é", r.IntN(3)))
		}
		d := stripDecoder{content: "é", start: r.IntN(4), stop: r.IntN(4)}
		var out output
		s := fuse{}.stage(d.stage(&out, nil), nil)
		for _, token := range tokens {
			s.put([]byte(token), true)
		}
		s.close()
		want := []rune(strings.Join(tokens, ""))
		for i := 0; i < d.start && len(want) > 0 && want[0] == 'é'; i++ {
			want = want[1:]
		}
		for i := 0; i < d.stop && len(want) > 0 && want[len(want)-1] == 'é'; i++ {
			want = want[:len(want)-1]
		}
		if !slices.Equal([]rune(string(out.text)), want) {
			t.Fatalf("%q stripped of %d and %d is %q, want %q", tokens, d.start, d.stop, out.text, string(want))
		}
	}
}
