package gguf

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler/gguf/gguftest"
	"llmc/compiler/hf"
	"llmc/internal/golden"
	"llmc/internal/tokenizer"
)

// recorded is golden_tokenizer.json: what the reference library gives for a tokenizer.
type recorded struct {
	Cases []struct {
		Text        string
		IDs         []int32
		IDsSpecial  []int32 `json:"ids_special"`
		Decoded     string
		DecodedSkip string `json:"decoded_skip"`
	}
}

func readJSON(t *testing.T, path string, to any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// load builds the tokenizer of a GGUF file.
func load(t *testing.T, path string) *tokenizer.Tokenizer {
	t.Helper()
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	data := func(p hf.Part) []byte {
		d, err := c.Document(p)
		if err != nil {
			t.Fatal(err)
		}
		if d == nil {
			return nil
		}
		return d.Data
	}
	tok, err := tokenizer.Load(tokenizer.Files{JSON: data(hf.Tokenizer), SentencePiece: data(hf.SentencePiece), Config: data(hf.TokenizerConfig)})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func (r *recorded) compare(t *testing.T, tok *tokenizer.Tokenizer) {
	t.Helper()
	for _, c := range r.Cases {
		for _, want := range []struct {
			special bool
			ids     []int32
		}{{false, c.IDs}, {true, c.IDsSpecial}} {
			if got, err := tok.Encode(c.Text, want.special); err != nil || !slices.Equal(got, want.ids) {
				t.Errorf("Encode(%q, %v) = %v, %v\nwant %v", c.Text, want.special, got, err, want.ids)
			}
		}
		for _, want := range []struct {
			skip bool
			text string
		}{{false, c.Decoded}, {true, c.DecodedSkip}} {
			if got, err := tok.Decode(c.IDsSpecial, want.skip); err != nil || got != want.text {
				t.Errorf("Decode(%v, %v) = %q, %v\nwant %q", c.IDsSpecial, want.skip, got, err, want.text)
			}
		}
	}
}

// TestTokenizersOfFiles wants from GGUF files the ids and texts that the library gives for the tokenizer.json which they were made from.
func TestTokenizersOfFiles(t *testing.T) {
	dir := golden.Shared(t, "checkpoints")
	for file, original := range map[string]string{"llama-gguf/model-F16.gguf": "llama-gqa", "llama-gguf-bpe/model-F16.gguf": "llama-tied"} {
		t.Run(original, func(t *testing.T) {
			var r recorded
			readJSON(t, filepath.Join(dir, original, "golden_tokenizer.json"), &r)
			r.compare(t, load(t, filepath.Join(dir, file)))
		})
	}
}

// original is what converters read of a tokenizer.json.
type original struct {
	Added []struct {
		ID      int32
		Content string
		Special bool
	} `json:"added_tokens"`
	Post  json.RawMessage `json:"post_processor"`
	Model struct {
		Vocab  map[string]int32
		Merges []json.RawMessage
	}
}

// convert writes what a GGUF converter keeps of the tokenizer.json.
func (o *original) convert(t *testing.T, pre string) *gguftest.Writer {
	size := int32(0)
	for _, id := range o.Model.Vocab {
		size = max(size, id+1)
	}
	for _, a := range o.Added {
		size = max(size, a.ID+1)
	}
	tokens, kinds := make([]string, size), slices.Repeat([]int32{int32(normalToken)}, int(size))
	for token, id := range o.Model.Vocab {
		tokens[id] = token
	}
	for _, a := range o.Added {
		tokens[a.ID], kinds[a.ID] = a.Content, int32(userDefinedToken)
		if a.Special {
			kinds[a.ID] = int32(controlToken)
		}
	}
	var merges []string
	for _, m := range o.Model.Merges {
		var pair [2]string
		var line string
		if json.Unmarshal(m, &line) != nil {
			if err := json.Unmarshal(m, &pair); err != nil {
				t.Fatal(err)
			}
			line = pair[0] + " " + pair[1]
		}
		merges = append(merges, line)
	}
	w := tiny()
	w.Set("tokenizer.ggml.model", "gpt2")
	w.Set(preKey, pre)
	w.Set(tokensKey, tokens)
	w.Set(typesKey, kinds)
	w.Set(mergesKey, merges)
	var bos string
	for _, part := range strings.Split(string(o.Post), `"SpecialToken"`)[1:] {
		if _, after, ok := strings.Cut(part, `"id":`); ok && bos == "" {
			bos = strings.Trim(strings.SplitN(after, ",", 2)[0], ` "`)
		}
	}
	w.Set(addBOSKey, bos != "")
	if i := slices.Index(tokens, bos); bos != "" && i >= 0 {
		w.Set(bosKey, i)
	}
	return w
}

// TestPreTokenizers takes tokenizers apart as converters do and wants the ids of the original for each way to cut words that GGUF has a name for.
func TestPreTokenizers(t *testing.T) {
	dir := golden.Shared(t, "checkpoints")
	for name, pre := range map[string]string{
		"tokenizer-gpt2": "gpt-2", "tokenizer-llama3": "llama-bpe", "tokenizer-qwen2": "qwen2", "tokenizer-tekken": "tekken", "tokenizer-o200k": "gpt-4o",
		"tokenizer-deepseek": "deepseek-v3", "tokenizer-starcoder2": "starcoder", "tokenizer-bloom": "bloom", "tokenizer-falcon": "falcon", "tokenizer-gptneox": "olmo",
	} {
		t.Run(name, func(t *testing.T) {
			var o original
			var r recorded
			readJSON(t, filepath.Join(dir, name, "tokenizer.json"), &o)
			readJSON(t, filepath.Join(dir, name, "golden_tokenizer.json"), &r)
			r.compare(t, load(t, o.convert(t, pre).Save(t, "model.gguf")))
		})
	}
}
