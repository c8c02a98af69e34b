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
	memory map[int32]string // page -> key and all tokens up to the end of the page, once full
	lost   bool             // pages may have been evicted
	known  map[string]bool  // what has ever been committed in full pages
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
	got := m.pool.Match(&s.Table, s.tokens[:limit])
	for i := range s.Pages() {
		if want := content(key, s.tokens[:(i+1)*m.pool.pageSize]); m.memory[s.Pages()[i]] != want {
			t.Fatalf("matched page %d holds %q, want %q", s.Pages()[i], m.memory[s.Pages()[i]], want)
		}
	}
	if next := got + m.pool.pageSize; !m.lost && next <= limit && m.known[content(key, s.tokens[:next])] {
		t.Fatalf("matched %d positions of %v, but more had been committed", got, s.tokens)
	}
	m.live = append(m.live, s)
}

// grow commits some tokens of a sequence, not always up to the end.
func (m *machine) grow(t *rapid.T) {
	if len(m.live) == 0 {
		t.Skip("none open")
	}
	s := rapid.SampledFrom(m.live).Draw(t, "sequence")
	n := rapid.IntRange(s.indexed*m.pool.pageSize, len(s.tokens)).Draw(t, "positions")
	before := m.pool.Available()
	missing := max(0, m.pool.PagesFor(n)-len(s.Pages()))
	if ok := m.pool.Reserve(&s.Table, n); ok != (missing <= before) {
		t.Fatalf("reserve of %d pages with %d available: %v", missing, before, ok)
	} else if !ok {
		return
	}
	m.lost = m.lost || m.pool.Total()-before+missing > m.pool.Total()/2
	for end := m.pool.pageSize; end <= n; end += m.pool.pageSize {
		page := s.Pages()[end/m.pool.pageSize-1]
		if end > s.indexed*m.pool.pageSize {
			m.memory[page] = content(s.key, s.tokens[:end])
		}
		m.known[content(s.key, s.tokens[:end])] = true
	}
	m.pool.Commit(&s.Table, s.tokens[:n])
	for i := range n / m.pool.pageSize {
		if want := content(s.key, s.tokens[:(i+1)*m.pool.pageSize]); m.memory[s.Pages()[i]] != want {
			t.Fatalf("page %d of the table holds %q, want %q", i, m.memory[s.Pages()[i]], want)
		}
	}
}

// trim gives back pages that are not full, some of them reserved just now.
func (m *machine) trim(t *rapid.T) {
	if len(m.live) == 0 {
		t.Skip("none open")
	}
	s := rapid.SampledFrom(m.live).Draw(t, "sequence")
	full := s.indexed * m.pool.pageSize
	held := max(full, len(s.Pages())*m.pool.pageSize)
	keep := rapid.IntRange(full, held).Draw(t, "positions")
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
		m := &machine{pool: New(pages, size, Options{}), memory: map[int32]string{}, known: map[string]bool{}}
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
