package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"llmc/internal/tokenizer"
)

// demoVocabulary is that of the bundled model.
var demoVocabulary = sync.OnceValue(func() *Vocabulary {
	tok, _, err := tokenizer.LoadDir("../../testdata/demo")
	if err != nil {
		panic(err)
	}
	end := int32(-1)
	for id := range int32(tok.VocabSize()) {
		if tok.IsSpecial(id) {
			end = id
		}
	}
	return NewVocabulary(tok.VocabSize(), func(id int32) Token {
		if tok.IsSpecial(id) {
			return Token{}
		}
		return Token{tok.TokenBytes(id), tok.FirstBytes(id)}
	}, []int32{end})
})

// closing are texts that bring values to an end; a walk that is long already takes them.
const closing = `"}],:0123456789-tfn1eausrl`

// write makes a text under a grammar of tokens that are drawn from those allowed. Complete tells that it came to an end.
func write(r *rand.Rand, g *Grammar) (text []byte, complete bool) {
	m := g.Start()
	for step := range 600 {
		allowed := m.Allowed(nil)
		var ids, closers []int32
		ends := false
		for id := range int32(g.v.size) {
			if allowed[id/32]>>(id%32)&1 == 0 {
				continue
			}
			if slices.Contains(g.v.ends, id) {
				ends = true
				continue
			}
			ids = append(ids, id)
			if t := g.v.tokens.at(id); len(t) == 1 && strings.IndexByte(closing, t[0]) >= 0 {
				closers = append(closers, id)
			}
		}
		if ends && (step > 40 || r.IntN(3) == 0) {
			return text, true
		}
		if len(closers) > 0 && (step > 40 || r.IntN(3) > 0) {
			slices.SortFunc(closers, func(a, b int32) int {
				return strings.IndexByte(closing, g.v.tokens.at(a)[0]) - strings.IndexByte(closing, g.v.tokens.at(b)[0])
			})
			ids = closers[:1+r.IntN(min(len(closers), 3))]
			if step > 200 {
				ids = closers[:1]
			}
		}
		id := ids[r.IntN(len(ids))]
		piece := g.v.tokens.at(id)
		if other, ok := g.v.firstText(id); ok && step == 0 {
			piece = other
		}
		text = append(text, piece...)
		switch m.Accept(id) {
		case Complete:
			return text, true
		case Stuck, Astray:
			panic(fmt.Sprintf("no way on behind %q", text))
		}
	}
	return text, false
}

// validator reads a schema with other software.
func validator(t *testing.T, source string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	if object, ok := doc.(map[string]any); ok && !strings.Contains(fmt.Sprint(object["$schema"]), "json-schema.org") {
		delete(object, "$schema") // dialects that nobody else knows
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	v, err := c.Compile("schema.json")
	if err != nil {
		t.Fatalf("%v in %s", err, source)
	}
	return v
}

func valid(v *jsonschema.Schema, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return v.Validate(value)
}

// checkWritten has texts written under a schema and compares them with other software. It returns how many came to an end.
func checkWritten(t *testing.T, r *rand.Rand, v *Vocabulary, source string, times int) (written int) {
	t.Helper()
	g, err := newTest(v, Source{Kind: JSONSchema, Text: source, Compact: r.IntN(2) == 0})
	if err != nil {
		t.Errorf("%v: %s", err, source)
		return 0
	}
	other := validator(t, source)
	for range times {
		text, complete := write(r, g)
		if !complete {
			continue
		}
		written++
		if err := valid(other, text); err != nil {
			t.Errorf("%s\nunder %s\n%v", text, source, err)
		}
	}
	return written
}

// TestWrittenIsValid writes under schemas that have every supported keyword, and under random ones.
func TestWrittenIsValid(t *testing.T) {
	sources, err := os.ReadFile("testdata/schemas.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for source := range strings.Lines(string(sources)) {
		if checkWritten(t, r, demoVocabulary(), strings.TrimSpace(source), 6) == 0 {
			t.Errorf("nothing came to an end under %s", source)
		}
	}
	written := 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		written += checkWritten(t, r, demoVocabulary(), randomSchema(r, 3), 2)
	}
	if written < 60 {
		t.Errorf("only %d of 80 texts came to an end", written)
	}
}

