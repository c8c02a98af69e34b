package grammar

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// frame is an open call: where the caller goes on, and what called that. Frames of equal contents are the same frame.
type frame struct {
	back   int32
	depth  int32
	id     uint32
	parent *frame
	popped *state // where outputs are that have left the call; made when it is asked for
}

// place is where an output is: a state of the program that reads bytes, and the calls that it is in.
type place struct {
	at    int32
	frame *frame
}

// state is all places where an output may be. States of equal contents are the same state.
type state struct {
	places []place
	leaves bool     // what is outermost may end here
	next   []*state // by class; nil where nobody has asked yet
	mask   *mask
	first  *mask // of the first token, in vocabularies where that is another
	epoch  uint32
}

var dead = &state{}

// walker makes the states of a grammar. Whoever uses it holds the vocabulary's lock.
type walker struct {
	*program
	v      *Vocabulary
	outer  *frame // of what calls nothing
	frames map[frameKey]*frame
	states map[string]*state
	single map[place]*state // those of one place, found sooner
	epoch  uint32
	number uint32 // of frames
	held   int64  // bytes of states and frames
	masks  []*state
	masked int64            // bytes of masks
	own    map[*mask]bool   // those that are counted in masked
	alike  map[string]*mask // of states whose places no token tells apart, and that are in the same calls

	list   []place // scratch
	seen   map[place]bool
	key    []byte
	path   [maxTokenBytes + 1]*state
	met    []uint32 // nodes of a folded tree that are reached, and those that are not
	gone   []span
	visits int
	parts  int
	parted partSet      // those that the mask has
	found  []*localMask // what the mask consists of
	walked []uint32     // and what has been walked for it; nil: nothing

	made   int64 // bytes of masks of places
	joined int64 // bytes of masks that consist of them
	ahead  bool  // it makes masks of places before they are asked for, and holds no lock
}

type frameKey struct {
	back   int32
	parent *frame
}

func newWalker(p *program, v *Vocabulary) *walker {
	w := &walker{program: p, v: v, seen: map[place]bool{}}
	w.forget()
	return w
}

// forget drops all states; those that outputs have are adopted when they go on.
func (w *walker) forget() {
	w.epoch++
	w.outer = &frame{}
	w.frames, w.states, w.single = map[frameKey]*frame{}, map[string]*state{}, map[place]*state{}
	w.held, w.number = 0, 0
	w.masks, w.masked = nil, 0
	w.alike, w.own = map[string]*mask{}, map[*mask]bool{}
}

// adopt returns the state of an output, which may have been made before all were dropped. It makes room first, so that states are dropped between tokens alone.
func (w *walker) adopt(s *state) *state {
	if w.held > heldStates {
		w.forget()
	}
	if s.epoch == w.epoch {
		return s
	}
	list := w.list[:0]
	again := map[*frame]*frame{}
	for _, p := range s.places {
		list = append(list, place{p.at, w.again(p.frame, again)})
	}
	w.list = list
	return w.intern(list, s.leaves)
}

// again makes a frame and those it lies in anew.
func (w *walker) again(f *frame, done map[*frame]*frame) *frame {
	if f.parent == nil {
		return w.outer
	}
	if done[f] == nil {
		done[f] = w.push(f.back, w.again(f.parent, done))
	}
	return done[f]
}

// push returns the frame of a call; nil: too many are open.
func (w *walker) push(back int32, parent *frame) *frame {
	key := frameKey{back, parent}
	f := w.frames[key]
	if f == nil {
		if parent.depth >= maxStack {
			return nil
		}
		w.number++
		f = &frame{back: back, depth: parent.depth + 1, id: w.number, parent: parent}
		w.frames[key] = f
		w.held += 128
	}
	return f
}

// begin is the state of an output that is at a state of the program and in no calls.
func (w *walker) begin(at int32) *state { return w.closure(place{at, w.outer}) }

// placed is the state of an output that is at a place by itself, without what that calls.
func (w *walker) placed(at int32) *state {
	w.list = append(w.list[:0], place{at, w.outer})
	return w.intern(w.list, false)
}

