package grammar

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// fuzzed is a small vocabulary for all descriptions.
var fuzzed = sync.OnceValue(func() *Vocabulary {
	v, _, _ := smallVocabulary(rand.New(rand.NewPCG(1, 1)), "ab01 \"{}:,[]\xc3\xa9", 300, true)
	return v
})

// fuzz wants every description to be refused or to be kept to for some tokens, within the package's bounds.
func fuzz(f *testing.F, kind Kind, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := compileSource(fuzzed(), &Source{Kind: kind, Text: text})
		if err != nil {
			return
		}
		r, m := rand.New(rand.NewPCG(1, uint64(len(text)))), g.Start()
		for range 20 {
			allowed := m.Allowed(nil)
			if allowed == nil {
				t.Fatal("no mask though the output is open")
			}
			var ids []int32
			for id := range int32(g.v.size) {
				if id != endToken && allowed[id/32]>>(id%32)&1 == 1 {
					ids = append(ids, id)
				}
			}
			if len(ids) == 0 {
				t.Fatal("no token though the output is open")
			}
			switch m.Accept(ids[r.IntN(len(ids))]) {
			case Astray:
				t.Fatal("an allowed token is refused")
			case Complete, Stuck:
				return
			}
		}
	})
}

func FuzzRegex(f *testing.F) {
	fuzz(f, Regex, `a|b*`, `^(ab?){2,3}$`, `(?i)é[^\d]\w+`, `((a*)*)*`, `\bx`, `(a|b)*a(a|b){12}`)
}

func FuzzGrammar(f *testing.F) {
	fuzz(f, EBNF, "root ::= \"a\" root | [^b]{1,2}", "root ::= x*\nx ::= (\"a\" | )\n# c", "start: A [\"b\"i] /c+/~2..3\nA: \"a\" | B\nB: \"\\u00e9\" // c", "root ::= root \"a\"", "%ignore x")
}

func FuzzSchema(f *testing.F) {
	fuzz(f, JSONSchema, `{"type":"object","properties":{"a":{"$ref":"#"}},"required":["b"],"maxProperties":3}`, `{"anyOf":[{"minimum":0.5,"exclusiveMaximum":12},{"enum":["a",1]}]}`,
		`{"prefixItems":[true,false],"items":{"type":"string","pattern":"^a","maxLength":3}}`, `{"oneOf":[{"const":1},{"type":"null"}],"$defs":{"x":true}}`,
		`{"patternProperties":{"a":{"type":"integer","multipleOf":7}},"propertyNames":{"format":"date"}}`, `{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"enum":[{"x":[]}],"minProperties":1}}}`)
}
