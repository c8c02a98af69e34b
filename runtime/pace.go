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
	// leastPrompt, mostPrompt and paceGrowth are the numbers of tokens that are considered.
	leastPrompt, mostPrompt, paceGrowth = 8, 1 << 20, 1.25
)

// promptTokens is sched.Config.PromptTokens.
func (p *pace) promptTokens(decoding, coming int) int {
	return p.beside(decoding, coming, leastPrompt, mostPrompt)
}

// newcomers is sched.Config.Newcomers: a burst of short prompts is a larger batch, which streams are led to by degrees.
func (p *pace) newcomers(decoding, want int) int {
	if decoding == 0 {
		return want
	}
	return p.beside(decoding, want, min(want, 1), want)
}

// beside returns how many tokens, of least to most, a step may have beside those that decode, while so many sequences are coming.
func (p *pace) beside(decoding, coming, least, most int) int {
	usual := p.usual(decoding, coming)
	if usual == 0 {
		return most // nothing is known yet
	}
	bound, tokens := max(unnoticed, usual*stallFactor), least
	for n := least; n <= most; n = max(n+1, int(float64(n)*paceGrowth)) {
		if p.costs.Of(decoding+n) > bound {
			break
		}
		tokens = n
	}
	return tokens
}

// usual returns the seconds of a step that those who are being answered have to expect whatever comes in: what it will take once all that have come are
// answered too. Who is used to shorter ones is not made to wait for that, nor for a batch that has grown since: a burst of short prompts is part of every step once
// it has begun, and would double it again and again.
func (p *pace) usual(decoding, coming int) float64 {
	then := max(p.costs.Of(decoding), p.costs.Of(decoding+coming))
	if median := p.lately.median(); median > 0 {
		return min(then, median)
	}
	return then
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
