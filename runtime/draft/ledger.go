package draft

// Ledger compares what steps with guesses took with what their tokens would have taken without, and has guessing rest where it has lost time: costs and chances
// are estimates, the ledger is not. The zero value is empty.
type Ledger struct {
	gained, spent float64 // seconds, recent ones counting more
	steps         int
	rest, last    int // steps that are left of a rest, length of the last one
}

const (
	keptOfLedger   = 0.97
	enoughSteps    = 16 // before anything is concluded
	bearableLoss   = 0.01
	shortestRest   = 64 // steps
	longestRest    = 1024
	forgivingSteps = 256 // with a gain, after which rests are short again
)

// Book enters a step that took so many seconds, guessing included, and whose tokens would have taken so many without.
func (l *Ledger) Book(took, without float64) {
	l.gained, l.spent = keptOfLedger*l.gained+without-took, keptOfLedger*l.spent+took
	if l.steps++; l.steps < enoughSteps {
		return
	}
	if l.gained < -bearableLoss*l.spent {
		l.last = min(max(2*l.last, shortestRest), longestRest)
		*l = Ledger{rest: l.last, last: l.last}
	} else if l.steps >= forgivingSteps {
		l.last = 0
	}
}

// Rests tells whether the next step is to be one without guesses. It is asked once for each.
func (l *Ledger) Rests() bool {
	if l.rest == 0 {
		return false
	}
	l.rest--
	return true
}
