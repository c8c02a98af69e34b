package tokenizer

import (
	"bytes"
	"os"
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

func FuzzLoad(f *testing.F) {
	for _, dir := range []string{"gpt2", "clip", "siglip"} {
		data, err := os.ReadFile("testdata/" + dir + "/tokenizer.json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte(nil))
	}
	f.Add(file(`"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"Regex":"\\s+"},"content":"_"}]},
		"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first"},
		"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{}},
		"decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}`),
		[]byte(`{"added_tokens_decoder":{"3":{"content":"<x>","lstrip":true,"special":true}}}`))
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
	for _, dir := range []string{"gpt2", "siglip"} {
		tok, _, err := LoadDir("testdata/" + dir)
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
