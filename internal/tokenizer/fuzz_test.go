package tokenizer

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// try encodes, decodes and marshals: nothing may panic, and texts must be UTF-8.
func try(t *testing.T, tok *Tokenizer, text string) {
	ids, err := tok.Encode(text, true)
	if err != nil {
		return
	}
	if _, _, err := tok.EncodePair(text, text, true); err != nil && !strings.Contains(err.Error(), "template") {
		t.Fatalf("%q encodes alone but not as a pair: %v", text, err)
	}
	known := ids[:0]
	for _, id := range ids { // a post-processor may add ids that the vocabulary lacks
		if _, ok := tok.Token(id); ok {
			known = append(known, id)
		}
	}
	decoded, err := tok.Decode(known, false)
	if err != nil {
		return
	}
	s := tok.NewStream(false)
	var joined strings.Builder
	for _, id := range known {
		tok.TokenBytes(id)
		chunk := s.Next(id)
		if !utf8.ValidString(chunk) {
			t.Fatalf("chunk %q of %v", chunk, known)
		}
		joined.WriteString(chunk)
	}
	joined.WriteString(s.Flush())
	if joined.String() != decoded {
		t.Fatalf("stream of %v gives %q, Decode %q", known, joined.String(), decoded)
	}
}

// smallFiles are tokenizer.json of all models and of most other parts, as small as they can be: large seeds are slow
// to fuzz.
var smallFiles = []string{
	`{"version":"1.0","added_tokens":[{"id":3,"content":"<x>","lstrip":true,"special":true}],
	"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"Regex":"\\s+"},"content":"_"}]},
	"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first"},
	"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{}},
	"decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
	"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"_":9},"merges":["a b"],"unk_token":"_","fuse_unk":true}}`,
	`{"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:a|b)+?"},"behavior":"MergedWithNext","invert":true},{"type":"ByteLevel"}]},
	"decoder":{"type":"ByteLevel"},"model":{"vocab":{"a":0,"b":1,"\u0120":2,"ab":3},"merges":[["a","b"]]}}`,
	`{"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
	"post_processor":{"type":"BertProcessing","sep":["s",1],"cls":["c",2]},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
	"model":{"type":"WordPiece","vocab":{"a":0,"##b":1,"?":2},"unk_token":"?","continuing_subword_prefix":"##","max_input_chars_per_word":9}}`,
	`{"normalizer":{"type":"Precompiled","precompiled_charsmap":"CAAAAAAAAAAAAAAAeAA="},"pre_tokenizer":{"type":"UnicodeScripts"},
	"model":{"type":"Unigram","vocab":[["?",0],["a",-1.5],["<0x20>",-2]],"unk_id":0,"byte_fallback":true}}`,
}

func FuzzLoad(f *testing.F) {
	for _, data := range smallFiles {
		f.Add([]byte(data), []byte(`{"added_tokens_decoder":{"3":{"content":"<x>","lstrip":true,"special":true}}}`))
	}
	f.Fuzz(func(t *testing.T, data, config []byte) {
		if len(config) == 0 {
			config = nil
		}
		tok, err := Load(Files{JSON: data, Config: config})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("error of several lines: %v", err)
			}
			return
		}
		try(t, tok, "a b\u0301 <x>12\n")
	})
}

func FuzzEncodeDecode(f *testing.F) {
	var toks []*Tokenizer
	for _, dir := range []string{"gpt2", "llama-gqa", "bert-minilm", "clip", "siglip"} {
		tok, _, err := LoadDir("testdata/" + dir)
		if err != nil {
			f.Fatal(err)
		}
		toks = append(toks, tok)
	}
	for _, text := range []string{"", "Hello  world\r\n", "日本語 e\u0301\u0323", "<s> </s><|endoftext|>", "a\xffb\xe4\xbd", "\u200d\U0001f468", "\x00\u2581 x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range toks {
			try(t, tok, text)
		}
		// GPT-2 keeps every byte of what is UTF-8.
		ids, err := toks[0].Encode(text, false)
		if err != nil {
			t.Fatal(err)
		}
		back, err := toks[0].Decode(ids, false)
		if err != nil || utf8.ValidString(text) && back != text {
			t.Fatalf("%q comes back as %q, %v", text, back, err)
		}
	})
}

func FuzzUnmarshal(f *testing.F) {
	for _, data := range smallFiles {
		tok, err := Load(Files{JSON: []byte(data)})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(marshal(f, tok))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Unmarshal(data)
		if err != nil {
			return
		}
		try(t, tok, "a b\u0301 <x>12\n")
		again, err := Unmarshal(marshal(t, tok))
		if err != nil {
			t.Fatalf("does not survive a second round: %v", err)
		}
		if !bytes.Equal(marshal(t, again), marshal(t, tok)) {
			t.Fatal("a second round gives other bytes")
		}
	})
}
