package runtime

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"llmc/engine"
	"llmc/runtime/sched"
)

// Pages are the full pages of KV cache that a prompt begins with, kept from being used for anything else until Release. Their bytes can be read and written
// while the engine runs. Methods may be called from any goroutine, but from one at a time.
type Pages struct {
	engine  *Engine
	mover   engine.PageMover
	pin     *sched.Pin
	more    chan struct{} // has an element when more have become known
	known   int           // under the engine's lock
	release sync.Once
}

// The errors of pages.
var (
	ErrNoPages    = errors.New("the pages of its KV cache can not be moved")
	ErrPagesTaken = sched.ErrPinned
)

// PageFormat says what the bytes of a page are, and how many there are. Engines of one plan, and of one format, have the same bytes for the same prompt.
func (e *Engine) PageFormat() (format string, bytes int, err error) {
	mover, ok := e.model.(engine.PageMover)
	switch {
	case !ok:
		return "", 0, fmt.Errorf("model %s: %w by its device", e.info.Name, ErrNoPages)
	case e.options.NoPrefixCache:
		return "", 0, fmt.Errorf("model %s: %w: they are not kept (--no-prefix-cache)", e.info.Name, ErrNoPages)
	case e.info.Source != nil:
		return "", 0, fmt.Errorf("model %s: %w: it encodes its prompts", e.info.Name, ErrNoPages)
	}
	return mover.PageFormat(), mover.PageBytes(), nil
}

// PageSize returns how many tokens a page has.
func (e *Engine) PageSize() int { return e.limits.PageSize }

// HoldPages begins to keep the pages of a request's prompt, as far as they are known. It fails with ErrPagesTaken while too many are kept, and where
// the request is one whose prompt is not only tokens.
func (e *Engine) HoldPages(r *Request) (*Pages, error) {
	if _, _, err := e.PageFormat(); err != nil {
		return nil, err
	}
	if err := e.check(r); err != nil {
		return nil, err
	}
	if len(r.Pictures) > 0 {
		return nil, fmt.Errorf("model %s: %w for prompts with images", e.info.Name, ErrNoPages)
	}
	var adapter sched.Adapter
	if r.Adapter != nil {
		adapter = r.Adapter.seat
	}
	p := &Pages{engine: e, mover: e.model.(engine.PageMover), more: make(chan struct{}, 1)}
	e.mu.Lock()
	defer e.mu.Unlock()
	var err error
	if p.pin, err = e.sched.Pin(r.Prompt, r.CacheSalt, adapter); err != nil {
		return nil, err
	}
	p.known = e.sched.Extend(p.pin)
	e.held = append(e.held, p)
	e.publish()
	return p, nil
}

// Most returns how many pages the prompt may have in the cache: one token at least is left to be computed.
func (p *Pages) Most() int { return p.engine.sched.Most(p.pin) }

// Known returns how many of them are known.
func (p *Pages) Known() int {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	return p.known
}

// page returns the number of a page that is kept.
func (p *Pages) page(i int) (int32, error) {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	kept := p.pin.Pages()
	if i < 0 || i >= len(kept) {
		return 0, fmt.Errorf("page %d of a prompt, %d are kept", i, len(kept))
	}
	return kept[i], nil
}

// Read copies what a known page holds.
func (p *Pages) Read(i int, to []byte) error {
	page, err := p.page(i)
	if err != nil {
		return err
	}
	return p.mover.ReadPage(page, to)
}

// Reserve makes room for the pages that are not known, to be written from the first on. It returns false where the cache has none.
func (p *Pages) Reserve() bool {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	p.known = len(p.pin.Pages())
	p.unlist() // what others compute it has room for already
	defer p.engine.publish()
	return p.engine.sched.Reserve(p.pin)
}

// Write fills a page that was made room for.
func (p *Pages) Write(i int, from []byte) error {
	page, err := p.page(i)
	if err != nil {
		return err
	}
	if i < p.Known() {
		return fmt.Errorf("page %d of a prompt is known, and not to be written", i)
	}
	return p.mover.WritePage(page, from)
}

// Share says that the first n pages are there: requests find them from here on.
func (p *Pages) Share(n int) {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	p.engine.sched.Share(p.pin, n)
	p.known = max(p.known, n)
}

// Release ends the keeping. It may be called more than once.
func (p *Pages) Release() {
	p.release.Do(func() {
		p.engine.mu.Lock()
		defer p.engine.mu.Unlock()
		p.unlist()
		p.engine.sched.Unpin(p.pin)
		p.engine.publish()
	})
}

// unlist ends the looking for what steps make known. The caller holds the lock.
func (p *Pages) unlist() {
	p.engine.held = slices.DeleteFunc(p.engine.held, func(other *Pages) bool { return other == p })
}

// find keeps what a step has made known. The caller holds the lock.
func (p *Pages) find() {
	n := p.engine.sched.Extend(p.pin)
	if n == p.known {
		return
	}
	p.known = n
	select {
	case p.more <- struct{}{}:
	default: // the reader knows
	}
}
