package tokenizer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// largeTokenizer makes a byte-level BPE tokenizer with so many tokens, as large as those of current models.
func largeTokenizer(t testing.TB, tokens int) []byte {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	var words []string
	for _, s := range alphabet.spelled {
		words = append(words, s)
	}
	known := map[string]bool{}
	var merges []string
	for len(words) < tokens {
		a, b := words[min(r.IntN(len(words)), r.IntN(len(words)))], words[min(r.IntN(len(words)), r.IntN(len(words)), r.IntN(len(words)))]
		if joined := a + b; len(joined) < 40 && !known[joined] {
			known[joined] = true
			words = append(words, joined)
			merges = append(merges, a+" "+b)
		}
	}
	vocab := map[string]int{}
	for i, w := range words {
		vocab[w] = i
	}
	model := map[string]any{"type": "BPE", "vocab": vocab, "merges": merges}
	split := map[string]any{"type": "Sequence", "pretokenizers": []any{
		map[string]any{"type": "Split", "behavior": "Isolated", "invert": false, "pattern": map[string]string{
			"Regex": `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`}},
		map[string]any{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
	}}
	data, err := json.Marshal(map[string]any{"version": "1.0", "model": model, "pre_tokenizer": split, "decoder": map[string]string{"type": "ByteLevel"}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// benchText is prose with some code, numbers and other scripts.
func benchText() string {
	const sample = "The quick brown fox, it's said, jumped over 1234 lazy dogs; größer als «früher».\n" +
		"func main() {\n\tfmt.Println(\"hello\", 42)\n}\n日本語の文章もあります。Привет, мир! Counting internationalization 😀\n"
	var b strings.Builder
	for i := range 800 {
		fmt.Fprintf(&b, "%s word%d some%dthing ", sample, i*7919%1000, i*104729%5000)
	}
	return b.String()
}

func BenchmarkEncode(b *testing.B) {
	dirs, _ := filepath.Glob("../../../shared/checkpoints/tokenizer-*")
	if extra := os.Getenv("TOKENIZER_BENCH_DIR"); extra != "" {
		dirs = append(dirs, extra)
	}
	text := benchText()
	for _, dir := range dirs {
		tok, _, err := LoadDir(dir)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(filepath.Base(dir), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var ids []int32
			for b.Loop() {
				ids, _ = tok.AppendEncode(ids[:0], text, false)
			}
		})
	}
}

func BenchmarkLoad150k(b *testing.B) {
	file := largeTokenizer(b, 150000)
	for b.Loop() {
		if _, err := Load(Files{JSON: file}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshal150k(b *testing.B) {
	tok, err := Load(Files{JSON: largeTokenizer(b, 150000)})
	if err != nil {
		b.Fatal(err)
	}
	data, err := tok.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		b.ReportMetric(float64(len(data)), "bytes")
		for b.Loop() {
			if _, err := Unmarshal(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load-and-first-encode", func(b *testing.B) {
		for b.Loop() {
			tok, _ := Unmarshal(data)
			if _, err := tok.Encode("Hello world", true); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkStream(b *testing.B) {
	tok, _ := loadGolden(b, "testdata/llama-gqa")
	ids, err := tok.Encode(benchText(), false)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	s := tok.NewStream(true)
	for i := 0; b.Loop(); i++ {
		s.Next(ids[i%len(ids)])
	}
}
