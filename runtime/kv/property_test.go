package kv

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// machine runs random operations against a pool and a memory that says which token was written to which slot of a page, after
// which tokens. Whatever the pool matches must be there.
type machine struct {
	pool   *Pool
	live   []*sequence
	memory map[int32][]string // page -> key and all tokens up to each slot
	lost   bool               // pages may have been evicted
	known  map[string]bool    // what has ever been committed in full pages
}

// verify compares the first positions of a sequence with what was written.
func (m *machine) verify(t *rapid.T, s *sequence, positions int) {
	t.Helper()
	for i := range positions {
		page, slot := s.Pages()[i/m.pool.pageSize], i%m.pool.pageSize
		if want, got := content(s.key, s.tokens[:i+1]), m.slots(page)[slot]; got != want {
			t.Fatalf("slot %d of page %d holds %q, want %q", slot, page, got, want)
		}
	}
}

func (m *machine) slots(page int32) []string {
	if m.memory[page] == nil {
		m.memory[page] = make([]string, m.pool.pageSize)
	}
	return m.memory[page]
}

// copy makes the copies that were asked for.
func (m *machine) copy() {
	for _, c := range m.pool.TakeCopies(nil) {
		copy(m.slots(c.To), m.slots(c.From))
	}
}

func content(key Key, tokens []int32) string {
	b := append([]byte(key.Salt), '|', byte(key.Variant), '|')
	for _, t := range tokens {
		b = append(b, byte(t))
	}
	return string(b)
}

var keys = []Key{{}, {Salt: "a"}, {Variant: 1}}

func (m *machine) open(t *rapid.T) {
	key := rapid.SampledFrom(keys).Draw(t, "key")
	// Few distinct tokens, so that prefixes are often shared.
	s := &sequence{tokens: rapid.SliceOfN(rapid.Int32Range(0, 1), 1, 14).Draw(t, "tokens")}
	s.Init(key, 0)
	limit := len(s.tokens) - 1
	s.computed = m.pool.Match(&s.Table, s.tokens[:limit], rapid.Bool().Draw(t, "copies"))
	m.copy()
	m.verify(t, s, s.computed)
	if next := s.indexed*m.pool.pageSize + m.pool.pageSize; !m.lost && next <= limit && m.known[content(key, s.tokens[:next])] {
		t.Fatalf("matched %d positions of %v, but more had been committed", s.computed, s.tokens)
	}
	m.live = append(m.live, s)
}

// grow commits some tokens of a sequence, not always up to the end.
func (m *machine) grow(t *rapid.T) {
	if len(m.live) == 0 {
		t.Skip("none open")
	}
	s := rapid.SampledFrom(m.live).Draw(t, "sequence")
	n := rapid.IntRange(s.computed, len(s.tokens)).Draw(t, "positions")
	before := m.pool.Available()
	missing := max(0, m.pool.PagesFor(n)-len(s.Pages()))
	if ok := m.pool.Reserve(&s.Table, n); ok != (missing <= before) {
		t.Fatalf("reserve of %d pages with %d available: %v", missing, before, ok)
	} else if !ok {
		return
	}
	m.lost = m.lost || m.pool.Total()-before+missing > m.pool.Total()/2
	for i := s.computed; i < n; i++ {
		m.slots(s.Pages()[i/m.pool.pageSize])[i%m.pool.pageSize] = content(s.key, s.tokens[:i+1])
	}
	for end := m.pool.pageSize; end <= n; end += m.pool.pageSize {
		m.known[content(s.key, s.tokens[:end])] = true
	}
	s.computed = n
	m.pool.Commit(&s.Table, s.tokens[:n])
	m.verify(t, s, n)
}

// trim gives back pages that hold nothing yet.
func (m *machine) trim(t *rapid.T) {
	if len(m.live) == 0 {
		t.Skip("none open")
	}
	s := rapid.SampledFrom(m.live).Draw(t, "sequence")
	held := max(s.computed, len(s.Pages())*m.pool.pageSize)
	keep := rapid.IntRange(s.computed, held).Draw(t, "positions")
	m.pool.Trim(&s.Table, keep)
	if want := m.pool.PagesFor(keep); len(s.Pages()) != want {
		t.Fatalf("%d pages are left for %d positions, want %d", len(s.Pages()), keep, want)
	}
}

func (m *machine) release(t *rapid.T) {
	if len(m.live) == 0 {
		t.Skip("none open")
	}
	i := rapid.IntRange(0, len(m.live)-1).Draw(t, "sequence")
	if s := m.live[i]; rapid.Bool().Draw(t, "keep") {
		m.pool.Keep(&s.Table, s.tokens[:s.computed])
	}
	m.pool.Release(&m.live[i].Table)
	m.live = slices.Delete(m.live, i, i+1)
}

func (m *machine) check(t *rapid.T) {
	tables := make([]*Table, len(m.live))
	for i, s := range m.live {
		tables[i] = &s.Table
	}
	if err := m.pool.Check(tables...); err != nil {
		t.Fatal(err)
	}
	m.lost = m.lost || len(m.pool.free) == 0
}

func TestRandomOperations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pages := rapid.IntRange(1, 40).Draw(t, "pages")
		size := rapid.SampledFrom([]int{1, 2, 3, 4}).Draw(t, "page size")
		m := &machine{pool: New(pages, size, Options{Tails: rapid.Bool().Draw(t, "tails")}), memory: map[int32][]string{}, known: map[string]bool{}}
		t.Repeat(map[string]func(*rapid.T){"open": m.open, "grow": m.grow, "trim": m.trim, "release": m.release, "": m.check})
		for _, s := range m.live {
			m.pool.Release(&s.Table)
		}
		if err := m.pool.Check(); err != nil {
			t.Fatal(err)
		}
		if m.pool.Available() != pages {
			t.Fatalf("%d pages of %d are left", m.pool.Available(), pages)
		}
	})
}
