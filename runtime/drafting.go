package runtime

import (
	"slices"
	"time"

	"llmc/engine"
	"llmc/runtime/draft"
	"llmc/runtime/sched"
)

// Drafting says where guesses of the tokens that come next are from. The zero value: none are made.
type Drafting struct {
	// Tokens is how many guesses a sequence takes in a step at most. How many it does take is weighed in every step.
	Tokens int
	// Model guesses; it must have the vocabulary of the model that is served, and the engine alone may drive it. nil: what a sequence has said before is looked up.
	Model engine.Model
	// Context is how many tokens a sequence may have for Model.
	Context int
	// Share is how long a step of Model takes, of what one of the model that is served does, before any is measured.
	Share float64
}

// drafter makes guesses for the loop, between its steps. A nil drafter makes none.
type drafter struct {
	most    int
	model   *draft.Model // nil: n-grams
	now     func() time.Time
	verify  *draft.Costs // of steps, as the loop knows them
	guess   draft.Costs  // of the model's
	load    draft.Load
	all     draft.Rates
	ledger  draft.Ledger
	asking  time.Duration // that the guesses of the step in flight took
	outputs float64       // tokens that a generation has, on average
	rest    int           // steps that may be scheduled ahead before guesses are looked for again

	seqs    []*sched.Sequence // that take guesses in the next step
	asks    []draft.Ask       // of these
	asked   []*generation     // whose guesses are in the step in flight
	wanted  []*draft.Guess
	holders []*generation // that have pages of the model
	round   int
	tokens  []int32 // scratch
}

// guesser is what the drafter keeps of a generation.
type guesser struct {
	index draft.Index
	match draft.Match
	guess draft.Guess
	place draft.Place
	round int // in which the model guessed for it last; 0: it has nothing of it

	rates             draft.Rates
	class             draft.Class
	drafted, accepted int     // verified so far
	balance           float64 // seconds that guesses have saved, less those that they have taken
	waited, patience  int     // steps without a guess that there was; steps after which one is tried all the same
}

const (
	usualOutput = 128 // tokens of a generation, before any has ended
	keptOutput  = 0.95
	// unlikely guesses are tried again after so many steps without any, and after twice as many each time that they are wrong.
	leastPatience, mostPatience = 32, 1024
	// aheadSteps are scheduled ahead of each other after there was nothing to guess, on devices that take steps ahead.
	aheadSteps = 8
	// farBehind is how many tokens the model may lag behind a sequence without its having to pay.
	farBehind = 16
	// stake is what a sequence may lose by guesses, of the time that its tokens took so far: short answers end before there is experience.
	stake = 0.06
	// entryFactor is how much more time a model's guesses have to save than it takes to catch up with a sequence.
	entryFactor = 1.5
)

func newDrafter(o *Options, vocab int, verify *draft.Costs) (*drafter, error) {
	c := &o.Drafting
	if c.Tokens <= 0 {
		return nil, nil
	}
	d := &drafter{most: c.Tokens, now: o.Now, outputs: usualOutput, verify: verify}
	d.load = draft.Load{Verify: verify, Presumed: c.Share}
	if c.Model != nil {
		begin := d.now()
		seconds := func() float64 { return d.now().Sub(begin).Seconds() }
		var err error
		if d.model, err = draft.NewModel(c.Model, vocab, c.Context, &d.guess, seconds); err != nil {
			return nil, err
		}
		d.load.Model = &d.guess
	}
	return d, nil
}

