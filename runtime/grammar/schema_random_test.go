package grammar

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// instances are values that random schemas are asked about.
var instances = []string{
	`null`, `true`, `0`, `1`, `2`, `-3`, `2.5`, `""`, `"a"`, `"ab"`, `"bcd"`, `[]`, `[1]`, `["a",1]`, `[1,2,3]`, `[null,null]`, `[[1],"b"]`,
	`{}`, `{"a":1}`, `{"a":"a"}`, `{"b":2}`, `{"a":1,"b":2}`, `{"a":null,"b":"a"}`, `{"a":1,"b":2,"c":3}`, `{"c":[]}`, `{"a":{"a":1}}`, `{"ab":0}`,
}

// randomCombination is a schema of keywords that say something about each other.
func randomCombination(r *rand.Rand, depth int) string {
	sub := func() string { return randomCombination(r, depth-1) }
	leaves := []string{`true`, `{"type":"integer"}`, `{"type":["string","null"]}`, `{"minimum":1}`, `{"maximum":2,"type":"number"}`, `{"const":1}`, `{"enum":["a",2,null,[1]]}`, `{"maxLength":1}`,
		`{"pattern":"b"}`, `{"required":["a"]}`, `{"multipleOf":2}`, `{"maxItems":1}`, `{"const":{"a":1}}`, `{"minProperties":1}`, `{"type":"object"}`, `{"type":"array"}`, `false`}
	if depth == 0 {
		return leaves[r.IntN(len(leaves))]
	}
	rows := []func() string{
		func() string { return `"not":` + sub() },
		func() string { return fmt.Sprintf(`"anyOf":[%s,%s]`, sub(), sub()) },
		func() string { return fmt.Sprintf(`"oneOf":[%s,%s]`, sub(), sub()) },
		func() string { return fmt.Sprintf(`"allOf":[%s,%s]`, sub(), sub()) },
		func() string { return fmt.Sprintf(`"if":%s,"then":%s,"else":%s`, sub(), sub(), sub()) },
		func() string { return fmt.Sprintf(`"properties":{"a":%s,"b":%s}`, sub(), sub()) },
		func() string { return fmt.Sprintf(`"additionalProperties":%s`, sub()) },
		func() string { return fmt.Sprintf(`"patternProperties":{"^a":%s}`, sub()) },
		func() string { return `"propertyNames":{"maxLength":1}` },
		func() string { return `"required":["b"]` },
		func() string { return `"dependentRequired":{"a":["b"]}` },
		func() string { return fmt.Sprintf(`"dependentSchemas":{"b":%s}`, sub()) },
		func() string { return fmt.Sprintf(`"items":%s`, sub()) },
		func() string { return fmt.Sprintf(`"prefixItems":[%s]`, sub()) },
		func() string {
			return fmt.Sprintf(`"contains":%s,"minContains":%d,"maxContains":2`, sub(), r.IntN(2))
		},
		func() string { return `"unevaluatedProperties":false` },
		func() string { return fmt.Sprintf(`"unevaluatedItems":%s`, sub()) },
		func() string { return `"type":["object","array","integer"]` },
	}
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	var parts []string
	for i := range 1 + r.IntN(3) {
		parts = append(parts, rows[i]())
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// TestRandomCombinations compares schemas whose keywords say something about each other with other software: what is written and what is taken is valid.
func TestRandomCombinations(t *testing.T) {
	taken, compiled := 0, 0
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 7))
		source := randomCombination(r, 2)
		g, err := newTest(fuzzed(), Source{Kind: JSONSchema, Text: source, Compact: true})
		if err != nil {
			continue // nothing is valid, or it is refused
		}
		compiled++
		other := validator(t, source)
		for _, text := range instances {
			if !g.Matches([]byte(text)) {
				continue
			}
			taken++
			if err := valid(other, []byte(text)); err != nil {
				t.Errorf("takes %s\nunder %s\n%v", text, source, err)
			}
		}
		text, complete := write(r, g)
		if err := valid(other, text); complete && json.Valid(text) && err != nil {
			t.Errorf("writes %s\nunder %s\n%v", text, source, err)
		}
	}
	if compiled < 60 || taken < 320 {
		t.Errorf("only %d schemas were compiled, and %d instances taken", compiled, taken)
	}
}
