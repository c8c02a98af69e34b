package runtime

import (
	"testing"

	"llmc/internal/tokenizer"
)

// With the bundled model's tokenizer, the pieces of text join to what the tokenizer decodes from all tokens.
func TestNewWithATokenizer(t *testing.T) {
	tok, _, err := tokenizer.LoadDir("../testdata/demo")
	if err != nil {
		t.Fatal(err)
	}
	const text = "Ann has 12 apples; Bob's are greener. Größe, 漢字, 😀!"
	ids, err := tok.Encode(text, false)
	if err != nil {
		t.Fatal(err)
	}
	want, err := tok.Decode(ids, true)
	if err != nil {
		t.Fatal(err)
	}
	model := info
	model.Vocab = max(tok.VocabSize(), len(ids)+1)
	e, err := New(newEcho(), model, tok, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r := script(ids...)
	r.MaxTokens, r.IgnoreEOS, r.SkipSpecial = len(ids), true, true
	if got := read(t, submit(t, e, r)); got.text != want || len(got.events) < 10 {
		t.Errorf("%d events give %q, want %q", len(got.events), got.text, want)
	}
}
