package kv

import (
	"fmt"
	"slices"
)

// Check verifies the invariants of the pool against the tables that hold its pages. It is slow and meant for tests.
func (p *Pool) Check(tables ...*Table) error {
	refs := make([]int32, len(p.pages))
	for i, t := range tables {
		for j, n := range t.pages {
			if slices.Contains(t.pages[:j], n) {
				return fmt.Errorf("table %d holds page %d twice", i, n)
			}
			refs[n]++
		}
		for j, n := range t.pages[:t.indexed] {
			parent := int32(none)
			if j > 0 {
				parent = t.pages[j-1]
			}
			if p.pages[n].state != indexed || p.pages[n].parent != parent {
				return fmt.Errorf("table %d: page %d (%d) is not indexed below page %d", i, n, j, parent)
			}
		}
	}
	place := make([]string, len(p.pages))
	for _, n := range p.free {
		if place[n] != "" || p.pages[n].state != unindexed {
			return fmt.Errorf("page %d is free and %s", n, place[n])
		}
		place[n] = "free"
	}
	if err := p.checkCached(place); err != nil {
		return err
	}
	for n := range p.pages {
		switch {
		case p.pages[n].refs != refs[n]:
			return fmt.Errorf("page %d has %d references, tables hold %d", n, p.pages[n].refs, refs[n])
		case (refs[n] == 0) != (place[n] != ""):
			return fmt.Errorf("page %d with %d references is %q", n, refs[n], place[n])
		}
	}
	return p.checkIndex()
}

// checkCached walks the list of cached pages: it must be linked soundly and have children before their parents.
func (p *Pool) checkCached(place []string) error {
	count, older := 0, int32(none)
	for n := p.cached.oldest; n != none; n = p.pages[n].newer {
		pg := &p.pages[n]
		switch {
		case place[n] != "" || pg.state == unindexed:
			return fmt.Errorf("page %d is cached and %q, indexed %v", n, place[n], pg.state != unindexed)
		case pg.older != older:
			return fmt.Errorf("page %d: list is broken", n)
		case pg.parent != none && place[pg.parent] == "cached":
			return fmt.Errorf("page %d would be evicted after its parent %d", n, pg.parent)
		}
		place[n], older = "cached", n
		count++
	}
	if count != p.cached.len || older != p.cached.newest {
		return fmt.Errorf("%d pages are cached, %d counted", count, p.cached.len)
	}
	return nil
}

// checkIndex makes sure that every indexed page is found by its content, under a parent that is indexed and held at least as often.
func (p *Pool) checkIndex() error {
	for n := range p.pages {
		pg := &p.pages[n]
		if pg.state == unindexed {
			continue
		}
		if found := p.find(pg.hash, pg.parent, &p.keys[n], p.pageTokens(int32(n))); found != int32(n) {
			return fmt.Errorf("page %d is indexed but page %d is found", n, found)
		}
		if pg.parent == none {
			continue
		}
		if parent := &p.pages[pg.parent]; parent.state != indexed || parent.refs < pg.refs {
			return fmt.Errorf("page %d (%d references) is below page %d (%d references, indexed %v)",
				n, pg.refs, pg.parent, parent.refs, parent.state == indexed)
		}
	}
	return nil
}
