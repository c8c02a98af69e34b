package grammar

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"llmc/internal/tokenizer"
)

// largeVocabulary is one of 151,936 tokens as those of large models: bytes, words with and without a space, numbers, punctuation with JSON's among it, other scripts. With
// LLMC_TOKENIZER, a directory, it is that of a real tokenizer; with LLMC_TIKTOKEN, a file, that of tiktoken's ranks.
func largeVocabulary(b *testing.B) *Vocabulary {
	b.Helper()
	if name := os.Getenv("LLMC_TIKTOKEN"); name != "" {
		return rankedVocabulary(b, name)
	}
	if dir := os.Getenv("LLMC_TOKENIZER"); dir != "" {
		tok, _, err := tokenizer.LoadDir(dir)
		if err != nil {
			b.Fatal(err)
		}
		return NewVocabulary(tok.VocabSize(), func(id int32) Token {
			if tok.IsSpecial(id) {
				return Token{}
			}
			return Token{tok.TokenBytes(id), tok.FirstBytes(id)}
		}, []int32{int32(tok.VocabSize() - 1)})
	}
	texts := largeTexts(151_935)
	return NewVocabulary(len(texts)+1, func(id int32) Token {
		if int(id) == len(texts) {
			return Token{}
		}
		return Token{texts[id], texts[id]}
	}, []int32{int32(len(texts))})
}

