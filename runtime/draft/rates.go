package draft

// Class tells guesses apart that are right more or less often.
type Class uint8

// The classes: guesses of the index by the length of the match that they follow, those of a model.
const (
	ShortMatch Class = iota
	Match4
	Match8
	Match16
	OfModel
	classes
)

// Class returns the class of the guesses behind a match.
func (m Match) Class() Class {
	switch {
	case m.Length >= 16:
		return Match16
	case m.Length >= 8:
		return Match8
	case m.Length >= 4:
		return Match4
	}
	return ShortMatch
}

// Chance is how likely guesses are right: the first, and each of the others if those before it are.
type Chance struct{ First, Rest float64 }

// untried are the chances before there is any experience.
var untried = [classes]Chance{
	ShortMatch: {0.35, 0.65},
	Match4:     {0.5, 0.7},
	Match8:     {0.8, 0.9},
	Match16:    {0.9, 0.95},
	OfModel:    {0.7, 0.7},
}

// Rates are how often guesses were right, recent ones counting more. The zero value has seen none.
type Rates struct {
	counts [classes][2]count // of first guesses and of others
}

type count struct{ right, tried float64 }

// What a verified chain leaves of earlier experience: of one sequence, whose text may change its nature, and of all together.
const (
	keptOfSequence = 0.95
	keptOfAll      = 0.998
	keptOfText     = 0.95 // of all experience, when a text has ended
	weightOfPrior  = 4    // guesses of experience that what is known of others counts for
)

// record takes in that so many guesses were made and so many right.
func (r *Rates) record(c Class, drafted, accepted int, kept float64) {
	add := func(n *count, tried, right int) {
		n.tried, n.right = n.tried*kept+float64(tried), n.right*kept+float64(right)
	}
	if drafted == 0 {
		return
	}
	add(&r.counts[c][0], 1, min(accepted, 1))
	if accepted > 0 && drafted > 1 { // guesses behind a wrong one say nothing
		add(&r.counts[c][1], min(accepted, drafted-1), accepted-1)
	}
}

// Fade makes experience count less: what comes may be of another kind.
func (r *Rates) Fade() {
	for c := range r.counts {
		for depth := range r.counts[c] {
			r.counts[c][depth].right *= keptOfText
			r.counts[c][depth].tried *= keptOfText
		}
	}
}

// Record takes in what became of a sequence's guesses, for the sequence and for all.
func (r *Rates) Record(all *Rates, c Class, drafted, accepted int) {
	r.record(c, drafted, accepted, keptOfSequence)
	all.record(c, drafted, accepted, keptOfAll)
}

// Chance returns how likely a sequence's guesses are right, by its own experience and, as long as that is short, that of all.
func (r *Rates) Chance(all *Rates, c Class) Chance {
	blend := func(depth int, prior float64) float64 {
		n := r.counts[c][depth]
		return (n.right + weightOfPrior*prior) / (n.tried + weightOfPrior)
	}
	general := func(depth int, prior float64) float64 {
		n := all.counts[c][depth]
		return (n.right + 2*weightOfPrior*prior) / (n.tried + 2*weightOfPrior)
	}
	return Chance{blend(0, general(0, untried[c].First)), blend(1, general(1, untried[c].Rest))}
}
