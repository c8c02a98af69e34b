package kv

// A tail is the last page of a sequence that has ended, which is not full. It can be found by its tokens like a full page, and whoever finds it goes on
// behind them: in the page itself while nobody holds it, or else in a copy, since whoever holds it has gone on in it. What it is found by stays true all the
// while: what a page holds of a position is written once. (That is not so for states of sequences, which change with every token: see Options.)
//
// Nothing comes below a tail in the index, so it is a leaf to the list of cached pages.

// Copy is a page whose content has to be in another one before that is used.
type Copy struct{ From, To int32 }

// largestTail bounds the pages that have tails: looking for one takes a look for each of its tokens.
const largestTail = 64

// Keep is Commit for a sequence that ends: it also makes the page found that the last tokens are in. The caller releases the table.
func (p *Pool) Keep(t *Table, tokens []int32) {
	p.Commit(t, tokens)
	rest := tokens[t.indexed*p.pageSize:]
	if !p.tails || len(rest) == 0 {
		return
	}
	parent, hash := p.last(t)
	hash = hashTokens(hash, rest)
	own := t.pages[t.indexed]
	if p.find(hash, parent, &t.key, rest) != none { // possibly by itself
		return
	}
	if p.pages[own].state == tail {
		p.forget(own)
	}
	p.remember(own, hash, parent, &t.key, rest)
}

// matchTail extends a table whose pages are all full by the longest tail that the next tokens begin with, and returns how many positions it covers. hash is
// that of the last page. copies says whether the content of a held tail may be copied.
func (p *Pool) matchTail(t *Table, parent int32, hash uint64, rest []int32, copies bool) int {
	if !p.tails || len(rest) == 0 {
		return 0
	}
	var hashes [largestTail]uint64
	n := min(len(rest), p.pageSize-1)
	h := hash
	for i := 0; i < n; i++ { // as hashTokens would for each length
		if i%2 == 1 {
			h = hashTokens(h, rest[i-1:i+1])
			hashes[i] = h
		} else {
			hashes[i] = hashTokens(h, rest[i:i+1])
		}
	}
	for ; n > 0; n-- {
		page := p.find(hashes[n-1], parent, &t.key, rest[:n])
		switch {
		case page == none:
			continue
		case p.pages[page].refs == 0:
			p.hold(page)
		case !copies || p.Available() == 0:
			return 0
		default:
			to := p.take()
			p.copies = append(p.copies, Copy{page, to})
			page = to
		}
		t.pages = append(t.pages, page)
		return n
	}
	return 0
}

// TakeCopies appends the copies that Match has asked for since the last call, in the order in which they have to be made, before any of the pages is written.
func (p *Pool) TakeCopies(dst []Copy) []Copy {
	dst = append(dst, p.copies...)
	p.copies = p.copies[:0]
	return dst
}
