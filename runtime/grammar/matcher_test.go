package grammar

import (
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestKnownStatesAllocateNothing wants masks and steps of states that have been met to take no memory.
func TestKnownStatesAllocateNothing(t *testing.T) {
	g, err := newTest(demoVocabulary(), Source{Kind: JSONObject})
	if err != nil {
		t.Fatal(err)
	}
	<-g.prepared
	var ids []int32 // of {"a":"a"
	for _, c := range `{"a":"a"` {
		for id := range int32(g.v.size) {
			if string(g.v.tokens.at(id)) == string(c) {
				ids = append(ids, id)
				break
			}
		}
	}
	m := g.Start()
	begin := *m
	if n := testing.AllocsPerRun(10, func() {
		*m = begin
		for i := range ids {
			if m.Allowed(ids[i:i+1]) == nil || m.Allowed(nil) == nil || m.Accept(ids[i]) != Open {
				t.Error("the text is not allowed")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestForgottenStatesComeBack wants outputs to go on as before when all states have been dropped.
func TestForgottenStatesComeBack(t *testing.T) {
	v, middle, _ := smallVocabulary(rand.New(rand.NewPCG(1, 1)), "()ab", 100, false)
	g, err := newTest(v, Source{Kind: EBNF, Text: `root ::= "(" root ")" root | [ab]`})
	if err != nil {
		t.Fatal(err)
	}
	m := g.Start()
	for i, c := range strings.Repeat("(", 30) + "a" + strings.Repeat(")b", 29) {
		if i%7 == 3 {
			g.walker.forget()
		}
		if p := m.Accept(1 + int32(c)); p != Open {
			t.Fatalf("byte %d (%q): %v", i, middle[1+c], p)
		}
	}
	if m.Accept(1+')') != Open || m.Accept(1+'a') != Complete {
		t.Error("the last call does not end")
	}
}

// TestCompilerKeeps wants a description to be compiled once while it is among those used last, and an error to be kept as well.
func TestCompilerKeeps(t *testing.T) {
	c := NewCompiler(func() *Vocabulary { return fuzzed() })
	compile := func(text string) *Grammar {
		g, err := c.Compile(Source{Kind: Regex, Text: text})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	first := compile("a")
	if compile("a") != first {
		t.Error("compiled twice")
	}
	for i := range heldGrammars {
		compile(strings.Repeat("b", i+1))
	}
	if compile("a") == first {
		t.Error("kept for ever")
	}
	for i := range byte(20) {
		e := c.entry([sha256.Size]byte{i})
		e.grammar = &Grammar{walker: &walker{program: &program{bytes: heldPrograms / 10}}}
		c.weigh(e)
	}
	total := int64(0)
	for at := c.recent.Front(); at != nil; at = at.Next() {
		total += at.Value.(*entry).bytes
	}
	if total > heldPrograms || total < heldPrograms/2 || len(c.kept) != c.recent.Len() {
		t.Errorf("%d grammars of %d bytes are kept", c.recent.Len(), total)
	}
	if _, err := c.Compile(Source{Kind: Regex, Text: "(a|b)*a(a|b){100}"}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
	if g, err := c.Compile(Source{}); g != nil || err != nil {
		t.Error("nothing is a description")
	}
}

// TestLookAhead compares expressions that look ahead at their beginning with what they say.
func TestLookAhead(t *testing.T) {
	for _, c := range []struct {
		kind           Kind
		text           string
		takes, refuses []string
	}{
		{JSONSchema, `{"type":"string","pattern":"^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"}`, []string{`"1.5"`, `"-.5"`, `"007"`}, []string{`""`, `"."`, `"+"`, `"-."`, `"a"`}},
		{JSONSchema, `{"enum":["ab","b","ba"],"pattern":"^(?!a)(?=.*a).*"}`, []string{`"ba"`}, []string{`"ab"`, `"b"`}},
		{Regex, `(?=.*[0-9])(?!.*[(\])])[a-z0-9()\]]+`, []string{"a1", "1"}, []string{"a", "a)1", "1]", ""}},
		{Regex, `(?!a|b)(c|d)`, []string{"c", "d"}, []string{"a", "b"}},
	} {
		g, err := newTest(demoVocabulary(), Source{Kind: c.kind, Text: c.text})
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		for _, s := range c.takes {
			if !g.Matches([]byte(s)) {
				t.Errorf("%s does not take %s", c.text, s)
			}
		}
		for _, s := range c.refuses {
			if g.Matches([]byte(s)) {
				t.Errorf("%s takes %s", c.text, s)
			}
		}
	}
	for _, s := range []string{`a(?!b)c`, `(?!a)b|c`, `(?!a)*b`, `(?!a`, `(?<!a)b`} {
		if _, err := newTest(demoVocabulary(), Source{Kind: Regex, Text: s}); err == nil {
			t.Errorf("%s is read, though it is not supported", s)
		}
	}
}
