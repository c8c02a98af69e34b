package grammar

import (
	"encoding/binary"
	"time"
)

// Bounds of the work that is done for a grammar before it is asked for.
const (
	aheadTime   = 300 * time.Millisecond // of one core
	aheadSlice  = 250 * time.Microsecond // without a pause
	aheadPause  = 2                      // times as long as it took: others are answered meanwhile
	aheadStates = 1 << 13
	aheadBytes  = heldLocal / 4
	aheadMasks  = 8 << 20 // bytes of whole masks, of the nearest places
	aheadCalls  = 3       // innermost calls by which places are told apart
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
	v.refill()
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

// prepare makes what the masks of states consist of, the nearest first, and of the nearest the masks themselves. States that differ in their outer calls alone are taken for the same.
func (w *walker) prepare() {
	work := shift{begun: time.Now()}
	seen := map[string]bool{}
	var queue []*state
	var key []byte
	visit := func(s *state) {
		if s == dead || len(queue) >= aheadStates {
			return
		}
		key = key[:0]
		for _, p := range s.places {
			key = p.within(key)
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			queue = append(queue, s)
		}
	}
	visit(w.begin(0))
	for i := 0; i < len(queue) && work.worked < aheadTime && w.held < heldStates && w.made < aheadBytes; i++ {
		s := queue[i]
		if !w.gather(s) {
			return
		}
		if w.joined < aheadMasks {
			w.union(s.leaves)
		}
		for _, b := range w.sample {
			visit(w.step(s, b))
		}
		if pause := work.pause(time.Now()); pause > 0 {
			time.Sleep(pause)
			work.begun = time.Now()
		}
	}
}

// shift is work that is done a slice at a time, with pauses in between, so that it takes a third of a core from those that are answered and none of them waits for it long.
type shift struct {
	begun  time.Time // the slice
	worked time.Duration
}

// pause returns for how long there is to be a pause: 0 while the slice lasts.
func (s *shift) pause(now time.Time) time.Duration {
	took := now.Sub(s.begun)
	if took < aheadSlice {
		return 0
	}
	s.worked += took
	return aheadPause * took
}

// within appends where a place is, and in which innermost calls.
func (p place) within(key []byte) []byte {
	key = binary.LittleEndian.AppendUint32(key, uint32(p.at))
	f := p.frame
	for range aheadCalls {
		if f.parent == nil {
			break
		}
		key = binary.LittleEndian.AppendUint32(key, uint32(f.back))
		f = f.parent
	}
	return binary.LittleEndian.AppendUint32(key, 1<<32-1) // which is no state
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
