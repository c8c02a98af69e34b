package kv

// list is the order in which cached pages are given up, doubly linked through Pool.pages.
//
// The oldest page of the list never has a child in the index. Whoever holds a page holds all pages before it, and Release gives
// pages back from the last to the first: a child is thus released before or together with, and in the list ahead of,
// its parent. Evicting from the old end therefore cuts leaves only.
type list struct {
	oldest, newest int32
	len            int
}

func (p *Pool) link(n int32) {
	pg := &p.pages[n]
	pg.older, pg.newer = p.cached.newest, none
	if p.cached.newest == none {
		p.cached.oldest = n
	} else {
		p.pages[p.cached.newest].newer = n
	}
	p.cached.newest = n
	p.cached.len++
}

func (p *Pool) unlink(n int32) {
	pg := &p.pages[n]
	if pg.older == none {
		p.cached.oldest = pg.newer
	} else {
		p.pages[pg.older].newer = pg.newer
	}
	if pg.newer == none {
		p.cached.newest = pg.older
	} else {
		p.pages[pg.newer].older = pg.older
	}
	p.cached.len--
}
