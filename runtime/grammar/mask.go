package grammar

import (
	"encoding/binary"
	"slices"
)

// mask is which tokens may come next.
type mask struct {
	allowed []uint32 // as engine.Sampling.Allowed
	text    bool     // there are tokens besides those that end the output
	size    int64    // bytes, for the vocabulary that keeps it
}

// mask returns the tokens that may come behind a state: those whose bytes lead on, and where the output is complete those that end it. It is nil where that
// takes more steps than it may.
func (w *walker) mask(s *state) *mask {
	if s.mask != nil {
		return s.mask
	}
	w.key = w.key[:0]
	if s.leaves {
		w.key = append(w.key, 1)
	}
	for _, p := range s.places {
		w.key = binary.LittleEndian.AppendUint32(w.key, uint32(w.program.states[p.at].same))
		w.key = binary.LittleEndian.AppendUint32(w.key, p.frame.id)
	}
	key := string(w.key)
	m := w.alike[key]
	if m == nil {
		if m = w.make(s); m == nil {
			return nil
		}
	}
	w.keep(s, m)
	s.mask, w.alike[key] = m, m
	return m
}

// firstMask is the mask of the first token.
func (w *walker) firstMask(s *state) *mask {
	if w.v.first == nil {
		return w.mask(s)
	}
	if s.first != nil {
		return s.first
	}
	middle := w.mask(s)
	if middle == nil {
		return nil
	}
	bits := slices.Clone(middle.allowed)
	for _, id := range w.v.other {
		bits[id/32] &^= 1 << (id % 32)
	}
	t := w.v.first
	if !w.allow(t, 0, uint32(len(t.nodes)), s, bits) {
		return nil
	}
	m := &mask{allowed: bits, text: w.v.hasText(bits)}
	w.keep(s, m)
	s.first = m
	return m
}

// keep makes room for a mask: what is over the bound is all dropped. Steps on their way keep theirs.
func (w *walker) keep(s *state, m *mask) {
	if w.masked+w.takes(s, m) > heldMasks {
		for _, other := range w.masks {
			other.mask, other.first = nil, nil
		}
		w.masks, w.masked = w.masks[:0], 0
		clear(w.alike)
		clear(w.own)
	}
	w.masks, w.masked = append(w.masks, s), w.masked+w.takes(s, m)
	w.own[m] = true
}

// takes is how many bytes a state's mask takes, which others of the grammar may have too.
func (w *walker) takes(s *state, m *mask) int64 {
	size := int64(96 + 8*len(s.places)) // of the entry in alike
	if !w.own[m] {
		size += int64(4*len(m.allowed)) + 64
	}
	return size
}

func (w *walker) make(s *state) *mask {
	if !w.gather(s) {
		return nil
	}
	return w.union(s.leaves)
}

// gather finds what a state's mask consists of: masks of places, and in very ambiguous grammars what has been walked for it. It returns false where that takes more than it may.
func (w *walker) gather(s *state) bool {
	w.visits, w.parts, w.walked = 0, 0, nil
	w.found = w.found[:0]
	w.parted.clear()
	for _, p := range s.places {
		if !w.part(nil, p) {
			return false
		}
	}
	return true
}

// mostParts is of how many a mask is made before what is behind exits is walked for all places there at once: in ambiguous grammars the same ones come up again and again.
const mostParts = 256

// partKey is what a place allows of what tokens have behind an exit.
type partKey struct {
	e *exit
	p place
}

// part finds the tokens that a place allows, or of which it allows what they have behind an exit, and where its rule may be left those that go on behind.
func (w *walker) part(e *exit, p place) bool {
	if e != nil { // else it comes once
		if !w.parted.add(partKey{e, p}) {
			return true
		}
	}
	w.parts++
	l := w.local(e, p.at)
	if l == nil {
		return false
	}
	if l.bits != nil || len(l.few) > 0 {
		w.found = append(w.found, l)
	}
	if p.frame == w.outer || len(l.exits) == 0 {
		return true
	}
	behind := w.leave(p.frame)
	for _, e := range l.exits {
		if w.parts > mostParts {
			if w.walked == nil {
				w.walked = w.blank()
			}
			if !w.behindExit(e, behind, w.walked) {
				return false
			}
			continue
		}
		for _, q := range behind.places {
			if !w.part(e, q) {
				return false
			}
		}
	}
	return true
}

// hasText tells whether any token is allowed that does not end the output.
func (v *Vocabulary) hasText(bits []uint32) bool {
	for i, word := range bits {
		if word == 0 {
			continue
		}
		for _, id := range v.ends {
			if int(id/32) == i {
				word &^= 1 << (id % 32)
			}
		}
		if word != 0 {
			return true
		}
	}
	return false
}

// or allows what another mask of the vocabulary does.
func or(bits, more []uint32) {
	more = more[:len(bits)]
	for len(bits) >= 8 && len(more) >= 8 { // bounds are checked once for eight words
		bits[0] |= more[0]
		bits[1] |= more[1]
		bits[2] |= more[2]
		bits[3] |= more[3]
		bits[4] |= more[4]
		bits[5] |= more[5]
		bits[6] |= more[6]
		bits[7] |= more[7]
		bits, more = bits[8:], more[8:]
	}
	for i := range bits {
		bits[i] |= more[i]
	}
}

// without takes out what another mask of the vocabulary allows, if there is one.
func without(bits, less []uint32) {
	for i, word := range less {
		bits[i] &^= word
	}
}

// set allows a token and those of the same text.
func (t *tree) set(bits []uint32, token int32) {
	bits[token/32] |= 1 << (token % 32)
	if len(t.twins) > 0 {
		for _, twin := range t.twins[token] {
			bits[twin/32] |= 1 << (twin % 32)
		}
	}
}

// walk calls reached for every node from one to another, side by side or below each other, to which a state leads, with the state behind it. It returns
// false where that took more than it may.
func (w *walker) walk(t *tree, from, to uint32, s *state, reached func(node uint32, behind *state, token int32)) bool {
	if from >= to {
		return true
	}
	base := t.nodes[from].depth
	path := &w.path
	path[0] = s
	visits := 0
	for i := from; i < to; {
		n := &t.nodes[i]
		depth := n.depth - base
		visits++
		behind := w.step(path[depth], n.char)
		if behind == dead {
			i = n.end
			continue
		}
		path[depth+1] = behind
		reached(i, behind, n.token)
		i++
		if visits&0xff == 0 && (w.visits+visits > maxVisits || w.held > mostStates) {
			return false
		}
	}
	w.visits += visits
	return true
}
