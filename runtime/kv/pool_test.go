package kv

import (
	"slices"
	"testing"
)

// sequence is a table with the tokens that were committed through it.
type sequence struct {
	Table
	tokens   []int32
	computed int // of these
}

// open starts a sequence and takes what is cached of tokens.
func open(p *Pool, key Key, tokens ...int32) (*sequence, int) {
	s := &sequence{tokens: tokens}
	s.Init(key, 0)
	return s, p.Match(&s.Table, tokens, true)
}

// write gives the sequence pages for all its tokens and commits them.
func (s *sequence) write(t testing.TB, p *Pool) {
	t.Helper()
	if !p.Reserve(&s.Table, len(s.tokens)) {
		t.Fatalf("no room for %d tokens, %d pages available", len(s.tokens), p.Available())
	}
	p.Commit(&s.Table, s.tokens)
}

func count(from, n int32) []int32 {
	s := make([]int32, n)
	for i := range s {
		s[i] = from + int32(i)
	}
	return s
}

func check(t *testing.T, p *Pool, held ...*sequence) {
	t.Helper()
	tables := make([]*Table, len(held))
	for i, s := range held {
		tables[i] = &s.Table
	}
	if err := p.Check(tables...); err != nil {
		t.Fatal(err)
	}
}

func TestMatchFindsFullPagesOfTheSameKey(t *testing.T) {
	p := New(16, 4, Options{})
	a, _ := open(p, Key{}, count(0, 10)...)
	a.write(t, p)
	p.Release(&a.Table)
	for _, c := range []struct {
		name   string
		key    Key
		tokens []int32
		want   int
	}{
		{"same", Key{}, count(0, 10), 8},
		{"longer", Key{}, count(0, 16), 8},
		{"one page", Key{}, count(0, 7), 4},
		{"shorter than a page", Key{}, count(0, 3), 0},
		{"other first page", Key{}, append([]int32{9}, count(1, 9)...), 0},
		{"other second page", Key{}, append(count(0, 4), 9, 9, 9, 9), 4},
		{"second page alone", Key{}, count(4, 4), 0},
		{"other salt", Key{Salt: "x"}, count(0, 10), 0},
		{"other variant", Key{Variant: 1}, count(0, 10), 0},
	} {
		b, got := open(p, c.key, c.tokens...)
		if got != c.want {
			t.Errorf("%s: %d positions, want %d", c.name, got, c.want)
		}
		check(t, p, b)
		p.Release(&b.Table)
	}
}

func TestCommitSharesWhatWasComputedTwice(t *testing.T) {
	p := New(8, 4, Options{})
	a, _ := open(p, Key{}, count(0, 9)...)
	b, _ := open(p, Key{}, count(0, 9)...)
	if !p.Reserve(&a.Table, 9) || !p.Reserve(&b.Table, 9) {
		t.Fatal("no room")
	}
	p.Commit(&a.Table, a.tokens)
	p.Commit(&b.Table, b.tokens)
	check(t, p, a, b)
	if !slices.Equal(a.Pages()[:2], b.Pages()[:2]) || a.Pages()[2] == b.Pages()[2] {
		t.Errorf("pages %v and %v: full pages are to be shared, the last one is not", a.Pages(), b.Pages())
	}
	if p.Held() != 4 {
		t.Errorf("%d pages held, want 4", p.Held())
	}
}

func TestLevel(t *testing.T) {
	p := New(16, 2, Options{})
	a, _ := open(p, Key{}, 1, 2, 3)
	b, _ := open(p, Key{}, 1, 2, 4)
	salted, _ := open(p, Key{Salt: "s"}, 1, 2, 3)
	if !a.Level(&b.Table) || a.Level(&salted.Table) {
		t.Error("empty tables are level if their keys are the same")
	}
	a.write(t, p)
	if a.Level(&b.Table) {
		t.Error("level although one is a page ahead")
	}
	b.write(t, p)
	salted.write(t, p)
	if !a.Level(&b.Table) || a.Level(&salted.Table) {
		t.Error("tables are level if their last full page is the same")
	}
}

func TestEvictionTakesLeavesLeastRecentlyUsedFirst(t *testing.T) {
	p := New(6, 2, Options{})
	old, _ := open(p, Key{}, 1, 2, 3, 4, 5, 6)
	old.write(t, p)
	p.Release(&old.Table)
	recent, _ := open(p, Key{}, 7, 8, 9, 10)
	recent.write(t, p)
	p.Release(&recent.Table)

	filler, _ := open(p, Key{}, 20, 21, 22) // one free page and one eviction
	filler.write(t, p)
	check(t, p, filler)
	for _, c := range []struct {
		tokens []int32
		want   int
	}{{[]int32{1, 2, 3, 4, 5, 6}, 4}, {[]int32{7, 8, 9, 10}, 4}} {
		s, got := open(p, Key{}, c.tokens...)
		if got != c.want {
			t.Errorf("%v: %d positions are left, want %d", c.tokens, got, c.want)
		}
		p.Release(&s.Table)
	}
}

func TestMatchedPagesAreNotEvicted(t *testing.T) {
	p := New(4, 2, Options{})
	a, _ := open(p, Key{}, 1, 2, 3, 4)
	a.write(t, p)
	p.Release(&a.Table)
	b, got := open(p, Key{}, 1, 2, 3, 4)
	if got != 4 || p.Available() != 2 {
		t.Fatalf("matched %d, %d available", got, p.Available())
	}
	c := &sequence{tokens: count(50, 6)}
	if p.Reserve(&c.Table, 6) {
		t.Fatal("reserved 3 pages of 2")
	}
	if len(c.Pages()) != 0 {
		t.Fatal("a refused reservation kept pages")
	}
	check(t, p, b)
}

// A hash brings candidates only: pages whose hashes are equal are told apart by parent and tokens.
func TestEqualHashesAreToldApart(t *testing.T) {
	p := New(8, 2, Options{})
	const hash = 42
	for i, c := range []struct {
		parent int32
		tokens []int32
		key    Key
	}{
		{none, []int32{1, 2}, Key{}},
		{none, []int32{2, 1}, Key{}},
		{none, []int32{1, 2}, Key{Salt: "s"}},
		{0, []int32{1, 2}, Key{}},
		{1, []int32{1, 2}, Key{}},
	} {
		n := int32(i)
		if got := p.find(hash, c.parent, &c.key, c.tokens); got != none {
			t.Errorf("case %d: found page %d before it was there", i, got)
		}
		p.remember(n, hash, c.parent, &c.key, c.tokens)
		if got := p.find(hash, c.parent, &c.key, c.tokens); got != n {
			t.Errorf("case %d: found page %d", i, got)
		}
	}
}

func TestNoIndexForgetsAtOnce(t *testing.T) {
	p := New(8, 2, Options{NoIndex: true})
	a, _ := open(p, Key{}, count(0, 8)...)
	a.write(t, p)
	check(t, p, a)
	p.Release(&a.Table)
	if _, got := open(p, Key{}, a.tokens...); got != 0 || p.Cached() != 0 {
		t.Errorf("matched %d positions, %d pages cached", got, p.Cached())
	}
	check(t, p)
}
