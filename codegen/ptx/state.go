package ptx

import "maps"

// bitset is a set of small integers.
type bitset []uint64

func newBitset(n int) bitset      { return make(bitset, (n+63)/64) }
func (s bitset) has(i int32) bool { return s[i/64]>>(i%64)&1 != 0 }
func (s bitset) add(i int32)      { s[i/64] |= 1 << (i % 64) }
func (s bitset) remove(i int32)   { s[i/64] &^= 1 << (i % 64) }
func (s bitset) clone() bitset    { return append(bitset(nil), s...) }
func (s bitset) intersect(t bitset) {
	for i := range s {
		s[i] &= t[i]
	}
}

// union adds t and tells whether that changed anything.
func (s bitset) union(t bitset) bool {
	changed := false
	for i := range s {
		merged := s[i] | t[i]
		changed = changed || merged != s[i]
		s[i] = merged
	}
	return changed
}

// state is what holds at a point of the kernel, whatever way led there.
type state struct {
	dead    bool          // no way leads here
	defined bitset        // registers written on every way
	guarded map[int32]Reg // registers written under a guard only, with the guard

	// wgmma: registers that groups under way write or read, with the number of groups committed since (-1: none), and
	// the registers written since the last fence
	writing, reading map[int32]int
	unfenced         bitset
	fenced           bool

	// cp.async: regions written to, whether a wait stands on every way, whether copies are in no group yet; whether a wait at an mbarrier stands on
	// some way: a thread that others bring data to waits once for several reads, under conditions that a walk does not see
	copied                         bitset
	waited, uncommitted, signalled bool
}

func newState(k *kernel) *state {
	return &state{
		defined: newBitset(len(k.types)), guarded: map[int32]Reg{}, writing: map[int32]int{}, reading: map[int32]int{},
		unfenced: newBitset(len(k.types)), copied: newBitset(len(k.shared) + 1),
	}
}

func (s *state) clone() *state {
	c := *s
	c.defined, c.unfenced, c.copied = s.defined.clone(), s.unfenced.clone(), s.copied.clone()
	c.guarded, c.writing, c.reading = maps.Clone(s.guarded), maps.Clone(s.writing), maps.Clone(s.reading)
	return &c
}

// join makes s hold what holds after either way.
func (s *state) join(t *state) {
	switch {
	case t.dead:
		return
	case s.dead:
		*s = *t.clone()
		return
	}
	s.defined.intersect(t.defined)
	maps.DeleteFunc(s.guarded, func(r int32, g Reg) bool { return t.guarded[r] != g })
	youngest(s.writing, t.writing)
	youngest(s.reading, t.reading)
	s.unfenced.union(t.unfenced)
	s.copied.union(t.copied)
	s.fenced = s.fenced && t.fenced
	s.waited = s.waited && t.waited
	s.uncommitted = s.uncommitted || t.uncommitted
	s.signalled = s.signalled || t.signalled
}

func youngest(into, from map[int32]int) {
	for r, age := range from {
		if old, ok := into[r]; !ok || age < old {
			into[r] = age
		}
	}
}

// commit ages the groups that were committed and closes the open one.
func (s *state) commit() {
	for _, m := range [...]map[int32]int{s.writing, s.reading} {
		for r := range m {
			m[r]++
		}
	}
}

// wait forgets the groups that are done once at most n are under way.
func (s *state) wait(n int) {
	for _, m := range [...]map[int32]int{s.writing, s.reading} {
		maps.DeleteFunc(m, func(_ int32, age int) bool { return age >= n && age >= 0 })
	}
}
