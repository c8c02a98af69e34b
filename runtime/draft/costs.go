package draft

import "math"

// Costs learns how long steps take by the number of their tokens. Steps of few tokens are bound by memory on most machines, and a token more is
// nearly free; how many that are, and where it ends, depends on the machine, the format of the weights, and on who else is at work. The zero value knows nothing.
type Costs struct {
	cells [exactSizes + coarseSizes]cell
	clock uint64 // counts what was observed
}

type cell struct {
	seconds float64
	tokens  float64 // of the steps that were observed, on average
	count   int
	at      uint64
}

const (
	exactSizes  = 32 // sizes with a cell of their own
	perOctave   = 8  // cells for each doubling of larger ones
	coarseSizes = 12 * perOctave
	memory      = 512  // observations after which a cell that was not among them counts no more
	smoothing   = 8    // observations that an average takes in
	outlier     = 1.5  // observations beyond this factor are cut down to it: somebody else had the processor
	rowShare    = 0.08 // of the time of a step of one token that another token is presumed to take
)

func cellOf(tokens int) int {
	if tokens <= exactSizes {
		return max(tokens-1, 0)
	}
	return min(exactSizes+int(perOctave*math.Log2(float64(tokens)/exactSizes)), exactSizes+coarseSizes-1)
}

// Observe takes in what a step of so many tokens took.
func (c *Costs) Observe(tokens int, seconds float64) {
	if tokens < 1 || !(seconds > 0) {
		return
	}
	c.clock++
	e := &c.cells[cellOf(tokens)]
	if !c.fresh(e) {
		*e = cell{}
	}
	e.count = min(e.count+1, smoothing)
	if e.count > 2 {
		seconds = min(max(seconds, e.seconds/outlier), e.seconds*outlier)
	}
	weight := 1 / float64(e.count)
	e.seconds += weight * (seconds - e.seconds)
	e.tokens += weight * (float64(tokens) - e.tokens)
	e.at = c.clock
}

func (c *Costs) fresh(e *cell) bool { return e.count > 0 && c.clock-e.at <= memory }

// Known tells whether steps of about so many tokens were observed lately.
func (c *Costs) Known(tokens int) bool { return c.fresh(&c.cells[cellOf(tokens)]) }

// Of returns what a step of so many tokens takes, from the nearest sizes that were observed lately: what lies between is interpolated, what lies
// beyond is presumed to be cheap, so that it is tried. 0: nothing is known.
func (c *Costs) Of(tokens int) float64 {
	at := cellOf(tokens)
	if c.Known(tokens) && at < exactSizes {
		return c.cells[at].seconds
	}
	n := float64(tokens)
	var low, high *cell
	for i := at; i >= 0 && low == nil; i-- {
		if e := &c.cells[i]; c.fresh(e) && e.tokens <= n {
			low = e
		}
	}
	for i := at; i < len(c.cells) && high == nil; i++ {
		if e := &c.cells[i]; c.fresh(e) && e.tokens > n {
			high = e
		}
	}
	switch {
	case low != nil && high != nil:
		return low.seconds + (high.seconds-low.seconds)*(n-low.tokens)/(high.tokens-low.tokens)
	case low != nil:
		return low.seconds * presumedCost(n) / presumedCost(low.tokens)
	case high != nil:
		return high.seconds * presumedCost(n) / presumedCost(high.tokens)
	}
	return 0
}

// presumedCost is the time of a step relative to that of one token, before there is any experience.
func presumedCost(tokens float64) float64 { return 1 + rowShare*(tokens-1) }