// propose gives the scheduler guesses for the next step. None may be in flight.
func (e *Engine) propose() {
	d := e.drafter
	if d == nil {
		return
	}
	e.mu.Lock()
	d.seqs = e.sched.Drafting(d.seqs[:0])
	outlook := e.sched.Outlook()
	e.mu.Unlock()
	d.asked, d.rest = d.asked[:0], aheadSteps
	if d.ledger.Rests() || !d.allot(outlook) {
		return
	}
	d.rest, d.asking = 0, 0
	if d.model != nil {
		begin := d.now()
		err := e.guard(d.ask)
		d.asking = d.now().Sub(begin)
		if err != nil {
			e.options.Log.Error("the draft model failed; no more guesses are made", "err", err)
			e.drafter = nil
			return
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, q := range d.seqs {
		if n := d.asks[i].Take; n > 0 {
			g := q.Owner().(*generation)
			d.asked = append(d.asked, g)
			e.sched.Propose(q, d.drafts(g, q, n))
		}
	}
}

// allot decides which sequences take how many guesses, and tells whether there are any.
func (d *drafter) allot(o sched.Outlook) bool {
	l := &d.load
	l.Tokens, l.Yields, l.Prompt, l.Room = o.Decoding+o.Prompt, o.Decoding, o.Prompt, o.Room
	if len(d.seqs) == 0 || l.Room == 0 || o.Prompt == 0 && !d.verify.Known(l.Tokens) {
		return false // what a step takes without guesses has to be known before it is weighed against one with them
	}
	d.asks = d.asks[:0]
	for _, q := range d.seqs {
		d.asks = append(d.asks, d.consider(q))
	}
	l.Allot(d.asks)
	pays := l.Pays()
	taken, room := false, l.Room
	for i := range d.asks {
		room -= d.asks[i].Take
	}
	for i, q := range d.seqs {
		a, s := &d.asks[i], &q.Owner().(*generation).guesses
		switch {
		case a.Take > 0:
			s.waited = 0
		case a.Most > 0 && pays && room > 0:
			if s.waited++; s.waited >= max(s.patience, leastPatience) {
				a.Take, s.waited, s.patience = 1, 0, min(2*max(s.patience, leastPatience), mostPatience)
				room--
			}
		}
		taken = taken || a.Take > 0
	}
	return taken
}

// consider says what guesses there are for a sequence.
func (d *drafter) consider(q *sched.Sequence) draft.Ask {
	s, tokens := &q.Owner().(*generation).guesses, q.Tokens()
	most := min(d.most, q.MostDrafts())
	if d.model != nil {
		s.class = draft.OfModel
		a := draft.Ask{Most: min(most, d.model.Most(len(tokens))), Chance: s.rates.Chance(&d.all, s.class)}
		if behind := d.model.Behind(&s.place, tokens); behind > farBehind && !d.enters(q, a, behind) {
			a.Most = 0
		}
		return a
	}
	s.match = s.index.Find(tokens)
	if s.match.Length == 0 {
		return draft.Ask{}
	}
	s.class = s.match.Class()
	return draft.Ask{Most: d.affordable(s, q, most), Chance: s.rates.Chance(&d.all, s.class)}
}

// affordable returns how many guesses of at most most a sequence can lose: all of them may be wrong.
func (d *drafter) affordable(s *guesser, q *sched.Sequence, most int) int {
	stakes := s.balance + stake*float64(q.Outputs())*d.plain()
	n := most
	for n > 0 && d.verify.Beyond(d.load.Tokens, n) > stakes {
		n--
	}
	return n
}

// plain is the time of a token in a step without guesses.
func (d *drafter) plain() float64 { return d.verify.Of(d.load.Tokens) / float64(d.load.Yields) }

// enters tells whether guesses for a sequence are likely to save more time than the model needs to catch up with it.
func (d *drafter) enters(q *sched.Sequence, a draft.Ask, behind int) bool {
	with, without := d.load.Allot([]draft.Ask{a})
	if with <= without {
		return false
	}
	steps := min(float64(q.Remaining()), d.outputs)
	saved := steps * d.verify.Of(d.load.Tokens) * (1 - without/with)
	return saved >= entryFactor*d.load.ModelCost(behind)
}

// ask has the model guess.
func (d *drafter) ask() error {
	d.round++
	d.wanted = d.wanted[:0]
	for i, q := range d.seqs {
		if d.asks[i].Take == 0 {
			continue
		}
		g := q.Owner().(*generation)
		s := &g.guesses
		if s.round == 0 {
			d.holders = append(d.holders, g)
		}
		s.round = d.round
		s.guess.Sequence, s.guess.Most, s.guess.Place = q, d.asks[i].Take, &s.place
		d.wanted = append(d.wanted, &s.guess)
	}
	return d.model.Guess(d.wanted, d.evict)
}

// evict takes the model's pages from the sequence that it has not guessed for longest.
func (d *drafter) evict() bool {
	oldest := -1
	for i, g := range d.holders {
		if s := &g.guesses; s.round < d.round && (oldest < 0 || s.round < d.holders[oldest].guesses.round) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	s := &d.holders[oldest].guesses
	d.model.Forget(&s.place)
	s.round = 0
	d.holders = slices.Delete(d.holders, oldest, oldest+1)
	return true
}

// drafts returns n guesses, or as many as there are.
func (d *drafter) drafts(g *generation, q *sched.Sequence, n int) []int32 {
	if d.model != nil {
		return g.guesses.guess.Drafts
	}
	d.tokens = g.guesses.match.Append(d.tokens[:0], q.Tokens(), n)
	return d.tokens
}

// learn takes in what a step took and what became of the guesses in it.
func (d *drafter) learn(tokens int, took time.Duration) {
	if d == nil {
		return
	}
	right, guesses := 0, max(tokens-d.load.Tokens, 1)
	// A step that somebody else's work has slowed down says nothing about guesses.
	usual := min(took.Seconds(), 1.5*d.verify.Of(tokens)) + d.asking.Seconds()
	each := max(usual-d.verify.Of(d.load.Tokens), 0) / float64(guesses)
	for _, g := range d.asked {
		s := &g.guesses
		drafted, accepted := g.seq.Verified()
		s.rates.Record(&d.all, s.class, drafted-s.drafted, accepted-s.accepted)
		s.balance += float64(accepted-s.accepted)*d.plain() - float64(drafted-s.drafted)*each
		if accepted > s.accepted {
			s.patience = 0
			right += accepted - s.accepted
		}
		s.drafted, s.accepted = drafted, accepted
	}
	if len(d.asked) > 0 && d.load.Prompt == 0 {
		d.ledger.Book(usual, d.plain()*float64(d.load.Yields+right))
	}
	d.asked = d.asked[:0]
}

// waits tells whether the step in flight has to be done before the next one is scheduled, since there may be guesses for that.
func (d *drafter) waits() bool {
	if d == nil {
		return false
	}
	d.rest--
	return d.rest < 0
}

// ended forgets a generation, which had so many tokens.
func (d *drafter) ended(g *generation, outputs int) {
	if d == nil {
		return
	}
	if outputs > 0 {
		d.outputs += (1 - keptOutput) * (float64(outputs) - d.outputs)
	}
	d.all.Fade()
	if d.model != nil {
		if at := slices.Index(d.holders, g); at >= 0 {
			d.holders = slices.Delete(d.holders, at, at+1)
		}
		d.model.Forget(&g.guesses.place)
	}
	g.guesses = guesser{}
}

// relieve lets go of what was needed for the last step.
func (d *drafter) relieve() {
	if d == nil {
		return
	}
	d.seqs, d.asks, d.asked, d.wanted, d.tokens = nil, nil, nil, nil, nil
	if d.model != nil {
		d.model.Relieve()
	}
}
