package grammar

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// dfa is the automaton of one rule: at most one edge for a byte, and one for a call. State 0 is its beginning.
type dfa struct {
	states []dfaState
	trie   bool // it is one: hardly any of its places are alike, or broad
}

type dfaState struct {
	edges []edge // ascending
	calls []callEdge
	final bool
}

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("%s %w", fmt.Sprintf(format, args...), ErrTooLarge)
}

// subsets finds sets of states of an nfa again by their contents.
type subsets struct {
	nfa    *nfa
	ids    map[string]int32
	sets   [][]int32
	mark   []int // by state: the last closure that it was found in
	round  int
	key    []byte
	within []int32
}

// determinize makes a deterministic automaton by the subset construction, calls being letters like bytes. (Rabin and Scott, "Finite automata and their
// decision problems", 1959.)
func determinize(n *nfa) *dfa {
	d, w := &dfa{}, n.work
	s := &subsets{nfa: n, ids: map[string]int32{}, mark: make([]int, len(n.states))}
	s.find([]int32{0})
	for i := 0; i < len(s.sets) && w.err == nil; i++ {
		w.states++
		if w.tooLarge(w.states, maxStates, "states") {
			break
		}
		var edges []edge
		var calls []callEdge
		state := dfaState{}
		for _, q := range s.sets[i] {
			edges = append(edges, n.states[q].edges...)
			calls = append(calls, n.states[q].calls...)
			state.final = state.final || q == 1
		}
		state.edges = s.split(edges)
		state.calls = s.called(calls)
		d.states = append(d.states, state)
	}
	return d
}

// find returns the number of the set of states that are reached over nothing.
func (s *subsets) find(from []int32) int32 {
	s.round++
	set := s.within[:0]
	visit := func(q int32) {
		if s.mark[q] != s.round {
			s.mark[q] = s.round
			set = append(set, q)
		}
	}
	for _, q := range from {
		visit(q)
	}
	for i := 0; i < len(set); i++ {
		for _, q := range s.nfa.states[set[i]].empty {
			visit(q)
		}
	}
	s.nfa.work.steps += len(set)
	s.within = set
	kept := set[:0:len(set)]
	for _, q := range set { // states that only lead on over nothing say nothing
		if st := &s.nfa.states[q]; q == 1 || len(st.edges) > 0 || len(st.calls) > 0 {
			kept = append(kept, q)
		}
	}
	slices.Sort(kept)
	s.key = s.key[:0]
	for _, q := range kept {
		s.key = binary.LittleEndian.AppendUint32(s.key, uint32(q))
	}
	id, ok := s.ids[string(s.key)]
	if !ok {
		id = int32(len(s.sets))
		s.ids[string(s.key)] = id
		s.sets = append(s.sets, slices.Clone(kept))
	}
	return id
}

// split makes edges over the same bytes one, and edges side by side that lead to the same state too.
func (s *subsets) split(edges []edge) []edge {
	var out []edge
	var begins [257]bool
	for _, e := range edges {
		begins[e.lo], begins[int(e.hi)+1] = true, true
	}
	var targets []int32
	for lo := 0; lo < 256; {
		hi := lo
		for hi < 255 && !begins[hi+1] {
			hi++
		}
		targets = targets[:0]
		for _, e := range edges {
			if int(e.lo) <= lo && lo <= int(e.hi) {
				targets = append(targets, e.to)
			}
		}
		if s.nfa.work.steps += len(edges); s.nfa.work.tooLarge(s.nfa.work.steps, maxSteps, "edges") {
			return nil
		}
		if len(targets) > 0 {
			out = appendEdge(out, byteRange{byte(lo), byte(hi)}, s.find(targets))
		}
		lo = hi + 1
	}
	return out
}

// appendEdge appends an edge behind those before it, or widens the last.
func appendEdge(edges []edge, r byteRange, to int32) []edge {
	if n := len(edges); n > 0 && edges[n-1].to == to && int(edges[n-1].hi)+1 == int(r.lo) {
		edges[n-1].hi = r.hi
		return edges
	}
	return append(edges, edge{r, to})
}

