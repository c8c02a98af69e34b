package runtime

import "llmc/runtime/draft"

// pace keeps prompts from stalling streams: a step that takes in tokens of a prompt takes longer, and everybody who is being answered waits for it.
// It learns what steps of what size take, and bounds those that do both by what a step takes that only decodes.
type pace struct {
	costs   draft.Costs
	refused int     // requests whose deadlines could not be met
	level   float64 // seconds of the steps that decode, as those who are answered are used to them; 0: nobody is
}

const (
	// stallFactor is how much longer than one that only decodes a step may take that also takes in prompts, however many wait.
	stallFactor = 1.8
	// unnoticed is a time between tokens, in seconds, that keeps nobody waiting.
	unnoticed = 5e-3
	// leastPrompt and paceGrowth are the numbers of tokens that are considered.
	leastPrompt, paceGrowth = 16, 1.25
	// levelSteps is in how many steps streams get used to longer ones: a burst of short prompts is a larger batch, which they are led to by degrees.
	levelSteps = 16
)

// promptTokens is sched.Config.PromptTokens.
func (p *pace) promptTokens(decoding int) int {
	base := p.costs.Of(decoding)
	if base == 0 {
		return 1 << 30 // nothing is known yet
	}
	if p.level > 0 {
		base = min(base, p.level) // short prompts are streams in the next step, which would let in more
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

// newcomers is sched.Config.Newcomers.
func (p *pace) newcomers(decoding, want int) int {
	base := p.costs.Of(decoding)
	if decoding == 0 || base == 0 {
		p.level = 0
		return want
	}
	if p.level == 0 || base < p.level {
		p.level = base
	}
	p.level += (base - p.level) / levelSteps
	bound, most := max(unnoticed, p.level*stallFactor), min(want, 1)
	for n := most; most < want; n = max(n+1, int(float64(n)*paceGrowth)) {
		if p.costs.Of(decoding+n) > bound {
			break
		}
		most = min(n, want)
	}
	return most
}
