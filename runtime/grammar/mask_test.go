package grammar

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

const endToken = 0

// smallVocabulary has an end, texts of one to four letters of an alphabet (some of them twice), and all single bytes. With spaces, the first token of a text loses one.
func smallVocabulary(r *rand.Rand, alphabet string, more int, spaces bool) (*Vocabulary, [][]byte, [][]byte) {
	middle, first := [][]byte{nil}, [][]byte{nil}
	add := func(text []byte) {
		middle, first = append(middle, text), append(first, text)
		if spaces && text[0] == ' ' {
			first[len(first)-1] = text[1:]
		}
	}
	for b := range 256 {
		add([]byte{byte(b)})
	}
	for range more {
		text := make([]byte, 1+r.IntN(5))
		for i := range text {
			text[i] = alphabet[r.IntN(len(alphabet))]
		}
		add(text)
	}
	v := NewVocabulary(len(middle), func(id int32) Token { return Token{middle[id], first[id]} }, []int32{endToken})
	return v, middle, first
}

// randomRules is a grammar of some rules in GBNF that do not begin with calls.
func randomRules(r *rand.Rand) string {
	var body func(depth int) string
	names := []string{"root", "one", "two"}
	body = func(depth int) string {
		switch n := r.IntN(9); {
		case depth == 0 || n < 2:
			return []string{`"a"`, `"b"`, `"ab"`, `[ab]`, `" "`, `[^b]`, `"é"`}[r.IntN(7)]
		case n < 4:
			return body(depth-1) + " " + body(depth-1)
		case n < 6:
			return "(" + body(depth-1) + " | " + body(depth-1) + ")"
		case n < 7:
			return "(" + body(depth-1) + ")" + []string{"*", "+", "?", "{1,3}"}[r.IntN(4)]
		}
		return []string{`"a"`, `"("`, `"b"`}[r.IntN(3)] + " " + names[r.IntN(len(names))] + " " + body(depth-1)
	}
	source := ""
	for _, name := range names {
		source += fmt.Sprintf("%s ::= %s | %s\n", name, body(2), body(3))
	}
	return source
}

// TestMasksAreWhatEveryTokenSays compares masks with what comes of trying every token of a vocabulary by itself.
func TestMasksAreWhatEveryTokenSays(t *testing.T) {
	sources := []Source{
		{Kind: JSONObject}, {Kind: JSONSchema, Text: `{"properties":{"a":{"enum":["ab","b","ba"]},"b":{"$ref":"#"},"ab":{"type":"number"}}}`},
		{Kind: JSONSchema, Text: `{"type":"string","maxLength":3}`}, {Kind: JSONSchema, Text: `{"items":{"type":"string","pattern":"^[ab é]{1,4}$|[^a]b"}}`},
		{Kind: JSONSchema, Text: `{"properties":{"a":true,"ab":true},"additionalProperties":{"type":"string","minLength":2}}`}, {Kind: Regex, Text: `[^b]{0,3}(é|\p{L}a){0,2}b.*`},
		{Kind: Regex, Text: `(ab|a)*(ba?){2,3}( a| )*`}, {Kind: Choice, Choices: []string{"a", "ab", "abba", "é"}},
	}
	for seed := range uint64(18) {
		r := rand.New(rand.NewPCG(seed, 1))
		v, middle, first := smallVocabulary(r, "ab ()\"{}:,\xc3\xa9", 200, seed%2 == 0)
		s := Source{Kind: EBNF, Text: randomRules(r)}
		if int(seed) < len(sources) {
			s = sources[seed]
		}
		g, err := newTest(v, s)
		if err != nil {
			continue // a rule without an end, or one that calls itself first
		}
		for range 4 {
			compareMasks(t, r, g, middle, first)
		}
	}
}

func newTest(v *Vocabulary, s Source) (*Grammar, error) {
	return NewCompiler(func() *Vocabulary { return v }).Compile(s)
}

func compareMasks(t *testing.T, r *rand.Rand, g *Grammar, middle, first [][]byte) {
	t.Helper()
	m := g.Start()
	anew := newWalker(g.walker.program, g.v)
	var sofar []byte
	for step := range 12 {
		texts := middle
		if step == 0 {
			texts = first
		}
		got := m.Allowed(nil)
		var allowed []int32
		for id := range int32(len(texts)) {
			want := id == endToken && g.Matches(sofar)
			if id != endToken && len(texts[id]) > 0 {
				want = anew.read(anew.begin(0), append(slices.Clone(sofar), texts[id]...)) != dead
			}
			if has := got[id/32]>>(id%32)&1 == 1; has != want {
				t.Fatalf("behind %q, token %d (%q): allowed %v, want %v", sofar, id, texts[id], has, want)
			}
			if want && id != endToken {
				allowed = append(allowed, id)
			}
		}
		id := allowed[r.IntN(len(allowed))]
		sofar = append(sofar, texts[id]...)
		if p := m.Accept(id); p != Open {
			if (p == Complete) != g.Matches(sofar) {
				t.Fatalf("behind %q: %v", sofar, p)
			}
			return
		}
	}
}
