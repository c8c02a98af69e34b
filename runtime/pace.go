package runtime

import "llmc/runtime/draft"

// pace keeps prompts from stalling streams: a step that takes in tokens of a prompt takes longer, and everybody who is being answered waits for it.
// It learns what steps of what size take, and bounds those that do both by what a step takes that only decodes.
type pace struct {
	costs   draft.Costs
	refused int // requests whose deadlines could not be met
}

const (
	// stallFactor is how much longer than one that only decodes a step may take that also takes in prompts, however many wait.
	stallFactor = 1.8
	// unnoticed is a time between tokens, in seconds, that keeps nobody waiting.
	unnoticed = 5e-3
	// leastPrompt and paceGrowth are the numbers of tokens that are considered.
	leastPrompt, paceGrowth = 16, 1.25
)

// promptTokens is sched.Config.PromptTokens.
func (p *pace) promptTokens(decoding int) int {
	base := p.costs.Of(decoding)
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
