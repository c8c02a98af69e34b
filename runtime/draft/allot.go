package draft

// Ask is a sequence that could take guesses in the next step.
type Ask struct {
	Most   int // guesses that there are
	Chance Chance
	Take   int     // set by Allot
	next   float64 // chance that the guess behind those taken, and all of them, are right
}

// Load is the step that guesses would be added to.
type Load struct {
	Tokens   int // that it computes without them
	Yields   int // that it samples: one for each sequence that has caught up
	Prompt   int // of Tokens, those that are somebody's prompt
	Room     int // guesses that it takes at most
	Verify   *Costs
	Model    *Costs  // of the steps of a model that guesses; nil: guesses cost nothing
	Presumed float64 // what Model takes for a step, of what Verify takes for it, before that is known

	order  []int // of the asks, one entry for each guess, the likeliest first
	depths []int // how many sequences have a first guess, a second, ..
}

// promptWorth is what a token of a prompt counts for, in sampled tokens, when time is to be spent on one or the other.
const promptWorth = 1.0 / 16

// leastGain is how much more tokens a second have to be expected of guesses: costs and chances are estimates, and no guess loses nothing.
const leastGain = 1.04

// Allot decides how many guesses each sequence takes: those with which the step gives most tokens for its time. Guesses are added from the most likely to the
// least, and all beginnings of that list are weighed, because costs do not rise evenly. It returns tokens a second with guesses and without.
func (l *Load) Allot(asks []Ask) (with, without float64) {
	yield, cost := float64(l.Yields)+promptWorth*float64(l.Prompt), l.Verify.Of(l.Tokens)
	for i := range asks {
		asks[i].Take, asks[i].next = 0, asks[i].Chance.First
	}
	if cost <= 0 || yield <= 0 {
		return 0, 0
	}
	with, without = yield/cost, yield/cost
	drafting, taken := 0.0, 0
	l.order, l.depths = l.order[:0], l.depths[:0]
	for len(l.order) < l.Room {
		i := likeliest(asks)
		if i < 0 {
			break
		}
		a := &asks[i]
		a.Take++
		yield += a.next
		a.next *= a.Chance.Rest
		drafting += l.deepen(a.Take)
		l.order = append(l.order, i)
		if rate := yield / (l.Verify.Of(l.Tokens+len(l.order)) + drafting); rate > with {
			with, taken = rate, len(l.order)
		}
	}
	if with < leastGain*without {
		with, taken = without, 0
	}
	for _, i := range l.order[taken:] {
		asks[i].Take--
	}
	return with, without
}

// likeliest returns the sequence whose next guess is most likely to count; -1: there are no more guesses.
func likeliest(asks []Ask) int {
	best := -1
	for i := range asks {
		if a := &asks[i]; a.Take < a.Most && (best < 0 || a.next > asks[best].next) {
			best = i
		}
	}
	return best
}

// deepen returns what another sequence with so many guesses adds to the time that they take to make.
func (l *Load) deepen(guesses int) float64 {
	if l.Model == nil {
		return 0
	}
	if guesses > len(l.depths) {
		l.depths = append(l.depths, 0)
	}
	n := &l.depths[guesses-1]
	*n++
	added := l.ModelCost(*n)
	if *n > 1 {
		added -= l.ModelCost(*n - 1)
	}
	return added
}

// Pays tells whether a guess that is sure to be right would pay.
func (l *Load) Pays() bool {
	sure := []Ask{{Most: 1, Chance: Chance{First: 1}}}
	with, without := l.Allot(sure)
	return with > without
}

// ModelCost is what a step of so many tokens of the model that guesses takes.
func (l *Load) ModelCost(tokens int) float64 {
	if cost := l.Model.Of(tokens); cost > 0 {
		return cost
	}
	return l.Presumed * l.Verify.Of(tokens)
}
