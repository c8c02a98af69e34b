package kv

// Table is the page table of one sequence. The zero value is an empty table of the empty key.
type Table struct {
	pages   []int32 // in order of position
	indexed int     // leading pages that are full and in the index
	key     Key
}

// Pages returns the pages in order of position. The slice is valid until the table changes.
func (t *Table) Pages() []int32 { return t.pages }

// Init gives an empty table its key and room for so many pages.
func (t *Table) Init(key Key, room int) {
	if len(t.pages) != 0 {
		panic("kv: table in use")
	}
	t.key, t.indexed = key, 0
	if cap(t.pages) < room {
		t.pages = make([]int32, 0, room)
	}
}

// Level tells whether two tables hold the same full pages and could share the next one: whichever computes it first.
func (t *Table) Level(u *Table) bool {
	if t.indexed != u.indexed {
		return false
	}
	if t.indexed == 0 {
		return t.key == u.key
	}
	return t.pages[t.indexed-1] == u.pages[t.indexed-1] // and so are those before
}

// Match extends the table by cached pages as far as they hold the given tokens, which are those of the sequence from position
// 0 on, and returns how many positions the table then covers with known content. It does nothing while the table has a page
// that is not full. copies says whether the owner can make copies now: see TakeCopies.
func (p *Pool) Match(t *Table, tokens []int32, copies bool) int {
	if !p.index || t.indexed != len(t.pages) {
		return t.indexed * p.pageSize
	}
	parent, hash, rest := p.matchFull(t, tokens)
	return t.indexed*p.pageSize + p.matchTail(t, parent, hash, rest, copies)
}

// MatchFull is Match of full pages alone.
func (p *Pool) MatchFull(t *Table, tokens []int32) (positions int) {
	if p.index && t.indexed == len(t.pages) {
		p.matchFull(t, tokens)
	}
	return t.indexed * p.pageSize
}

// matchFull extends the table by full pages, and returns the last one, its hash, and the tokens behind it.
func (p *Pool) matchFull(t *Table, tokens []int32) (parent int32, hash uint64, rest []int32) {
	parent, hash = p.last(t)
	rest = tokens[t.indexed*p.pageSize:]
	for len(rest) >= p.pageSize {
		next := hashTokens(hash, rest[:p.pageSize])
		n := p.find(next, parent, &t.key, rest[:p.pageSize])
		if n == none {
			break
		}
		p.hold(n)
		t.pages = append(t.pages, n)
		t.indexed++
		parent, hash, rest = n, next, rest[p.pageSize:]
	}
	return parent, hash, rest
}

// last returns the last indexed page of the table and its hash.
func (p *Pool) last(t *Table) (parent int32, hash uint64) {
	if t.indexed == 0 {
		return none, p.hashKey(t.key)
	}
	parent = t.pages[t.indexed-1]
	return parent, p.pages[parent].hash
}

// Reserve makes room for so many positions. If too few pages are available it changes nothing and returns false.
func (p *Pool) Reserve(t *Table, positions int) bool {
	missing := p.PagesFor(positions) - len(t.pages)
	if missing > p.Available() {
		return false
	}
	for ; missing > 0; missing-- {
		t.pages = append(t.pages, p.take())
	}
	return true
}

// Commit says that the keys and values of tokens, those of the sequence from position 0 on, have been written. Pages that are
// full now can be found from here on. Where a page of the same content is known already, the table takes that one and
// gives its own back: two sequences that computed the same prefix side by side end up sharing it.
func (p *Pool) Commit(t *Table, tokens []int32) {
	if !p.index || len(tokens)/p.pageSize == t.indexed {
		return
	}
	parent, hash := p.last(t)
	for (t.indexed+1)*p.pageSize <= len(tokens) {
		content := tokens[t.indexed*p.pageSize:][:p.pageSize]
		hash = hashTokens(hash, content)
		own := t.pages[t.indexed]
		if p.pages[own].state == tail { // it was found as one, and is full now
			p.forget(own)
		}
		n := p.find(hash, parent, &t.key, content)
		if n == none {
			p.remember(own, hash, parent, &t.key, content)
			n = own
		} else {
			p.hold(n)
			p.drop(own)
			t.pages[t.indexed] = n
		}
		t.indexed++
		parent = n
	}
}

// Trim gives back the pages behind so many positions, which hold nothing that counts. Full pages must not be among them.
func (p *Pool) Trim(t *Table, positions int) {
	keep := p.PagesFor(positions)
	if keep < t.indexed {
		panic("kv: a page that others may find is not to be trimmed")
	}
	for i := len(t.pages) - 1; i >= keep; i-- {
		p.drop(t.pages[i])
	}
	t.pages = t.pages[:min(keep, len(t.pages))]
}

// Release gives all pages of the table back, the last one first, so that beginnings stay cached longest.
func (p *Pool) Release(t *Table) {
	for i := len(t.pages) - 1; i >= 0; i-- {
		p.drop(t.pages[i])
	}
	t.pages, t.indexed = t.pages[:0], 0
}