// largeTexts makes so many different texts up.
func largeTexts(size int) [][]byte {
	r := rand.New(rand.NewPCG(1, 1))
	seen := map[string]bool{}
	texts := make([][]byte, 0, size)
	add := func(s string) {
		if !seen[s] && len(texts) < size {
			seen[s] = true
			texts = append(texts, []byte(s))
		}
	}
	for c := range 256 {
		add(string([]byte{byte(c)}))
	}
	for n := range 1000 {
		add(fmt.Sprint(n))
	}
	syllables := []string{"a", "ing", "ti", "on", "er", "re", "st", "en", "al", "co", "de", "pro", "un", "ly", "ment", "ch", "ou", "in", "te", "s", "ed", "Ma", "Se", "X"}
	marks := []string{`"`, `":`, `",`, `"}`, `{`, `}`, `[`, `]`, `, `, `: `, `."`, `\`, `\n`, "\n", "\n\n", "  ", "    ", `",\n`, `":"`, "(", ")", ";", "=", "->", "//", "<", ">"}
	letters := []rune("абвгдежзиклмнопрстуфхцчшщыэюяαβγδεζηθικλμνξοπρσςτυφχψω的一是不了在人有我他这中大来上国们")
	for len(texts) < size {
		s := ""
		if r.IntN(2) == 0 {
			s = " "
		}
		switch r.IntN(10) {
		case 0:
			for range 1 + r.IntN(3) {
				s += marks[r.IntN(len(marks))]
			}
		case 1, 2:
			for range 1 + r.IntN(4) {
				s += string(letters[r.IntN(len(letters))])
			}
		default:
			for range 1 + r.IntN(5) {
				s += syllables[r.IntN(len(syllables))]
			}
			if r.IntN(12) == 0 {
				s += marks[r.IntN(len(marks))]
			}
		}
		add(s)
	}
	return texts
}

type benchSource struct {
	name string
	Source
}

var benchSources = []benchSource{
	{"object", Source{Kind: JSONObject}},
	{"schema", Source{Kind: JSONSchema, Text: `{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},"email":{"type":"string","format":"email"},` +
		`"tags":{"type":"array","items":{"type":"string","maxLength":20}},"kind":{"enum":["small","large","other"]},"place":{"type":"object","properties":{"x":{"type":"number"},"y":{"type":"number"}},` +
		`"required":["x","y"]}},"required":["name","age","email","tags","kind","place"]}`}},
	{"maxLength", Source{Kind: JSONSchema, Text: `{"type":"array","items":{"type":"string","minLength":10,"maxLength":500}}`}},
	{"formats", Source{Kind: JSONSchema, Text: `{"type":"array","prefixItems":[{"format":"date-time","type":"string"},{"format":"email","type":"string"},{"format":"uuid","type":"string"},{"format":"uri","type":"string"},` +
		`{"format":"ipv6","type":"string"},{"format":"hostname","type":"string"}],"items":false,"minItems":6}`}},
	{"pattern", Source{Kind: JSONSchema, Text: `{"type":"array","items":{"type":"string","pattern":"^[A-Z][A-Za-z0-9 _-]{4,40}$"}}`}},
	{"unions", Source{Kind: JSONSchema, Text: `{"type":"array","items":{"oneOf":[{"type":"object","properties":{"kind":{"const":"circle"},"radius":{"type":"number"}},"required":["kind","radius"]},` +
		`{"type":"object","properties":{"kind":{"const":"text"},"value":{"type":"string"}},"required":["kind","value"]},{"type":"object","properties":{"kind":{"const":"group"},"of":{"$ref":"#"}},"required":["kind","of"]}]}}`}},
	{"maps", Source{Kind: JSONSchema, Text: `{"type":"object","properties":{"version":{"type":"integer"},"metadata":{"type":"object","additionalProperties":{"type":"string"}}},"required":["version","metadata"],` +
		`"additionalProperties":{"type":"array","items":{"type":["string","number","null"]}}}`}},
	{"enum", Source{Kind: JSONSchema, Text: `{"type":"array","items":{"enum":[` + manyNames(400) + `]}}`}},
	{"conditions", Source{Kind: JSONSchema, Text: `{"type":"object","properties":{"country":{"enum":["us","nl","de"]},"code":{"type":"string"},"note":{"type":"string","maxLength":80}},"required":["country","code"],` +
		`"if":{"properties":{"country":{"const":"us"}}},"then":{"properties":{"code":{"pattern":"^[0-9]{5}(-[0-9]{4})?$"}}},"else":{"properties":{"code":{"pattern":"^[0-9]{4} ?[A-Z]{2}$"}}}}`}},
	{"regex", Source{Kind: Regex, Text: `([A-Z][a-z]+ ){2,6}[0-9]{4}-[0-9]{2}-[0-9]{2}`}},
	{"gbnf", Source{Kind: EBNF, Text: "root ::= term ([-+*/] term)*\nterm ::= [0-9]{1,9} | \"(\" root \")\" | name \"(\" root (\", \" root)* \")\"\nname ::= [a-z]+"}},
}

// manyNames is a list of strings.
func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"item-%x-%d"`, i*7919, i)
	}
	return b.String()[1:]
}

// BenchmarkMask measures a mask and the step to the next one. "cold" are outputs of a grammar that has just been compiled for a vocabulary that has had no
// other, "new" those of one whose rules the vocabulary has met, "again" those of a grammar that has been used; times in µs of a token, sorted.
func BenchmarkMask(b *testing.B) {
	v := largeVocabulary(b)
	for _, s := range benchSources {
		for _, state := range []string{"cold", "new", "again"} {
			b.Run(s.name+"/"+state, func(b *testing.B) {
				var times []time.Duration
				var g *Grammar
				compiling, compiled := time.Duration(0), 0
				for i := range b.N {
					if g == nil || state != "again" {
						var err error
						if state == "cold" {
							v.forget()
						}
						begin := time.Now()
						if g, err = newTest(v, s.Source); err != nil {
							b.Fatal(err)
						}
						compiling += time.Since(begin)
						compiled++
						if state == "again" {
							for seed := range 20 {
								follow(rand.New(rand.NewPCG(uint64(seed), 5)), g, nil)
							}
						}
					}
					times = follow(rand.New(rand.NewPCG(uint64(i%20), 5)), g, times)
				}
				slices.Sort(times)
				micro := func(share float64) float64 {
					return float64(times[int(share*float64(len(times)-1))].Nanoseconds()) / 1000
				}
				total := time.Duration(0)
				for _, t := range times {
					total += t
				}
				b.ReportMetric(float64(total.Nanoseconds())/1000/float64(len(times)), "mean-µs")
				b.ReportMetric(micro(0.5), "median-µs")
				b.ReportMetric(micro(0.99), "p99-µs")
				b.ReportMetric(micro(1), "most-µs")
				b.ReportMetric(float64(compiling.Microseconds())/1000/float64(compiled), "compile-ms")
			})
		}
	}
}

// follow draws up to 100 tokens and appends the times of masks.
func follow(r *rand.Rand, g *Grammar, times []time.Duration) []time.Duration {
	m := g.Start()
	for range 100 {
		begin := time.Now()
		allowed := m.Allowed(nil)
		spent := time.Since(begin)
		id := int32(r.IntN(g.v.size))
		for allowed[id/32]>>(id%32)&1 == 0 || slices.Contains(g.v.ends, id) {
			if allowed[id/32] == 0 {
				id |= 31
			}
			id = (id + 1) % int32(g.v.size)
		}
		begin = time.Now()
		p := m.Accept(id)
		times = append(times, spent+time.Since(begin))
		if p != Open {
			break
		}
	}
	return times
}