// randomSchema is a schema in which any value can be written.
func randomSchema(r *rand.Rand, depth int) string {
	switch n := r.IntN(8); {
	case n == 0:
		return fmt.Sprintf(`{"type":"integer","minimum":%d,"maximum":%d}`, -r.IntN(1000), r.IntN(1000))
	case n == 1:
		low := float64(r.IntN(2000)-1000) / 8
		return fmt.Sprintf(`{"type":"number","exclusiveMinimum":%g,"maximum":%g}`, low, low+float64(1+r.IntN(100))/16)
	case n == 2:
		return fmt.Sprintf(`{"type":["string","null"],"minLength":%d,"maxLength":%d}`, r.IntN(3), 3+r.IntN(6))
	case n == 3:
		return []string{`{"enum":["a\"b",1.5,null,{"x":[1]}]}`, `{"type":"string","pattern":"^[a-cé]{2,4}$|x"}`, `{"type":"string","format":"date"}`, `{"const":"\u00e9\n"}`}[r.IntN(4)]
	case depth == 0 || n == 4:
		return `{"type":"boolean"}`
	case n == 5:
		return fmt.Sprintf(`{"type":"array","items":%s,"minItems":%d,"maxItems":%d}`, randomSchema(r, depth-1), r.IntN(2), 2+r.IntN(2))
	case n == 6:
		return fmt.Sprintf(`{"anyOf":[%s,%s]}`, randomSchema(r, depth-1), randomSchema(r, depth-1))
	}
	return fmt.Sprintf(`{"type":"object","properties":{"a":%s,"b\"":%s,"c":%s},"required":["b\""],"additionalProperties":%v,"maxProperties":%d}`,
		randomSchema(r, depth-1), randomSchema(r, depth-1), randomSchema(r, depth-1), r.IntN(2) == 0, 1+r.IntN(4))
}

// suiteShare is how much of the suite's valid instances has to be taken, apart from those that are valid since formats say nothing: here they are kept to.
const suiteShare = 0.95

// readRefused lists the valid instances of the suite that are not taken, with the reason: "further" properties or items where the schema names some and says nothing of others, the
// "order" of properties, a "spelling" of numbers or characters, a "format" that is kept to, a "vocabulary" without keywords.
func readRefused(t *testing.T) map[string]string {
	data, err := os.ReadFile("testdata/suite_refused.txt")
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]string{}
	for line := range strings.Lines(string(data)) {
		reason, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		refused[name] = reason
	}
	return refused
}

// TestSchemaSuite writes under the schemas of JSON-Schema-Test-Suite, in a directory that LLMC_SCHEMA_SUITE names, wants its invalid instances to be refused, its valid ones to be taken but
// for those that are listed, and says what was supported. Refusals have to name a keyword or the like.
func TestSchemaSuite(t *testing.T) {
	dir := os.Getenv("LLMC_SCHEMA_SUITE")
	if dir == "" {
		t.Skip("LLMC_SCHEMA_SUITE names no directory; make test-clients does")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "tests/draft2020-12/*.json"))
	if len(files) == 0 {
		t.Fatalf("no suite in %s", dir)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var schemas, supported, written, right, valids, taken int
	refused := readRefused(t)
	for _, file := range files {
		var groups []suiteGroup
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, &groups)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range groups {
			schemas++
			g, err := newTest(demoVocabulary(), Source{Kind: JSONSchema, Text: string(group.Schema)})
			var own *Error
			if err != nil {
				if !errors.As(err, &own) && !errors.Is(err, ErrTooLarge) {
					t.Errorf("%s: %s: %v", filepath.Base(file), group.Description, err)
				}
				t.Logf("%s: %s: %v", filepath.Base(file), group.Description, err)
				continue
			}
			supported++
			v, n := checkInstances(t, filepath.Base(file), g, &group, refused)
			valids, taken = valids+v, taken+n
			other := validator(t, string(group.Schema))
			for range 5 {
				text, complete := write(r, g)
				if !complete {
					continue
				}
				if written++; valid(other, text) == nil {
					right++
				} else {
					t.Errorf("%s: %s: %s: %v", filepath.Base(file), group.Description, text, valid(other, text))
				}
			}
		}
	}
	counts := map[string]int{}
	for _, reason := range refused {
		counts[reason]++
	}
	if share := float64(taken) / float64(valids-counts["format"]); share < suiteShare {
		t.Errorf("%.3f of the valid instances are taken, want %.2f", share, suiteShare)
	}
	t.Logf("not taken: %v", counts)
	t.Logf("%d of %d schemas supported; %d of %d written texts valid; %d of %d valid instances of supported schemas taken", supported, schemas, right, written, taken, valids)
}

// checkInstances wants no invalid instance to be taken and every valid one that is not listed, and counts those that are valid and those taken of them.
func checkInstances(t *testing.T, file string, g *Grammar, group *suiteGroup, refused map[string]string) (valids, taken int) {
	t.Helper()
	for _, test := range group.Tests {
		var compact bytes.Buffer
		if err := json.Compact(&compact, test.Data); err != nil {
			t.Fatal(err)
		}
		takes := g.Matches(compact.Bytes())
		if takes && !test.Valid {
			t.Errorf("%s: %s: %s: takes %s", file, group.Description, test.Description, &compact)
		}
		if test.Valid {
			valids++
		}
		name := fmt.Sprintf("%s: %s: %s", file, group.Description, test.Description)
		switch listed := refused[name] != ""; {
		case takes && test.Valid:
			taken++
			if listed {
				t.Errorf("%s: takes %s, which is listed as refused", name, &compact)
			}
		case test.Valid && !listed:
			t.Errorf("%s: does not take %s", name, &compact)
		}
	}
	return valids, taken
}

type suiteGroup struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}
