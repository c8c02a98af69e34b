package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/internal/tokenizer"
)

// TestOtherVocabularies wants tokenizers to be compared token by token.
func TestOtherVocabularies(t *testing.T) {
	const model = "../testdata/demo"
	a, _, err := tokenizer.LoadDir(model)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"", "", ""},
		{"<|im_end|>", "<|im_stop|>", "token 2 is \"<|im_stop|>\", not \"<|im_end|>\""},
	} {
		b, _, err := tokenizer.LoadDir(changed(t, model, c.old, c.new))
		if err != nil {
			t.Fatal(err)
		}
		err = sameTokens(a, b, 1024)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrOtherVocabulary) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q for %q: %v, want %q", c.new, c.old, err, c.want)
		}
	}
}

// changed copies a tokenizer with one text in place of another.
func changed(t *testing.T, dir, old, new string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), []byte(strings.ReplaceAll(string(data), old, new)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}
