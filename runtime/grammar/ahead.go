package grammar

import (
	"encoding/binary"
	"time"
)

// Bounds of the work that is done for a grammar before it is asked for.
const (
	aheadTime   = 300 * time.Millisecond // of one core
	aheadStates = 1 << 12
	aheadBytes  = heldLocal / 4
	aheadAtOnce = 4       // grammars that wait for it
	aheadFrom   = 1 << 12 // tokens of a vocabulary for which it is worth it
)

// prepareAhead makes the masks of places of a grammar while nobody waits for them: as a rule, while the prompt of whoever has asked for the grammar is read. Nearest places come first.
// It takes the vocabulary's lock for moments only, so outputs find what is ready and make the rest themselves.
func (g *Grammar) prepareAhead() {
	v := g.v
	if v.size < aheadFrom {
		close(g.prepared)
		return
	}
	if v.waiting.Add(1) > aheadAtOnce {
		v.waiting.Add(-1)
		close(g.prepared)
		return
	}
	go func() {
		defer close(g.prepared)
		defer v.waiting.Add(-1)
		v.preparing.Lock()
		defer v.preparing.Unlock()
		w := newWalker(g.walker.program, v)
		w.ahead = true
		w.prepare()
	}()
}

// prepare makes what the masks of states consist of, the nearest first. States that differ in their calls alone are taken for the same.
func (w *walker) prepare() {
	end := time.Now().Add(aheadTime)
	seen := map[string]bool{}
	var queue []*state
	var key []byte
	visit := func(s *state) {
		if key = key[:0]; s == dead || len(queue) >= aheadStates {
			return
		}
		for _, p := range s.places {
			key = binary.LittleEndian.AppendUint32(key, uint32(p.at))
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			queue = append(queue, s)
		}
	}
	visit(w.begin(0))
	bits := make([]uint32, w.v.words)
	for i := 0; i < len(queue) && time.Now().Before(end) && w.held < heldStates && w.made < aheadBytes; i++ {
		s := queue[i]
		w.visits, w.parts = 0, 0
		clear(w.parted)
		for _, p := range s.places {
			if !w.part(nil, p, bits) {
				return
			}
		}
		for _, b := range w.sample {
			visit(w.step(s, b))
		}
	}
}

// lock guards what the vocabulary keeps. Walkers of outputs hold the lock all the time.
func (w *walker) lock() {
	if w.ahead {
		w.v.mu.Lock()
	}
}

func (w *walker) unlock() {
	if w.ahead {
		w.v.mu.Unlock()
	}
}

// folded returns a folded tree; nil: there is none, or it is not worth it.
func (w *walker) folded(name alphabetName) *fold {
	w.lock()
	defer w.unlock()
	f := w.v.folds[name]
	if f == nil || f.whole == nil {
		return nil
	}
	w.v.clock++
	f.used = w.v.clock
	return f
}
