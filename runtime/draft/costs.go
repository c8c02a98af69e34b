package draft

import (
	"math"
	"slices"
)

// Costs learns how long steps take by the number of their tokens. Steps of few tokens are bound by memory on most machines, and a token more is
// nearly free; how many that are, and where it ends, depends on the machine, the format of the weights, and on who else is at work. The zero value knows nothing.
type Costs struct {
	cells [exactSizes + coarseSizes]cell
	clock uint64  // counts what was observed
	row   float64 // seconds of a token more, on average where larger steps were compared with smaller ones
	rows  int     // comparisons, up to believed
}

// cell is what steps of one size, or of about that, took lately.
type cell struct {
	recent  [window]float32 // seconds
	count   int             // of these
	next    int             // place of the next
	seconds float64         // their median
	tokens  float64         // size of the steps
	at      uint64          // of the last
}

const (
	exactSizes  = 32 // sizes with a cell of their own
	perOctave   = 8  // cells for each doubling of larger ones
	coarseSizes = 12 * perOctave
	window      = 8
	// A size that was not seen for so many observations is forgotten: texts have become longer, neighbours of the machine busier.
	memory = 512
	// A size that was seen less often than this is believed to be better than presumed, not worse: others may have had the processor.
	believed = 3
	// What a token more is presumed to take, of the time of a step of one token: little where larger steps are not known, much where smaller ones
	// are not, so that both are tried.
	littleShare   = 0.12
	muchShare     = 0.5
	cautiousShare = 0.25 // see Beyond
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
	c.compare(tokens, seconds)
	e := &c.cells[cellOf(tokens)]
	if !c.fresh(e) {
		*e = cell{}
	}
	e.recent[e.next] = float32(seconds)
	e.next = (e.next + 1) % window
	e.count = min(e.count+1, window)
	sorted := e.recent
	slices.Sort(sorted[:e.count])
	e.seconds = float64(sorted[(e.count-1)/2])
	e.tokens += (float64(tokens) - e.tokens) / float64(e.count)
	e.at = c.clock
}

// compare learns from a step of few tokens and the next smaller size that is known.
func (c *Costs) compare(tokens int, seconds float64) {
	if tokens > exactSizes {
		return
	}
	for i := cellOf(tokens) - 1; i >= 0; i-- {
		if e := &c.cells[i]; c.fresh(e) && e.count >= believed {
			c.rows = min(c.rows+1, believed+1)
			row := min(max(seconds-e.seconds, 0)/(float64(tokens)-e.tokens), e.seconds)
			if c.rows > believed { // one slow step among many is no news
				row = min(row, 2*c.row+littleShare/4*e.seconds)
			}
			c.row += (row - c.row) / float64(c.rows)
			return
		}
	}
}

func (c *Costs) fresh(e *cell) bool { return e.count > 0 && c.clock-e.at <= memory }

// Known tells whether steps of about so many tokens were observed lately, often enough to be believed.
func (c *Costs) Known(tokens int) bool {
	e := &c.cells[cellOf(tokens)]
	return c.fresh(e) && e.count >= believed
}

// Of returns what a step of so many tokens takes, from the nearest sizes that are known: what lies between is interpolated, what lies beyond is presumed.
// 0: nothing is known.
func (c *Costs) Of(tokens int) float64 {
	at := cellOf(tokens)
	own := &c.cells[at]
	if at < exactSizes && c.Known(tokens) {
		return own.seconds
	}
	presumed := c.presume(at, float64(tokens))
	if at < exactSizes && c.fresh(own) && (presumed == 0 || own.seconds < presumed) {
		return own.seconds
	}
	return presumed
}

// Beyond returns what more tokens add to a step, for who must not lose: of sizes that were not seen often, what tokens added elsewhere, or more than they do
// on most machines.
func (c *Costs) Beyond(tokens, more int) float64 {
	base := c.Of(tokens)
	added := c.Of(tokens+more) - base
	if !c.Known(tokens + more) {
		each := c.row
		if c.rows == 0 {
			each = cautiousShare * base / relative(littleShare, float64(tokens))
		}
		added = max(added, each*float64(more))
	}
	return max(added, 0)
}

// presume tells by other sizes what a step takes.
func (c *Costs) presume(at int, tokens float64) float64 {
	var low, high *cell
	usable := func(e *cell) bool { return c.fresh(e) && (e.count >= believed || c.few()) }
	for i := at; i >= 0 && low == nil; i-- {
		if e := &c.cells[i]; usable(e) && e.tokens < tokens {
			low = e
		}
	}
	for i := at; i < len(c.cells) && high == nil; i++ {
		if e := &c.cells[i]; usable(e) && e.tokens >= tokens && (i != at || at >= exactSizes) {
			high = e
		}
	}
	switch {
	case low != nil && high != nil:
		return low.seconds + (high.seconds-low.seconds)*(tokens-low.tokens)/(high.tokens-low.tokens)
	case low != nil && c.rows >= believed:
		return low.seconds + c.row*(tokens-low.tokens)
	case low != nil:
		return low.seconds * relative(littleShare, tokens) / relative(littleShare, low.tokens)
	case high != nil:
		return high.seconds * relative(muchShare, tokens) / relative(muchShare, high.tokens)
	}
	return 0
}

// few tells whether so little was observed that all of it has to be believed.
func (c *Costs) few() bool { return c.clock < 2*believed }

// relative is the time of a step, of that of one token, by a token's share.
func relative(share, tokens float64) float64 { return 1 + share*(tokens-1) }
