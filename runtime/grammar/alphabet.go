package grammar

import (
	"crypto/sha256"
	"slices"
	"unicode/utf8"
)

const (
	broadFrom    = 24 // ASCII bytes that may follow at a place at which walks are worth folding
	mostFolds    = 3  // alphabets of a rule, about
	mostJoined   = 40 // kinds of bytes of an alphabet that several partitions are joined in
	fewLetters   = 6  // told apart from all others, they are those of words
	maxFoldWork  = 1 << 17
	deadByte     = 0xff // label of bytes that lead nowhere
	mostLabels   = 0xfe
	heldFolds    = 16
	mostFoldSize = 8 << 20
	mostFolded   = 1 << 15 // nodes of a folded tree
)

// alphabetName tells alphabets apart.
type alphabetName [16]byte

// folds are the alphabets of a rule, and of which of them each of its states is a place.
type folds struct {
	alphabets []*alphabet
	names     []alphabetName
	member    []uint8 // by state, a bit for each
}

// labels is which bytes a state tells apart: equal labels lead to the same state.
type labels [256]byte

func (s *dfaState) labels() (l labels, live int, ok bool) {
	for b := range l {
		l[b] = deadByte
	}
	known := map[int32]byte{}
	for _, e := range s.edges {
		label, seen := known[e.to]
		if !seen {
			label = byte(len(known))
			known[e.to] = label
		}
		for b := int(e.lo); b <= int(e.hi); b++ {
			l[b] = label
			if b < utf8.RuneSelf {
				live++
			}
		}
	}
	return l, live, len(known) < mostLabels
}

// partition is the labels that some states of a rule have in common.
type partition struct {
	labels
	live  int // ASCII bytes that may follow
	score int // bytes that lead to these states
}

// broadest are the partitions at which many bytes may follow, those first that most ways lead to.
func broadest(rows []partition) (order []int) {
	for i := range rows {
		if rows[i].live >= broadFrom && !rows[i].spells() {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return rows[b].score - rows[a].score })
	return order
}

// folding chooses the alphabets of a rule that calls no others, none where that is not worth it; nil: the rule is too large.
func (d *dfa) folding() *folds {
	if len(d.states) > maxFoldWork {
		return nil
	}
	var rows []partition
	index := map[labels]int{}
	of := make([]int, len(d.states))
	for i := range d.states {
		l, live, ok := d.states[i].labels()
		if !ok || len(d.states[i].calls) > 0 {
			return nil
		}
		at, known := index[l]
		if !known {
			at = len(rows)
			index[l] = at
			rows = append(rows, partition{labels: l, live: live})
		}
		of[i] = at
	}
	for i := range d.states {
		for _, e := range d.states[i].edges {
			rows[of[e.to]].score += int(e.hi-e.lo) + 1
		}
	}
	f := &folds{member: make([]uint8, len(d.states))}
	covered := make([]bool, len(rows))
	for _, at := range broadest(rows) {
		if covered[at] || len(f.alphabets) >= mostFolds {
			continue
		}
		base := d.draft(rows[at].labels, rows, of)
		joint := base
		if finer := joined(rows, at, covered); finer != rows[at].labels {
			joint = d.draft(finer, rows, of)
		}
		if base.whole && !joint.whole { // a character is worth more than a place
			joint = base
		}
		added := f.add(joint, d, of, covered)
		if joint != base && f.add(base, d, of, covered) && added {
			f.alphabets[len(f.alphabets)-1].spare = true
		}
	}
	return f
}

// draft is an alphabet, and the rows that it is for.
type draft struct {
	*alphabet
	rows []bool
}

// draft is the alphabet of the states that tell no more bytes apart than finer.
func (d *dfa) draft(finer labels, rows []partition, of []int) *draft {
	coarser := make([]bool, len(rows))
	for i := range rows {
		coarser[i] = finer.tells(&rows[i].labels)
	}
	return &draft{d.alphabet(&finer, func(state int32) bool { return coarser[of[state]] }), coarser}
}

// add adds an alphabet and notes of which rows it is; false: it is not worth it.
func (f *folds) add(a *draft, d *dfa, of []int, covered []bool) bool {
	if a.tameASCII() < broadFrom { // walks would not stay where bytes are alike
		return false
	}
	for i, is := range a.rows {
		covered[i] = covered[i] || is
	}
	bit := uint8(1) << len(f.alphabets)
	for i := range d.states {
		if a.rows[of[i]] && len(d.states[i].edges) > 0 {
			f.member[i] |= bit
		}
	}
	f.alphabets, f.names = append(f.alphabets, a.alphabet), append(f.names, a.name())
	return true
}

// joined is a partition that tells apart what one row does, and what others do of which it is not made too fine: walks go from places of one of them to places of others.
func joined(rows []partition, at int, covered []bool) labels {
	l := rows[at].labels
	for _, i := range broadest(rows) {
		if covered[i] || i == at {
			continue
		}
		if both, count := l.join(&rows[i].labels); count <= mostJoined && !both.spells() {
			l = both
		}
	}
	return l
}

