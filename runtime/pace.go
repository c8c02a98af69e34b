package runtime

import (
	"slices"

	"llmc/runtime/draft"
)

// pace keeps prompts from stalling streams: a step that takes in tokens of a prompt takes longer, and everybody who is being answered waits for it.
// It learns what steps of what size take, and bounds those that do both by what a step takes that only decodes.
type pace struct {
	costs   draft.Costs
	lately  gaps
	refused int // requests whose deadlines could not be met
}

const (
	// stallFactor is how much longer than those that streams are used to a step may take that takes in prompts, however many wait.
	stallFactor = 1.8
	// unnoticed is a time between tokens, in seconds, that keeps nobody waiting.
	unnoticed = 5e-3
	// leastPrompt and paceGrowth are the numbers of tokens that are considered.
	leastPrompt, paceGrowth = 16, 1.25
)

// promptTokens is sched.Config.PromptTokens.
func (p *pace) promptTokens(decoding, coming int) int {
	base := p.usual(decoding, coming)
	if base == 0 {
		return 1 << 30 // nothing is known yet
	}
	bound, tokens := max(unnoticed, base*stallFactor), leastPrompt
	for n := tokens; n < 1<<20; n = int(float64(n) * paceGrowth) {
		if p.costs.Of(decoding+n) > bound {
			break
		}
		tokens = n
	}
	return tokens
}

// usual returns the seconds of a step that those who are being answered have to expect whatever comes in: what it takes without prompts, or, when these are
// many, what it will take once all that have come are answered too. Who is used to shorter ones is not made to wait for that.
func (p *pace) usual(decoding, coming int) float64 {
	now, then := p.costs.Of(decoding), p.costs.Of(decoding+coming)
	if median := p.lately.median(); median > 0 {
		then = min(then, median)
	}
	return max(now, then)
}

// observe learns from a step of so many tokens. Where it answered nobody, nobody is used to anything any more.
func (p *pace) observe(tokens int, answering bool, seconds float64) {
	p.costs.Observe(tokens, seconds)
	if !answering {
		p.lately = gaps{}
		return
	}
	p.lately.add(seconds)
}

// gaps are the seconds between tokens of streams lately.
type gaps struct {
	recent [64]float32 // a ring
	count  int         // all of them
}

// enoughGaps make people used to them.
const enoughGaps = 16

func (g *gaps) add(seconds float64) {
	g.recent[g.count%len(g.recent)] = float32(seconds)
	g.count++
}

// median returns 0 where there were too few.
func (g *gaps) median() float64 {
	if g.count < enoughGaps {
		return 0
	}
	sorted := g.recent
	n := min(g.count, len(sorted))
	slices.Sort(sorted[:n])
	return float64(sorted[n/2])
}