func (s *subsets) called(calls []callEdge) []callEdge {
	if len(calls) == 0 {
		return nil
	}
	slices.SortFunc(calls, func(a, b callEdge) int { return int(a.rule - b.rule) })
	var out []callEdge
	for i := 0; i < len(calls); {
		var targets []int32
		first := calls[i].rule
		for ; i < len(calls) && calls[i].rule == first; i++ {
			targets = append(targets, calls[i].to)
		}
		out = append(out, callEdge{first, s.find(targets)})
	}
	return out
}

// product is the automaton of what a matches and b matches too or, with without, does not. Neither calls rules.
func product(w *work, a, b *dfa, without bool) *dfa {
	const none = -1 // where b has no way on
	type pair struct{ a, b int32 }
	p, ids, pairs := &dfa{}, map[pair]int32{}, []pair(nil)
	find := func(at pair) int32 {
		id, ok := ids[at]
		if !ok {
			id = int32(len(pairs))
			ids[at], pairs = id, append(pairs, at)
		}
		return id
	}
	find(pair{0, 0})
	for i := 0; i < len(pairs); i++ {
		w.states++
		if w.tooLarge(w.states, maxStates, "states") {
			return p
		}
		at := pairs[i]
		left := &a.states[at.a]
		right := &dfaState{}
		if at.b != none {
			right = &b.states[at.b]
		}
		if len(left.calls)+len(right.calls) > 0 {
			w.fail(wrong("", "what is matched together with something else calls itself or other rules"))
			return p
		}
		s := dfaState{final: left.final && right.final != without}
		for _, e := range left.edges {
			meet(e, right.edges, func(r byteRange, to int32) {
				if to != none || without {
					s.edges = appendEdge(s.edges, r, find(pair{e.to, to}))
				}
			})
		}
		p.states = append(p.states, s)
	}
	p.prune(func(int32) bool { return true })
	return p
}

// meet cuts an edge where other edges begin and end; to is -1 where there is none.
func meet(e edge, others []edge, yield func(r byteRange, to int32)) {
	lo := int(e.lo)
	for _, o := range others {
		if int(o.hi) < lo || o.lo > e.hi {
			continue
		}
		if int(o.lo) > lo {
			yield(byteRange{byte(lo), o.lo - 1}, -1)
			lo = int(o.lo)
		}
		hi := min(o.hi, e.hi)
		yield(byteRange{byte(lo), hi}, o.to)
		lo = int(hi) + 1
	}
	if lo <= int(e.hi) {
		yield(byteRange{byte(lo), e.hi}, -1)
	}
}

// prune takes out what leads nowhere, where calls of rules for which matches is false match nothing. It tells whether anything matches.
func (d *dfa) prune(matches func(rule int32) bool) bool {
	alive := d.alive(matches)
	number := make([]int32, len(d.states))
	kept := d.states[:0]
	for i, s := range d.states {
		if !alive[i] && i > 0 {
			continue
		}
		number[i] = int32(len(kept))
		s.edges = slices.DeleteFunc(s.edges, func(e edge) bool { return !alive[e.to] })
		s.calls = slices.DeleteFunc(s.calls, func(c callEdge) bool { return !alive[c.to] || !matches(c.rule) })
		kept = append(kept, s)
	}
	d.states = kept
	for i := range d.states {
		for j := range d.states[i].edges {
			d.states[i].edges[j].to = number[d.states[i].edges[j].to]
		}
		for j := range d.states[i].calls {
			d.states[i].calls[j].to = number[d.states[i].calls[j].to]
		}
	}
	return len(alive) > 0 && alive[0]
}

// alive tells from which states a final one can be reached.
func (d *dfa) alive(matches func(rule int32) bool) []bool {
	before := make([][]int32, len(d.states))
	alive := make([]bool, len(d.states))
	var list []int32
	for i := range d.states {
		s := &d.states[i]
		for _, e := range s.edges {
			before[e.to] = append(before[e.to], int32(i))
		}
		for _, c := range s.calls {
			if matches(c.rule) {
				before[c.to] = append(before[c.to], int32(i))
			}
		}
		if s.final {
			alive[i] = true
			list = append(list, int32(i))
		}
	}
	for i := 0; i < len(list); i++ {
		for _, q := range before[list[i]] {
			if !alive[q] {
				alive[q] = true
				list = append(list, q)
			}
		}
	}
	return alive
}
