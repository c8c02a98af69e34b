package sched

import (
	"errors"
	"testing"
)

// pin begins to keep the pages of a request's prompt.
func (h *harness) pin(r Request) *Pin {
	h.t.Helper()
	p, err := h.s.Pin(r.Prompt, r.Salt, r.Adapter)
	if err != nil {
		h.t.Fatalf("%v", err)
	}
	return p
}

// A pin keeps the pages of a prompt as the prompt is computed, whatever comes after it, and sequences go on finding them.
func TestPinKeepsWhatIsComputed(t *testing.T) {
	c := config() // pages of 4
	c.ChunkTokens, c.Pages, c.MaxContext = 8, 40, 100
	h := newHarness(t, c)
	r := request(5, 41, 3)
	p := h.pin(r)
	if most := h.s.Most(p); most != 10 {
		t.Errorf("a prompt of 41 tokens has %d pages", most)
	}
	h.add(r)
	var seen []int
	for h.s.HasWork() {
		h.step(nil)
		seen = append(seen, h.s.Extend(p))
	}
	for i, n := range seen[:6] {
		if want := min(2*(i+1), 10); n != want {
			t.Errorf("after %d steps %d pages are kept, want %d", i+1, n, want)
		}
	}
	pages := append([]int32(nil), p.Pages()...)
	for i := range int32(6) { // more than the cache holds
		h.add(request(10+i, 60, 4))
	}
	for h.s.HasWork() {
		h.step(nil)
	}
	for i, page := range p.Pages() {
		if page != pages[i] {
			t.Fatal("a pin has other pages than before")
		}
	}
	again := h.add(r)
	for h.s.HasWork() {
		h.step(nil)
	}
	h.expect(again, alone(c, r))
	if again.Cached() != 40 {
		t.Errorf("%d tokens found of what is kept, want 40", again.Cached())
	}
	h.s.Unpin(p)
	h.drain(1)
}

// Pages that were filled by somebody else are found as if they had been computed here.
func TestPinnedPagesThatAreShared(t *testing.T) {
	h, r := newHarness(t, config()), request(9, 30, 8)
	p := h.pin(r)
	if known := h.s.Extend(p); known != 0 || !h.s.Reserve(p) || len(p.Pages()) != 7 {
		t.Fatalf("%d pages known, %d reserved", known, len(p.Pages()))
	}
	want, _ := words("", nil, r.Prompt[:28], 30)
	for i, page := range p.Pages() {
		copy(h.device.memory[int(page)*4:][:4], want[i*4:])
	}
	h.s.Share(p, 5)
	early := h.add(r)
	h.step(nil)
	if early.Cached() != 20 {
		t.Errorf("%d tokens found where 20 were shared", early.Cached())
	}
	h.s.Share(p, 7)
	late := h.add(r)
	for h.s.HasWork() {
		h.step(nil)
	}
	if late.Cached() != 28 {
		t.Errorf("%d tokens found where 28 were shared", late.Cached())
	}
	h.expect(early, alone(h.s.config, r))
	h.expect(late, alone(h.s.config, r))
	salted := r
	salted.Salt = "other"
	stranger := h.add(salted)
	h.s.Unpin(p)
	h.drain(100)
	if h.expect(stranger, alone(h.s.config, salted)); stranger.Cached() != 0 {
		t.Errorf("another salt found %d tokens", stranger.Cached())
	}
}

// However much is pinned, a sequence that needs the whole context has room, and no step is empty.
func TestPinsLeaveWhatASequenceNeeds(t *testing.T) {
	c := config()
	c.Pages, c.MaxContext = 40, 100 // 25 pages of it
	h := newHarness(t, c)
	var pins []*Pin
	for i := int32(0); ; i++ {
		r := request(50+i, 17, 1)
		p, err := h.s.Pin(r.Prompt, "", Adapter{})
		if errors.Is(err, ErrPinned) {
			break
		}
		if err != nil || !h.s.Reserve(p) {
			t.Fatal(err)
		}
		pins = append(pins, p)
	}
	if len(pins) != 3 { // of 4 pages: 12 of 15
		t.Errorf("%d pins of 4 pages beside 25 of 40", len(pins))
	}
	r := request(3, 90, 10)
	q, other := h.add(r), h.add(request(4, 90, 10))
	for i := 0; h.s.HasWork(); i++ {
		if i > 300 {
			t.Fatalf("not done: %+v", h.s.Stats())
		}
		h.step(nil)
	}
	h.expect(q, alone(c, r))
	h.expect(other, alone(c, request(4, 90, 10)))
	for _, p := range pins {
		h.s.Unpin(p)
	}
	if _, err := h.s.Pin(request(1, 61, 1).Prompt, "", Adapter{}); err != nil {
		t.Errorf("after all were unpinned: %v", err)
	}
}
