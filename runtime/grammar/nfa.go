package grammar

// nfa is the automaton of one rule as its expression has it: with edges over nothing.
type nfa struct {
	states []nfaState
	work   *work
}

type nfaState struct {
	edges []edge
	empty []int32
	calls []callEdge
}

type edge struct {
	byteRange
	to int32
}

// callEdge goes on at to once what rule matches has been read.
type callEdge struct{ rule, to int32 }

// work counts what a compilation takes and numbers the rules that it meets.
type work struct {
	numbers map[*rule]int32
	rules   []*rule
	nfa     int
	states  int
	steps   int
	err     error
}

func newWork() *work { return &work{numbers: map[*rule]int32{}} }

// fail keeps the first reason for which a description is refused; everything ends soon then.
func (w *work) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// tooLarge refuses a description whose count is above its bound.
func (w *work) tooLarge(count, most int, what string) bool {
	if count > most {
		w.fail(tooLarge("%s: more than %d", what, most))
	}
	return w.err != nil
}

func (w *work) number(r *rule) int32 {
	n, ok := w.numbers[r]
	if !ok {
		n = int32(len(w.rules))
		w.numbers[r] = n
		w.rules = append(w.rules, r)
		w.tooLarge(len(w.rules), maxRules, "rules")
	}
	return n
}

// newNFA makes the automaton of an expression, from state 0 to state 1.
func newNFA(w *work, e *expr) *nfa {
	n := &nfa{work: w}
	n.add()
	n.add()
	n.build(e, 0, 1)
	return n
}

func (n *nfa) add() int32 {
	n.states = append(n.states, nfaState{})
	n.work.nfa++
	n.work.tooLarge(n.work.nfa, maxNFAStates, "states")
	return int32(len(n.states) - 1)
}

func (n *nfa) skip(from, to int32) { n.states[from].empty = append(n.states[from].empty, to) }

func (n *nfa) over(from, to int32, r byteRange) {
	n.states[from].edges = append(n.states[from].edges, edge{r, to})
}

// build adds the ways of an expression between two states. Ways may lead back to from and out of to: expressions that repeat have states of their own.
func (n *nfa) build(e *expr, from, to int32) {
	if n.work.err != nil {
		return
	}
	switch e.op {
	case opText:
		for i := range len(e.text) {
			at := n.add()
			n.over(from, at, byteRange{e.text[i], e.text[i]})
			from = at
		}
		n.skip(from, to)
	case opClass:
		n.class(e.set, from, to)
	case opSeq:
		for _, sub := range e.subs {
			at := n.add()
			n.build(sub, from, at)
			from = at
		}
		n.skip(from, to)
	case opAlt:
		for _, sub := range e.subs {
			at := n.add()
			n.skip(from, at)
			n.build(sub, at, to)
		}
	case opRepeat:
		n.repeat(e, from, to)
	case opCall:
		n.states[from].calls = append(n.states[from].calls, callEdge{n.work.number(e.rule), to})
	case opGraph:
		n.graph(e.graph, from, to)
	case opBoth, opBut:
		n.combined(e, from, to)
	}
}

// class adds the characters of a set; those that end with the same bytes share states.
func (n *nfa) class(set runeSet, from, to int32) {
	known := map[string]int32{}
	var before func(ranges []byteRange) int32
	before = func(ranges []byteRange) int32 {
		if len(ranges) == 0 {
			return to
		}
		var key []byte
		for _, r := range ranges {
			key = append(key, r.lo, r.hi)
		}
		at, ok := known[string(key)]
		if !ok {
			at = n.add()
			known[string(key)] = at
			n.over(at, before(ranges[1:]), ranges[0])
		}
		return at
	}
	set.utf8Sequences(func(ranges []byteRange) { n.over(from, before(ranges[1:]), ranges[0]) })
}

func (n *nfa) repeat(e *expr, from, to int32) {
	sub := e.subs[0]
	if n.work.tooLarge(max(e.min, e.max), maxRepeat, "repetitions") {
		return
	}
	at := n.add()
	n.skip(from, at)
	for range e.min {
		next := n.add()
		n.build(sub, at, next)
		at = next
	}
	for range e.max - e.min {
		next := n.add()
		n.skip(at, to)
		n.build(sub, at, next)
		at = next
	}
	if e.max < 0 {
		next := n.add()
		n.build(sub, at, next)
		n.skip(next, at)
	}
	n.skip(at, to)
}

func (n *nfa) graph(g *graph, from, to int32) {
	at := make([]int32, g.nodes)
	for i := range at {
		at[i] = n.add()
	}
	n.skip(from, at[0])
	for _, e := range g.edges {
		n.build(e.over, at[e.from], at[e.to])
	}
	for _, f := range g.final {
		n.skip(at[f], to)
	}
}

// combined adds the product of two expressions.
func (n *nfa) combined(e *expr, from, to int32) {
	a, b := determinize(newNFA(n.work, e.subs[0])), determinize(newNFA(n.work, e.subs[1]))
	if n.work.err != nil {
		return
	}
	p := product(n.work, a, b, e.op == opBut)
	if n.work.err != nil {
		return
	}
	at := make([]int32, len(p.states))
	for i := range at {
		at[i] = n.add()
	}
	for i := range p.states {
		s := &p.states[i]
		for _, t := range s.edges {
			n.over(at[i], at[t.to], t.byteRange)
		}
		if s.final {
			n.skip(at[i], to)
		}
	}
	n.skip(from, at[0])
}
