package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSentencePiece loads Llama tokenizers from tokenizer.model alone: it must give what their tokenizer.json gives.
func TestSentencePiece(t *testing.T) {
	paths, _ := filepath.Glob("../../../shared/checkpoints/*/tokenizer.model")
	loaded := 0
	for _, path := range paths {
		dir := filepath.Dir(path)
		if _, err := os.Stat(filepath.Join(dir, "golden_tokenizer.json")); err != nil {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			whole, files, err := LoadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			files.JSON = nil
			tok, err := Load(files)
			if strings.Contains(string(files.Config), "Gemma") {
				if err == nil || !strings.Contains(err.Error(), "GemmaTokenizer") {
					t.Errorf("got %v, want a refusal", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_, g := loadGolden(t, dir)
			checkGolden(t, tok, g)
			if a, b := len(tok.definition.merges), len(whole.definition.merges); a != b {
				t.Errorf("%d merges, want %d", a, b)
			}
			loaded++
		})
	}
	if len(paths) > 0 && loaded < 4 {
		t.Errorf("only %d tokenizers were loaded", loaded)
	}
}

// message is a protobuf field of bytes.
func message(tag byte, parts ...string) string {
	body := strings.Join(parts, "")
	return string([]byte{tag<<3 | 2, byte(len(body))}) + body
}

func testModel() string {
	var model strings.Builder
	for _, p := range []struct{ text, rest string }{
		{"<unk>", "\x18\x02"}, {"<s>", "\x18\x03"}, {"</s>", "\x18\x03"}, {"<0x0A>", "\x18\x06"}, {"<u>", "\x18\x04"},
		{"ab", "\x15\x00\x00\x00\x00"}, {"▁ab", "\x15\x00\x00\x80\xbf"}, {"▁", "\x15\x00\x00\x00\xc0"}, {"a", "\x15\x00\x00\x40\xc0"}, {"b", "\x15\x00\x00\x80\xc0"},
	} {
		model.WriteString(message(1, message(1, p.text), p.rest))
	}
	return model.String() + message(2, "\x18\x02")
}

func TestSentencePieceOptions(t *testing.T) {
	for _, c := range []struct {
		config, text string
		want         string
	}{
		{``, "ab\nab", "<s> ▁ab <0x0A> ab"},
		{`{"add_bos_token":false,"add_eos_token":true}`, "ab", "▁ab </s>"},
		{`{"add_eos_token":true,"eos_token":"<e>","added_tokens_decoder":{"10":{"content":"<e>","special":true}}}`, "ab", "<s> ▁ab <e>"},
		{`{"legacy":false}`, "ab<u>ab", "<s> ▁ab <u> ab"},
		{`{"legacy":true}`, "ab<u>ab", "<s> ▁ab <u> ▁ab"},
		{`{"add_prefix_space":false}`, "ab ab", "<s> ab ▁ab"},
		{`{"tokenizer_class":"LlamaTokenizer","pad_token":"[P]"}`, "ab[P]", "<s> ▁ab [P]"},
	} {
		files := Files{SentencePiece: []byte(testModel())}
		if c.config != "" {
			files.Config = []byte(c.config)
		}
		tok, err := Load(files)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := tok.Encode(c.text, true)
		var tokens []string
		for _, id := range ids {
			token, _ := tok.Token(id)
			tokens = append(tokens, token)
		}
		if got := strings.Join(tokens, " "); err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.config, got, err, c.want)
		}
	}
}

func TestSentencePieceErrors(t *testing.T) {
	for name, c := range map[string]struct{ model, config, want string }{
		"cut":     {testModel()[:40], "", "protobuf"},
		"class":   {testModel(), `{"tokenizer_class":"T5Tokenizer"}`, `class "T5Tokenizer"`},
		"unigram": {message(1, message(1, "a")) + message(2, "\x18\x01"), "", "no BPE model"},
		"empty":   {message(2, "\x18\x02"), "", "no pieces"},
	} {
		files := Files{SentencePiece: []byte(c.model)}
		if c.config != "" {
			files.Config = []byte(c.config)
		}
		if _, err := Load(files); err == nil || !strings.Contains(err.Error(), "tokenizer.model: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
}

func FuzzSentencePiece(f *testing.F) {
	f.Add([]byte(testModel()), "ab ab")
	if data, err := os.ReadFile("../../../shared/checkpoints/llama-gqa/tokenizer.model"); err == nil {
		f.Add(data, "Hello world")
	}
	f.Fuzz(func(_ *testing.T, model []byte, text string) {
		tok, err := Load(Files{SentencePiece: model})
		if err != nil {
			return
		}
		ids, err := tok.Encode(text, true)
		if err == nil {
			_, _ = tok.Decode(ids, false)
		}
	})
}
