package tokenizer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file gives a tokenizer.json with a small BPE model and the sections given.
func file(sections string) []byte {
	if sections != "" {
		sections += ","
	}
	return []byte(`{"version":"1.0",` + sections + `"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`)
}

// modelFile gives a tokenizer.json with nothing but a model.
func modelFile(m string) []byte { return []byte(`{"model":` + m + `}`) }

var deepSequence = strings.Repeat(`{"type":"Sequence","normalizers":[`, 40) + `{"type":"NFC"}` + strings.Repeat(`]}`, 40)

// refusedFiles are files that must not load, with what the error must say.
var refusedFiles = []struct {
	json []byte
	want string
}{
	{[]byte(`{`), "tokenizer.json: byte 1"},
	{[]byte(`{}`), "model: missing"},
	{[]byte("{\"\xff\":1}"), "not UTF-8"},
	{[]byte(`{"version":"2.0"}`), `unknown version "2.0"`},
	{[]byte(`{"model":7}`), "model"},
	{modelFile(`{"type":"BPE","merges":[]}`), "vocab is missing"},
	{modelFile(`{"type":"BPE","vocab":{"a":0}}`), "merges are missing"},
	{modelFile(`{"type":"BPE","vocab":{"a":-1},"merges":[]}`), `token "a"`},
	{modelFile(`{"type":"BPE","vocab":{"a":16777216},"merges":[]}`), "below 16777216"},
	{modelFile(`{"type":"BPE","vocab":{"a":1.5},"merges":[]}`), `token "a"`},
	{modelFile(`{"type":"BPE","vocab":{"a":[1,2]},"merges":[]}`), `token "a"`},
	{modelFile(`{"type":"BPE","vocab":["a"],"merges":[]}`), "JSON value"},
	{modelFile(`{"type":"BPE","vocab":{"a":0},"merges":["a a"]}`), `merge 0: token "aa"`},
	{modelFile(`{"type":"BPE","vocab":{"a":0},"merges":["a"]}`), `merge 0: "a"`},
	{modelFile(`{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}`), "merge 0"},
	{modelFile(`{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}`), "dropout 0.1"},
	{modelFile(`{"type":"BPE","vocab":{"a":0},"merges":[["a","a"]],"continuing_subword_prefix":"##"}`), "shorter"},
	{modelFile(`{"type":"Unigram","vocab":[["a",0]],"unk_id":4}`), "unk_id 4"},
	{modelFile(`{"type":"Unigram","vocab":[["a"]]}`), "entry 1"},
	{modelFile(`{"type":"Unigram","vocab":[["a","b"]]}`), "not a number"},
	{modelFile(`{"type":"Unigram","vocab":[["` + strings.Repeat("a", 2000) + `",0]]}`), "2000 bytes"},
	{modelFile(`{"type":"WordPiece","vocab":{"a":0}}`), "unk_token"},
	{modelFile(`{"type":"WordLevel","vocab":{"a":0}}`), "unk_token"},
	{modelFile(`{"type":"Magic","vocab":{"a":0}}`), `unknown type "Magic"`},
	{modelFile(`{"type":"BPE","vocab":{"` + strings.Repeat("a", 70000) + `":0},"merges":[]}`), "longer than 65536 bytes"},
	{file(`"normalizer":{"type":"Nope"}`), "normalizer Nope: unknown type"},
	{file(`"normalizer":{"type":"Replace","pattern":{"Regex":"("},"content":""}`), "normalizer Replace: pattern"},
	{file(`"normalizer":{"type":"Replace","pattern":{},"content":""}`), "neither"},
	{file(`"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAA"}`), "precompiled_charsmap"},
	{file(`"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////wAA"}`), "precompiled_charsmap"},
	{file(`"normalizer":{"type":"Precompiled","precompiled_charsmap":"?"}`), "normalizer Precompiled"},
	{file(`"normalizer":` + deepSequence), "nested"},
	{file(`"normalizer":{"type":"Sequence","normalizers":[` + strings.Repeat(`{"type":"NFC"},`, 200) + `{"type":"NFC"}]}`), "more than 128"},
	{file(`"normalizer":[]`), "not an object"},
	{file(`"pre_tokenizer":{"type":"Split","pattern":{"String":"a"},"behavior":"Sideways"}`), "Sideways"},
	{file(`"pre_tokenizer":{"type":"Metaspace","replacement":"ab"}`), "not one character"},
	{file(`"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"often"}`), "often"},
	{file(`"pre_tokenizer":{"type":"FixedLength","length":0}`), "not positive"},
	{file(`"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}}],"pair":[],"special_tokens":{}}`), `"x" is not listed`},
	{file(`"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B","type_id":0}}],"pair":[],"special_tokens":{}}`), "no sequence B"},
	{file(`"post_processor":{"type":"BertProcessing","sep":["x",-1],"cls":["y",0]}`), "id -1"},
	{file(`"decoder":{"type":"Strip","content":" ","start":-1,"stop":0}`), "out of range"},
	{file(`"added_tokens":[{"id":0}]`), "added token 0: content"},
	{file(`"added_tokens":[{"id":0,"content":"` + strings.Repeat("x", 2000) + `"}]`), "longer than 1024"},
	{file(`"truncation":{"max_length":4,"stride":9}`), "truncation"},
	{file(`"padding":{"pad_id":-3}`), "pad_id"},
}

