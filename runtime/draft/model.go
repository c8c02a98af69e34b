package draft

import (
	"fmt"

	"llmc/engine"
	"llmc/runtime/kv"
)

// Model guesses by a model of its own, all sequences together, a step for each guess. It has its own KV pages, in which a beginning of each sequence lies: what
// its steps computed for guesses that were wrong is written over.
type Model struct {
	model   engine.Model
	limits  engine.Settings
	vocab   int
	pool    *kv.Pool
	costs   *Costs
	step    engine.Step
	out     []engine.Sampled
	choices []engine.Sampling // of the rows of a step
	seconds func() float64    // a clock
}

// Place is what the model has of a sequence. The zero value is nothing.
type Place struct {
	table   kv.Table
	known   int     // leading tokens whose keys and values are there
	guessed []int32 // tokens behind them for which there are some too, if they were right
}

// Sequence is what is guessed for.
type Sequence interface {
	Tokens() []int32
	// Sampling says how the token behind so many guesses is chosen.
	Sampling(guesses int) *engine.Sampling
}

// Guess asks for guesses of what comes next in a sequence.
type Guess struct {
	Sequence Sequence
	Most     int
	Place    *Place
	Drafts   []int32 // the guesses, in memory that is used again
	tokens   []int32
}

// NewModel returns what alone may drive the model from now on. It guesses tokens below vocab in sequences of up to context tokens; costs learns what
// its steps take by a clock.
func NewModel(model engine.Model, vocab, context int, costs *Costs, seconds func() float64) (*Model, error) {
	limits, pages := model.Limits()
	limits.MaxContext = min(limits.MaxContext, context)
	limits.MaxSequences = min(limits.MaxSequences, limits.MaxStepTokens, limits.MaxRows)
	if limits.MaxSequences < 1 || pages < 1 || limits.PageSize < 1 {
		return nil, fmt.Errorf("draft model: room for %d sequences in %d pages of %d", limits.MaxSequences, pages, limits.PageSize)
	}
	return &Model{
		model: model, limits: limits, vocab: vocab, pool: kv.New(pages, limits.PageSize, kv.Options{}), costs: costs, seconds: seconds,
		out: make([]engine.Sampled, limits.MaxSequences), choices: make([]engine.Sampling, limits.MaxSequences),
	}, nil
}

// Behind returns how many tokens the model has to compute before it can guess what follows tokens.
func (m *Model) Behind(p *Place, tokens []int32) int {
	m.settle(p, tokens)
	return len(tokens) - p.known
}

// Most returns how many guesses fit behind so many tokens.
func (m *Model) Most(tokens int) int { return max(0, m.limits.MaxContext-tokens) }

// settle finds out which of the last guesses were right.
func (m *Model) settle(p *Place, tokens []int32) {
	last := len(tokens) - 1 // which is always computed: its row is wanted
	if p.known == 0 {
		p.known = m.pool.Match(&p.table, tokens[:last], false)
	}
	for _, id := range p.guessed {
		if p.known >= last || tokens[p.known] != id {
			break
		}
		p.known++
	}
	p.known, p.guessed = min(p.known, last), p.guessed[:0]
}

// Holds tells whether the model has pages of a sequence.
func (p *Place) Holds() bool { return len(p.table.Pages()) > 0 }

// Forget gives the pages of a sequence back.
func (m *Model) Forget(p *Place) {
	m.pool.Release(&p.table)
	*p = Place{}
}

// Guess fills in the drafts of all guesses, none where there is no room. evict gives pages of other sequences back and tells whether there were any.
func (m *Model) Guess(guesses []*Guess, evict func() bool) error {
	for _, g := range guesses {
		g.Drafts = g.Drafts[:0]
	}
	guesses = guesses[:min(len(guesses), m.limits.MaxSequences)]
	for _, g := range guesses {
		g.tokens = g.Sequence.Tokens()
		m.settle(g.Place, g.tokens)
		g.Most = min(g.Most, m.Most(len(g.tokens)))
		for g.Most > 0 && !m.pool.Reserve(&g.Place.table, len(g.tokens)+g.Most-1) {
			if !evict() {
				g.Most = 0
			}
		}
	}
	if err := m.catchUp(guesses); err != nil {
		return err
	}
	for depth := 1; ; depth++ {
		m.step.Reset()
		for _, g := range guesses {
			if g.Most > depth && len(g.Drafts) == depth {
				m.step.IDs = append(m.step.IDs, g.Drafts[depth-1])
				m.end(g, len(g.tokens)+depth-1)
			}
		}
		if m.step.T() == 0 {
			return nil
		}
		if err := m.run(); err != nil {
			return err
		}
		row := 0
		for _, g := range guesses {
			if g.Most > depth && len(g.Drafts) == depth {
				g.Place.guessed = append(g.Place.guessed, g.Drafts[depth-1])
				m.take(g, row)
				row++
			}
		}
	}
}

// catchUp computes what sequences have beyond what the model knows of them, and their first guesses.
func (m *Model) catchUp(guesses []*Guess) error {
	for first := 0; first < len(guesses); {
		m.step.Reset()
		n := first
		for room := m.limits.MaxStepTokens; n < len(guesses) && room > 0; n++ {
			g := guesses[n]
			if g.Most == 0 {
				continue
			}
			p := g.Place
			chunk := g.tokens[p.known:][:min(room, len(g.tokens)-p.known)]
			m.step.IDs = append(m.step.IDs, chunk...)
			room -= len(chunk)
			from := p.known
			p.known += len(chunk)
			if m.end(g, from); p.known < len(g.tokens) {
				m.step.Rows = m.step.Rows[:len(m.step.Rows)-1]
				break
			}
		}
		if m.step.T() > 0 {
			if err := m.run(); err != nil {
				return err
			}
		}
		row := 0
		for ; first < n; first++ {
			if g := guesses[first]; g.Most > 0 {
				m.pool.Commit(&g.Place.table, g.tokens)
				m.take(g, row)
				row++
			}
		}
	}
	return nil
}

// end makes what was added to the step's tokens those of a sequence from a position on, and asks for the token behind them.
func (m *Model) end(g *Guess, from int) {
	m.step.Pages = append(m.step.Pages, g.Place.table.Pages()...)
	m.step.EndSequence(from, 0, m.limits.PageSize)
	row := m.step.NextRow()
	choice := &m.choices[len(m.step.Rows)]
	*choice = *g.Sequence.Sampling(len(g.Drafts))
	choice.Logprobs = -1
	row.Sampling = choice
	m.step.Rows = append(m.step.Rows, row)
}

// take makes what a row sampled the sequence's next guess. What the model served can not sample ends the guesses.
func (m *Model) take(g *Guess, row int) {
	if id := m.out[row].Token; id >= 0 && int(id) < m.vocab {
		g.Drafts = append(g.Drafts, id)
	}
}

func (m *Model) run() error {
	begin := m.seconds()
	out := m.out[:len(m.step.Rows)]
	clear(out)
	if err := m.model.Step(&m.step, out); err != nil {
		return err
	}
	m.costs.Observe(m.step.T(), m.seconds()-begin)
	return nil
}

// Relieve gives back the memory of steps and of pages that hold nothing.
func (m *Model) Relieve() {
	if r, ok := m.model.(engine.Reliever); ok {
		r.RelieveSteps()
		r.RelievePages(0, m.pool.Total(), func(page int32) bool { return !m.pool.Free(page) })
	}
}
