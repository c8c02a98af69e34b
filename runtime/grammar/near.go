package grammar

// In ambiguous grammars a mask consists of a hundred masks of places, and hashing the names of these takes longer than all else. Two tables that find them by the numbers at hand come before.

// mix spreads numbers that tell places apart over a table.
func mix(e *exit, at int32, frame uint32) uint32 {
	h := uint32(at)*0x9e3779b1 ^ frame*0x85ebca6b
	if e != nil && len(e.nodes) > 0 {
		h ^= e.nodes[0] * 0xc2b2ae35
	}
	return h ^ h>>15
}

const nearMasks = 1 << 11

// nearMask is a mask of a place that was asked for not long ago.
type nearMask struct {
	e    *exit
	name placeName
	mask *localMask // nil: none
}

// at is where a mask is if it was asked for not long ago.
func (k *keptMasks) at(e *exit, name *placeName) *nearMask {
	if k.near == nil {
		k.near = make([]nearMask, nearMasks)
	}
	return &k.near[mix(e, name.at, uint32(name.rule[0])|uint32(name.rule[1])<<8)%nearMasks]
}

// partSet is which parts a mask has already: a table with open addressing, whose slots hold only if they have the set's round.
type partSet struct {
	slots []partSlot // a power of two of them
	round uint32
	count int // of slots that hold
}

type partSlot struct {
	key   partKey
	round uint32
}

// clear takes all out.
func (s *partSet) clear() {
	if s.round++; s.round == 0 || len(s.slots) > 1<<12 { // the numbers of rounds begin anew, or the last mask was an unusual one
		s.slots, s.round = nil, 1
	}
	s.count = 0
}

// add puts a part in, and tells whether it was not there.
func (s *partSet) add(key partKey) bool {
	if 2*s.count >= len(s.slots) {
		s.grow()
	}
	last := uint32(len(s.slots) - 1)
	for i := mix(key.e, key.p.at, key.p.frame.id) & last; ; i = (i + 1) & last {
		slot := &s.slots[i]
		if slot.round != s.round {
			*slot = partSlot{key, s.round}
			s.count++
			return true
		}
		if slot.key == key {
			return false
		}
	}
}

func (s *partSet) grow() {
	before := s.slots
	s.slots, s.count = make([]partSlot, max(256, 2*len(before))), 0
	for _, slot := range before {
		if slot.round == s.round {
			s.add(slot.key)
		}
	}
}