func TestRefusedFiles(t *testing.T) {
	for _, c := range refusedFiles {
		tok, err := Load(Files{JSON: c.json})
		if err == nil {
			t.Errorf("%.120s: loaded %v, want an error with %q", c.json, tok != nil, c.want)
		} else if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
			t.Errorf("%.120s: error %q, want one line with %q", c.json, err, c.want)
		}
	}
	if _, err := Load(Files{}); err == nil || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Errorf("no files: %v", err)
	}
}

// Truncation and padding of the file are for batches: they change nothing here.
func TestTruncationAndPaddingAreIgnored(t *testing.T) {
	tok, err := Load(Files{JSON: file(`"truncation":{"direction":"Right","max_length":1,"strategy":"LongestFirst","stride":0},
		"padding":{"strategy":{"Fixed":9},"direction":"Right","pad_to_multiple_of":null,"pad_id":1,"pad_type_id":0,"pad_token":"b"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := tok.Encode("abba", true); err != nil || fmt.Sprint(ids) != "[2 1 0]" {
		t.Errorf("got %v, %v", ids, err)
	}
}

// Old files lack the type of the model.
func TestModelsWithoutType(t *testing.T) {
	for _, c := range []struct{ model, want string }{
		{`{"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`, "[2]"},
		{`{"vocab":{"a":0,"##b":1,"[UNK]":2},"unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":9}`, "[0 1]"},
		{`{"vocab":{"ab":5,"?":6},"unk_token":"?"}`, "[5]"},
		{`{"vocab":[["a",-1],["b",-1],["ab",-1.5]],"unk_id":null}`, "[2]"},
	} {
		tok, err := Load(Files{JSON: []byte(`{"model":` + c.model + `}`)})
		if err != nil {
			t.Errorf("%s: %v", c.model, err)
			continue
		}
		if ids, err := tok.Encode("ab", true); err != nil || fmt.Sprint(ids) != c.want {
			t.Errorf("%s: %v, %v, want %s", c.model, ids, err, c.want)
		}
	}
}

// A text that a model cannot encode is an error, not a guess.
func TestUnencodableText(t *testing.T) {
	for _, model := range []string{
		`{"type":"WordLevel","vocab":{"ab":5},"unk_token":"?"}`,
		`{"type":"WordPiece","vocab":{"ab":5},"unk_token":"?","continuing_subword_prefix":"##","max_input_chars_per_word":9}`,
		`{"type":"Unigram","vocab":[["a",-1]]}`,
		`{"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"?"}`,
	} {
		tok, err := Load(Files{JSON: []byte(`{"model":` + model + `}`)})
		if err != nil {
			t.Errorf("%s: %v", model, err)
			continue
		}
		if ids, err := tok.Encode("x", true); err == nil {
			t.Errorf("%s: %v, want an error", model, ids)
		}
	}
}

// Replacements that feed each other must end in an error, not in all of the memory.
func TestGrowingTexts(t *testing.T) {
	doubling := strings.Repeat(`{"type":"Replace","pattern":{"String":"a"},"content":"aa"},`, 99) + `{"type":"Fuse"}`
	tok, err := Load(Files{JSON: file(`"normalizer":{"type":"Sequence","normalizers":[` + strings.ReplaceAll(doubling, `{"type":"Fuse"}`, `{"type":"NFC"}`) + `]},
		"decoder":{"type":"Sequence","decoders":[` + doubling + `]}`)})
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := tok.Encode("a", false); err == nil {
		t.Errorf("%d ids, want an error", len(ids))
	}
	if text, err := tok.Decode([]int32{0}, false); err == nil {
		t.Errorf("%d bytes of text, want an error", len(text))
	}
	if b := tok.TokenBytes(0); len(b) > maxDecoded {
		t.Errorf("TokenBytes gives %d bytes", len(b))
	}
	long, err := Load(Files{JSON: file(`"normalizer":{"type":"Replace","pattern":{"String":""},"content":"` + strings.Repeat("x", 1<<16) + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := long.Encode(strings.Repeat("b", 1<<16), false); err == nil {
		t.Errorf("%d ids, want an error", len(ids))
	}
}

// Without tokenizer.json, vocab.json and merges.txt (or vocab.txt) give the same tokenizer.
func TestVocabularyFiles(t *testing.T) {
	for _, name := range []string{"gpt2", "gptj", "clip", "qwen2", "bart", "tokenizer-gpt2", "tokenizer-clip", "tokenizer-bert"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("../../../shared/checkpoints", name)
			if _, err := os.Stat(dir); err != nil {
				t.Skip("shared checkpoints are absent")
			}
			_, files, err := LoadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			files.JSON = nil
			tok, err := Load(files)
			if err != nil {
				t.Fatal(err)
			}
			_, g := loadGolden(t, dir)
			checkGolden(t, tok, g)
		})
	}
}

func TestVocabularyFilesRefused(t *testing.T) {
	vocab, merges := []byte(`{"a":0,"b":1,"ab":2}`), []byte("#version: 0.2\na b\n")
	for _, c := range []struct {
		files Files
		want  string
	}{
		{Files{Vocab: vocab, Merges: merges, Config: []byte(`{"tokenizer_class":"LlamaTokenizer"}`)}, "LlamaTokenizer"},
		{Files{Vocab: vocab, Merges: []byte("a  b"), Config: []byte(`{}`)}, "merges.txt line 1"},
		{Files{Vocab: vocab, Config: []byte(`{"tokenizer_class":"GPT2Tokenizer"}`)}, "merges.txt is missing"},
		{Files{Vocab: vocab, Merges: merges, Config: []byte(`[]`)}, "tokenizer_config.json"},
		{Files{Vocab: vocab, Merges: merges, SpecialTokensMap: []byte(`{"eos_token":[]}`)}, "special_tokens_map.json"},
	} {
		if _, err := Load(c.files); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
	if _, err := Load(Files{Vocab: vocab, Merges: merges}); err != nil {
		t.Errorf("plain vocab.json and merges.txt: %v", err)
	}
}

// Tokens that only tokenizer_config.json lists are added, where their id is the one that they would get.
func TestTokensOfConfig(t *testing.T) {
	config := map[string]any{"added_tokens_decoder": map[string]any{
		"3": map[string]any{"content": "<x>", "special": true},
		"9": map[string]any{"content": "<far>", "special": true},
		"1": map[string]any{"content": "b", "special": false},
	}}
	data, _ := json.Marshal(config)
	tok, err := Load(Files{JSON: file(""), Config: data})
	if err != nil {
		t.Fatal(err)
	}
	if ids, _ := tok.Encode("ab<x><far>", true); fmt.Sprint(ids) != "[0 1 3 0]" { // b is cut out; of <far> only a is known
		t.Errorf("got %v", ids)
	}
	if !tok.IsSpecial(3) || tok.VocabSize() != 4 {
		t.Errorf("special %v, %d tokens", tok.IsSpecial(3), tok.VocabSize())
	}
}
