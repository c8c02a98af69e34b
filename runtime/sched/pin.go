package sched

import (
	"errors"
	"slices"

	"llmc/runtime/kv"
)

// Pin keeps the full pages that a prompt begins with from being used for anything else: while their content is taken out, or put in, by someone beside the steps.
type Pin struct {
	tokens []int32 // of the pages, which may all be found: a sequence computes its last token
	table  kv.Table
}

// ErrPinned is returned by Pin while as many pages are pinned as may be.
var ErrPinned = errors.New("too many pages of the KV cache are on their way to or from other processes")

// Pin begins to keep pages of a prompt, none of them yet. Pins leave what a sequence may need that is alone, since nothing makes them give anything back.
func (s *Scheduler) Pin(prompt []int32, salt string, adapter Adapter) (*Pin, error) {
	pages := (len(prompt) - 1) / s.config.PageSize
	all := pages
	for _, p := range s.pins {
		all += s.Most(p)
	}
	if all > s.config.Pages-s.pool.PagesFor(s.config.MaxContext) {
		return nil, ErrPinned
	}
	p := &Pin{tokens: slices.Clone(prompt[:pages*s.config.PageSize])}
	p.table.Init(kv.Key{Salt: salt, Variant: s.regime(len(prompt)), Adapter: adapter.Serial}, pages)
	s.pins = append(s.pins, p)
	return p, nil
}

// Pages returns the pages that are kept, in the order of their positions. The slice is valid until the next call.
func (p *Pin) Pages() []int32 { return p.table.Pages() }

// Most returns how many pages the pin is for.
func (s *Scheduler) Most(p *Pin) int { return len(p.tokens) / s.config.PageSize }

// Extend keeps those pages too that have become known behind those it keeps, and returns how many it keeps.
func (s *Scheduler) Extend(p *Pin) int {
	s.pool.MatchFull(&p.table, p.tokens)
	return len(p.table.Pages())
}

// Reserve takes pages for what is not known. Their content is the caller's to write; while there are too few, nothing is changed and false returned.
func (s *Scheduler) Reserve(p *Pin) bool { return s.pool.Reserve(&p.table, len(p.tokens)) }

// Share says that the content of the first n pages is there: sequences find them from here on.
func (s *Scheduler) Share(p *Pin, n int) {
	s.pool.Commit(&p.table, p.tokens[:n*s.config.PageSize])
}

// Unpin ends a pin. What is known of its pages stays cached.
func (s *Scheduler) Unpin(p *Pin) {
	s.pins = slices.DeleteFunc(s.pins, func(other *Pin) bool { return other == p })
	s.pool.Release(&p.table)
}