// closure is the state of an output that is at the given places, or where calls and their ends lead from there without a byte.
func (w *walker) closure(from ...place) *state {
	clear(w.seen)
	w.list = w.list[:0]
	for _, p := range from {
		w.visit(p)
	}
	return w.settle()
}

func (w *walker) visit(p place) {
	if p.frame != nil && len(w.list) < maxItems && !w.seen[p] {
		w.seen[p] = true
		w.list = append(w.list, p)
	}
}

// settle follows calls and their ends from the places in list.
func (w *walker) settle() *state {
	leaves := false
	for i := 0; i < len(w.list); i++ {
		p := w.list[i]
		s := &w.program.states[p.at]
		for _, c := range w.calls[s.calls.from:s.calls.to] {
			inside := p.frame
			if !w.program.states[c.to].last { // else whoever called this goes on
				inside = w.push(c.to, p.frame)
			}
			w.visit(place{c.rule, inside})
		}
		switch {
		case !s.final:
		case p.frame == w.outer:
			leaves = true
		default:
			w.visit(place{p.frame.back, p.frame.parent})
		}
	}
	list := slices.DeleteFunc(w.list, func(p place) bool {
		s := &w.program.states[p.at]
		return s.edges.from == s.edges.to
	})
	return w.intern(list, leaves)
}

// intern returns the state of places that read bytes. The list is sorted.
func (w *walker) intern(list []place, leaves bool) *state {
	if len(list) == 0 && !leaves {
		return dead
	}
	slices.SortFunc(list, func(a, b place) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.frame.id, b.frame.id)) })
	w.key = w.key[:0]
	if leaves {
		w.key = append(w.key, 1)
	}
	for _, p := range list {
		w.key = binary.LittleEndian.AppendUint32(w.key, uint32(p.at))
		w.key = binary.LittleEndian.AppendUint32(w.key, p.frame.id)
	}
	s := w.states[string(w.key)]
	if s == nil {
		s = &state{places: slices.Clone(list), leaves: leaves, epoch: w.epoch}
		w.states[string(w.key)] = s
		w.held += int64(len(w.key)) + int64(len(list))*16 + 160
	}
	return s
}

// alone is the state of an output that is at one place, which calls nothing and does not end its rule.
func (w *walker) alone(p place) *state {
	s := w.single[p]
	if s == nil {
		w.list = append(w.list[:0], p)
		s = w.intern(w.list, false)
		w.single[p] = s
		w.held += 48
	}
	return s
}

// step is the state behind a byte.
func (w *walker) step(s *state, b byte) *state {
	class := w.class[b]
	if s.next != nil {
		if to := s.next[class]; to != nil {
			return to
		}
	}
	return w.advance(s, class)
}

func (w *walker) advance(s *state, class uint8) *state {
	if s == dead {
		return dead
	}
	if s.next == nil {
		s.next = make([]*state, w.classes)
		w.held += int64(8 * w.classes)
	}
	if len(s.places) == 1 { // most often: nothing to be sorted or found twice
		at := w.program.next(s.places[0].at, class)
		if at < 0 {
			s.next[class] = dead
			return dead
		}
		if to := &w.program.states[at]; to.calls.from == to.calls.to && !to.final {
			next := w.alone(place{at, s.places[0].frame})
			s.next[class] = next
			return next
		}
	}
	clear(w.seen)
	w.list = w.list[:0]
	for _, p := range s.places {
		if to := w.program.next(p.at, class); to >= 0 {
			w.visit(place{to, p.frame})
		}
	}
	to := w.settle()
	s.next[class] = to
	return to
}

// leave is the state of outputs that have ended a call.
func (w *walker) leave(f *frame) *state {
	if f.popped == nil {
		f.popped = w.closure(place{f.back, f.parent})
	}
	return f.popped
}

// read is the state behind a text.
func (w *walker) read(s *state, text []byte) *state {
	for _, b := range text {
		if s = w.step(s, b); s == dead {
			break
		}
	}
	return s
}
