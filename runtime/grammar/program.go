package grammar

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
)

// program is the automata of all rules of a grammar as one table.
type program struct {
	states  []programState
	edges   []classEdge
	calls   []callEdge // whose rule is the state that the rule begins with
	class   [256]uint8 // bytes that no edge tells apart are one class
	classes int
	sample  []byte // a byte of each class
	bytes   int64  // that all this takes, about
	folds   []*folds
}

type programState struct {
	edges, calls span
	final        bool
	last         bool      // final, and nothing leads on
	same         int32     // the state whose masks this one has: itself, or one that no token tells apart from it
	local        placeName // under which the state's masks are kept
	folds        *folds    // of a rule that calls no others, whose state local.at same is
}

// noFolds are those of a rule that calls no others, but has no alphabets.
var noFolds = &folds{}

type span struct{ from, to uint32 }

// classEdge is an edge over classes of bytes.
type classEdge struct {
	lo, hi uint8
	to     int32
}

// placeName says what a state of a rule is: the same name has the same tokens, in every grammar.
type placeName struct {
	rule [16]byte // digest of the rule's automaton, or of the grammar where it calls others
	at   int32
}

// link makes a program of a rule and all that it calls, for tokens of at most longest bytes.
func link(w *work, root *rule, longest int) (*program, error) {
	w.number(root)
	var automata []*dfa
	for i := 0; i < len(w.rules) && w.err == nil; i++ {
		body := w.rules[i].body
		if body == nil {
			return nil, wrong("", "rule %.64q is not defined", w.rules[i].name)
		}
		if body.op == opWords {
			automata = append(automata, wordsAutomaton(w, body.words))
		} else {
			automata = append(automata, determinize(newNFA(w, body)))
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	if !pruneAll(automata) {
		return nil, wrong("", "nothing matches")
	}
	if err := w.leftRecursion(automata); err != nil {
		return nil, err
	}
	return flatten(automata, longest)
}

// pruneAll takes what matches nothing out of all rules and tells whether the first one matches anything.
func pruneAll(automata []*dfa) bool {
	matches := make([]bool, len(automata))
	for changed := true; changed; {
		changed = false
		for i, d := range automata {
			if !matches[i] && d.alive(func(r int32) bool { return matches[r] })[0] {
				matches[i], changed = true, true
			}
		}
	}
	for _, d := range automata {
		d.prune(func(r int32) bool { return matches[r] })
	}
	return matches[0]
}

// leftRecursion refuses rules that call themselves before a byte has been read: their stack would have no end.
func (w *work) leftRecursion(automata []*dfa) error {
	nullable := make([]bool, len(automata))
	visit := func(rule int, called func(r int32)) bool {
		d := automata[rule]
		seen, list, null := map[int32]bool{0: true}, []int32{0}, false
		for i := 0; i < len(list); i++ {
			s := &d.states[list[i]]
			null = null || s.final
			for _, c := range s.calls {
				called(c.rule)
				if nullable[c.rule] && !seen[c.to] {
					seen[c.to] = true
					list = append(list, c.to)
				}
			}
		}
		return null
	}
	for changed := true; changed; {
		changed = false
		for i := range automata {
			if !nullable[i] && visit(i, func(int32) {}) {
				nullable[i], changed = true, true
			}
		}
	}
	begins := make([][]int32, len(automata))
	for i := range automata {
		visit(i, func(r int32) { begins[i] = append(begins[i], r) })
	}
	if at := cycle(begins); at >= 0 {
		return wrong("", "rule %.64q calls itself before anything is read (left recursion); write it with a repetition", w.rules[at].name)
	}
	return nil
}

// cycle returns a node of a graph from which ways lead back to it; -1: there is none.
func cycle(next [][]int32) int {
	waits := make([]int, len(next)) // Kahn's topological order: what remains is on cycles or behind them
	for _, list := range next {
		for _, to := range list {
			waits[to]++
		}
	}
	var ready []int32
	for i, n := range waits {
		if n == 0 {
			ready = append(ready, int32(i))
		}
	}
	for i := 0; i < len(ready); i++ {
		for _, to := range next[ready[i]] {
			if waits[to]--; waits[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	if len(ready) == len(next) {
		return -1
	}
	before := func(at int) int { // every node that remains has one before it that does
		for i, list := range next {
			if waits[i] > 0 && slices.Contains(list, int32(at)) {
				return i
			}
		}
		panic("grammar: a node waits for none")
	}
	at, seen := slices.IndexFunc(waits, func(n int) bool { return n > 0 }), map[int]bool{}
	for !seen[at] {
		seen[at] = true
		at = before(at)
	}
	return at
}

// flatten numbers the states of all automata and the classes of bytes.
func flatten(automata []*dfa, longest int) (*program, error) {
	p := &program{}
	first := make([]int32, len(automata))
	var begins [257]bool
	total := int32(0)
	for i, d := range automata {
		first[i] = total
		total += int32(len(d.states))
		for j := range d.states {
			for _, e := range d.states[j].edges {
				begins[e.lo], begins[int(e.hi)+1] = true, true
			}
		}
	}
	if total > maxWordStates {
		return nil, tooLarge("%d states: more than %d", total, maxWordStates)
	}
	for b := range 256 {
		if b == 0 || begins[b] {
			p.sample = append(p.sample, byte(b))
		}
		p.class[b] = uint8(len(p.sample) - 1)
	}
	p.classes = len(p.sample)
	for i, d := range automata {
		for j := range d.states {
			p.append(&d.states[j], first[i], first)
		}
	}
	p.identify(automata, first, longest)
	const stateBytes, edgeBytes, callBytes = 60, 8, 8
	p.bytes += int64(len(p.states)*stateBytes + len(p.edges)*edgeBytes + len(p.calls)*callBytes)
	return p, nil
}

// identify says under which names the masks of states are kept, which states have the same ones, and how rules are folded.
func (p *program) identify(automata []*dfa, first []int32, longest int) {
	all := sha256.New()
	for _, d := range automata {
		d.digest(all)
	}
	for i, d := range automata {
		sum := all
		var foldable *folds
		var same []int32
		if !slices.ContainsFunc(d.states, func(s dfaState) bool { return len(s.calls) > 0 }) {
			sum = sha256.New()
			d.digest(sum)
			if !d.trie {
				same, foldable = d.alike(longest), d.folding()
			}
			if foldable != nil {
				p.folds = append(p.folds, foldable)
				p.bytes += int64(len(d.states))
			} else {
				foldable = noFolds
			}
		}
		var name placeName
		copy(name.rule[:], sum.Sum(nil))
		for j := range d.states {
			name.at = int32(j)
			if same != nil {
				name.at = same[j]
			}
			s := &p.states[first[i]+int32(j)]
			s.same = first[i] + name.at
			if sum == all {
				name.at = s.same
			}
			s.local, s.folds = name, foldable
		}
	}
}

func (p *program) append(s *dfaState, base int32, first []int32) {
	out := programState{final: s.final, last: s.final && len(s.edges)+len(s.calls) == 0}
	out.edges.from, out.calls.from = uint32(len(p.edges)), uint32(len(p.calls))
	for _, e := range s.edges {
		p.edges = append(p.edges, classEdge{p.class[e.lo], p.class[e.hi], base + e.to})
	}
	for _, c := range s.calls {
		p.calls = append(p.calls, callEdge{first[c.rule], base + c.to})
	}
	out.edges.to, out.calls.to = uint32(len(p.edges)), uint32(len(p.calls))
	p.states = append(p.states, out)
}

// digest writes all that an automaton is.
func (d *dfa) digest(h hash.Hash) {
	var b []byte
	for i := range d.states {
		s := &d.states[i]
		b = append(b[:0], 0)
		if s.final {
			b[0] = 1
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s.edges)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s.calls)))
		for _, e := range s.edges {
			b = binary.LittleEndian.AppendUint32(append(b, e.lo, e.hi), uint32(e.to))
		}
		for _, c := range s.calls {
			b = binary.LittleEndian.AppendUint32(b, uint32(c.rule))
			b = binary.LittleEndian.AppendUint32(b, uint32(c.to))
		}
		h.Write(b)
	}
	h.Write([]byte{0xff, byte(len(d.states)), byte(len(d.states) >> 8)})
}

// next is the state behind a byte of a class; -1: there is none.
func (p *program) next(at int32, class uint8) int32 {
	s := &p.states[at]
	for _, e := range p.edges[s.edges.from:s.edges.to] {
		if class <= e.hi {
			if class >= e.lo {
				return e.to
			}
			break
		}
	}
	return -1
}
