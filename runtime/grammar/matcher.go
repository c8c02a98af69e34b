package grammar

import "slices"

// Grammar is a compiled description for one vocabulary. It is shared by all outputs that keep to it, on any goroutine.
type Grammar struct {
	v        *Vocabulary
	walker   *walker
	prepared chan struct{} // closed when no more masks are made ahead
}

func newGrammar(v *Vocabulary, root *rule) (*Grammar, error) {
	p, err := link(newWork(), root, v.longest)
	if err != nil {
		return nil, err
	}
	v.prepare(p)
	g := &Grammar{v: v, walker: newWalker(p, v), prepared: make(chan struct{})}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch m := g.walker.firstMask(g.walker.begin(0)); {
	case m == nil:
		return nil, tooLarge("what may come first")
	case !m.text && g.walker.begin(0).leaves:
		return nil, wrong("", "only the empty text matches")
	case !m.text:
		return nil, wrong("", "no token of the vocabulary can begin what matches")
	}
	g.prepareAhead()
	return g, nil
}

// Size is how many tokens the vocabulary has that the grammar was compiled for.
func (g *Grammar) Size() int { return g.v.size }

// Ends are the ids that end an output.
func (g *Grammar) Ends() []int32 { return slices.Clone(g.v.ends) }

// Matches tells whether a whole text is in the language.
func (g *Grammar) Matches(text []byte) bool {
	g.v.mu.Lock()
	defer g.v.mu.Unlock()
	return g.walker.read(g.walker.begin(0), text).leaves
}

// Matcher follows one output.
type Matcher struct {
	g     *Grammar
	s     *state
	begun bool // there is a token
}

// Start returns the matcher of an output that is empty.
func (g *Grammar) Start() *Matcher {
	g.v.mu.Lock()
	defer g.v.mu.Unlock()
	return &Matcher{g: g, s: g.walker.begin(0)}
}

// Progress says how an output may go on.
type Progress uint8

// What there is behind an output.
const (
	Open     Progress = iota // more text, or also the end
	Complete                 // nothing: the text is complete and no token of text can follow
	Stuck                    // nothing, though the text is not complete: the vocabulary has no token for what must follow, or too many places would have to be looked at
	Astray                   // the last token was not allowed
)

// Accept takes the next token of the output, none that ends it.
func (m *Matcher) Accept(token int32) Progress {
	m.g.v.mu.Lock()
	defer m.g.v.mu.Unlock()
	w := m.g.walker
	m.s = w.adopt(m.s)
	to := m.behind(m.s, token, !m.begun)
	if to == dead {
		return Astray
	}
	m.s, m.begun = to, true
	switch next := w.mask(to); {
	case next == nil:
		return Stuck
	case next.text:
		return Open
	case to.leaves:
		return Complete
	}
	return Stuck
}

// Allowed returns which tokens may come behind the output and guesses of its next tokens, as engine.Sampling.Allowed; nil where a guess is not allowed itself.
// It is never written to again. Where it has been returned before for what the output is at, nothing is allocated.
func (m *Matcher) Allowed(guesses []int32) []uint32 {
	m.g.v.mu.Lock()
	defer m.g.v.mu.Unlock()
	w := m.g.walker
	m.s = w.adopt(m.s)
	s, begun := m.s, m.begun
	for _, id := range guesses {
		if s = m.behind(s, id, !begun); s == dead {
			return nil
		}
		begun = true
	}
	next := w.mask
	if !begun {
		next = w.firstMask
	}
	if allowed := next(s); allowed != nil && (allowed.text || s.leaves) {
		return allowed.allowed
	}
	return nil
}

// behind is the state behind a token, which is the output's first or not.
func (m *Matcher) behind(s *state, token int32, first bool) *state {
	v := m.g.v
	if token < 0 || int(token) >= v.size {
		return dead
	}
	text := v.tokens.at(token)
	if first {
		if other, ok := v.firstText(token); ok {
			text = other
		}
	}
	if len(text) == 0 {
		return dead
	}
	return m.g.walker.read(s, text)
}
