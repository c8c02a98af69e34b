package kv

import "math/rand/v2"

// none marks an absent page: the parent of a first page, the end of a list.
const none = -1

// page is the bookkeeping of one page. The tokens of an indexed page are in Pool.tokens.
type page struct {
	hash   uint64
	refs   int32 // page tables that hold the page
	parent int32 // page of the positions before this one's; none for the first page of a sequence
	chain  int32 // next page of the same hash bucket
	older  int32 // neighbours in the list of cached pages
	newer  int32
	count  int32 // tokens by which an indexed page is found
	state  state
}

type state uint8

const (
	unindexed state = iota // free, or held and not full yet
	indexed                // full, can be found by its tokens
	tail                   // not full, can be found by its first tokens
)

// Pool hands out pages. It is not safe for use by several goroutines at once.
type Pool struct {
	pageSize int
	pages    []page
	free     []int32 // stack
	cached   list    // indexed pages that no table holds, least recently used first

	index   bool
	tokens  []int32 // [pages, pageSize] tokens of the indexed pages
	keys    []Key   // [pages] of indexed first pages
	buckets []int32 // heads of the hash chains; a power of two of them
	seed    uint64

	tails  bool
	copies []Copy // that have been asked for

	told   bool
	names  []uint64 // [pages] of full ones, for events
	named  uint64   // name given last
	events []Event
}

// Options change what a Pool does.
type Options struct {
	NoIndex bool // never find pages again
	// Tails makes pages found that are not full: the owner copies pages where Match asks for it, and a page holds nothing that changes with tokens behind.
	Tails bool
	// Events keeps what happens to full pages until it is taken.
	Events bool
}

// Key separates sequences that may not share pages although their tokens are the same.
type Key struct {
	Salt    string // chosen by the user
	Variant int64  // what else decides the content, such as the regime of rotary frequencies
	Adapter uint64 // of the sequence; 0: none
}

// New returns a pool of count free pages of size positions each.
func New(count, size int, opts Options) *Pool {
	if count < 1 || size < 1 {
		panic("kv: a pool needs pages and pages need positions")
	}
	p := &Pool{
		pageSize: size,
		pages:    make([]page, count),
		free:     make([]int32, 0, count),
		cached:   list{oldest: none, newest: none},
		index:    !opts.NoIndex,
		seed:     rand.Uint64(),
		tails:    opts.Tails && !opts.NoIndex && size > 1 && size <= largestTail,
	}
	for i := count - 1; i >= 0; i-- { // low page numbers are handed out first
		p.free = append(p.free, int32(i))
	}
	if p.index {
		p.tokens = make([]int32, count*size)
		p.keys = make([]Key, count)
		p.buckets = newBuckets(count)
		if p.told = opts.Events; p.told {
			p.names, p.named = make([]uint64, count), rand.Uint64()>>1
		}
	}
	return p
}

// PageSize returns the positions of a page.
func (p *Pool) PageSize() int { return p.pageSize }

// Total returns the number of pages.
func (p *Pool) Total() int { return len(p.pages) }

// Available returns how many pages can be handed out: the free and the cached ones.
func (p *Pool) Available() int { return len(p.free) + p.cached.len }

// Held returns how many pages are held by page tables.
func (p *Pool) Held() int { return len(p.pages) - p.Available() }

// Cached returns how many pages nobody holds but can be found again.
func (p *Pool) Cached() int { return p.cached.len }

// Free tells whether a page holds nothing: no table has it, and it can not be found.
func (p *Pool) Free(n int32) bool { return p.pages[n].refs == 0 && p.pages[n].state == unindexed }

// PagesFor returns how many pages hold so many positions.
func (p *Pool) PagesFor(positions int) int { return (positions + p.pageSize - 1) / p.pageSize }

// take returns a page with one reference, evicting the least recently used cached page if none is free. The caller has
// checked that one is available.
func (p *Pool) take() int32 {
	if len(p.free) == 0 {
		p.evict()
	}
	n := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	p.pages[n].refs = 1
	return n
}

// hold adds a reference to an indexed page.
func (p *Pool) hold(n int32) {
	if p.pages[n].refs == 0 {
		p.unlink(n)
	}
	p.pages[n].refs++
}

// drop takes a reference away.
func (p *Pool) drop(n int32) {
	pg := &p.pages[n]
	pg.refs--
	switch {
	case pg.refs > 0:
	case pg.refs < 0:
		panic("kv: page released twice")
	case pg.state != unindexed:
		p.link(n)
	default:
		p.free = append(p.free, n)
	}
}

// evict makes the least recently used cached page free.
func (p *Pool) evict() {
	n := p.cached.oldest
	p.unlink(n)
	p.forget(n)
	p.free = append(p.free, n)
}