// join tells apart what either tells apart.
func (l *labels) join(other *labels) (both labels, count int) {
	known := map[[2]byte]byte{}
	for b := range l {
		pair := [2]byte{l[b], other[b]}
		label, seen := known[pair]
		if !seen {
			label = byte(len(known))
			if pair == [2]byte{deadByte, deadByte} {
				label = deadByte
			}
			known[pair] = label
		}
		both[b] = label
	}
	return both, len(known)
}

// spells tells whether a few letters are told apart from others, as where words are expected: with such an alphabet hardly two tokens of letters are alike.
func (l *labels) spells() bool {
	var letters [256]int
	for c := byte('a'); c <= 'z'; c++ {
		letters[l[c]]++
		letters[l[c-'a'+'A']]++
	}
	return slices.ContainsFunc(letters[:], func(n int) bool { return n > 0 && n < fewLetters })
}

// tameASCII counts the ASCII bytes that lead from such a place to such a place.
func (a *alphabet) tameASCII() (n int) {
	for b := range utf8.RuneSelf {
		if a.tame[b] && !a.never[b] {
			n++
		}
	}
	return n
}

// tells tells whether all bytes that others tell apart are told apart here too.
func (l *labels) tells(others *labels) bool {
	var label [256]int
	for b := range l {
		switch known := &label[l[b]]; {
		case *known == 0:
			*known = int(others[b]) + 1
		case *known != int(others[b])+1:
			return false
		}
	}
	return true
}

// alphabet is that of the states for which in is true, all of which tell no more bytes apart than finer.
func (d *dfa) alphabet(finer *labels, in func(state int32) bool) *alphabet {
	a := &alphabet{}
	var first [256]int
	for b := range 256 {
		if first[finer[b]] == 0 {
			first[finer[b]] = b + 1
		}
		a.same[b] = byte(first[finer[b]] - 1)
		a.tame[b], a.never[b] = true, true
	}
	var begins [257]bool
	for i := range d.states {
		for _, e := range d.states[i].edges {
			begins[e.lo], begins[int(e.hi)+1] = true, true
			for b := int(e.lo); b <= int(e.hi) && d.states[e.to].final; b++ {
				a.exits[b] = true
			}
			if !in(int32(i)) {
				continue
			}
			for b := int(e.lo); b <= int(e.hi); b++ {
				a.never[b] = false
				a.tame[b] = a.tame[b] && in(e.to)
				a.ends[b] = a.ends[b] || d.states[e.to].final
			}
		}
	}
	for b := range 256 {
		if a.other[b] = byte(b); b > 0 && !begins[b] {
			a.other[b] = a.other[b-1]
		}
	}
	a.whole = d.wholeChars(a, in)
	return a
}

// wholeChars looks for a byte that leads, from every state, to where every character beyond ASCII leads.
func (d *dfa) wholeChars(a *alphabet, in func(state int32) bool) bool {
	possible := map[byte]bool{}
	for b := range byte(utf8.RuneSelf) {
		if a.tame[b] && a.same[b] < utf8.RuneSelf {
			possible[a.same[b]] = true
		}
	}
	for i := range d.states {
		if !in(int32(i)) {
			continue
		}
		to, ok := d.beyondASCII(int32(i))
		if !ok {
			return false
		}
		for b := range possible {
			if d.next(int32(i), b) != to {
				delete(possible, b)
			}
		}
	}
	for b := range byte(utf8.RuneSelf) {
		if possible[b] {
			a.char = b
			return true
		}
	}
	return false
}

// beyondASCII is the state that every character beyond ASCII leads to, -1 where none leads anywhere; ok is false where they lead to different ones.
func (d *dfa) beyondASCII(from int32) (to int32, ok bool) {
	to = -2
	meetAt := func(at int32) bool {
		if to == -2 {
			to = at
		}
		return to == at
	}
	var follow func(at int32, ranges []byteRange) bool
	follow = func(at int32, ranges []byteRange) bool {
		if len(ranges) == 0 {
			return meetAt(at)
		}
		good := true
		meet(edge{ranges[0], 0}, d.states[at].edges, func(_ byteRange, next int32) {
			if next == -1 {
				good = good && meetAt(-1)
			} else {
				good = good && follow(next, ranges[1:])
			}
		})
		return good
	}
	ok = true
	runes(utf8.RuneSelf, maxRune).utf8Sequences(func(ranges []byteRange) { ok = ok && follow(from, ranges) })
	return to, ok
}

// next is the state behind a byte; -1: there is none.
func (d *dfa) next(at int32, b byte) int32 {
	for _, e := range d.states[at].edges {
		if e.lo <= b && b <= e.hi {
			return e.to
		}
	}
	return -1
}

func (a *alphabet) name() (name alphabetName) {
	h := sha256.New()
	h.Write(a.same[:])
	h.Write(a.other[:])
	for b := range 256 {
		flags := byte(0)
		for i, set := range []bool{a.tame[b], a.never[b], a.ends[b], a.exits[b], a.whole} {
			if set {
				flags |= 1 << i
			}
		}
		h.Write([]byte{flags})
	}
	h.Write([]byte{a.char})
	copy(name[:], h.Sum(nil))
	return name
}
