package devicetest

import (
	"math/rand/v2"

	"llmc/runtime/sched"
)

// guesses drafts what requests will say, which is known, and is wrong now and then.
type guesses struct {
	outputs [][]int32 // by request
	most    int
	vocab   int32
	random  *rand.Rand
}

func newGuesses(sc schedule, vocab int) *guesses {
	return &guesses{outputs: sc.drafts, most: sc.settings.Drafts, vocab: int32(vocab), random: rand.New(rand.NewPCG(sc.seed, 13))}
}

func (g *guesses) propose(s *sched.Scheduler) {
	for _, q := range s.Drafting(nil) {
		rest := g.outputs[q.Owner().(int)][q.Outputs():]
		drafts := append([]int32{}, rest[:min(len(rest), g.most)]...)
		for i := range drafts {
			if g.random.IntN(6) == 0 {
				drafts[i] = g.random.Int32N(g.vocab)
			}
		}
		s.Propose(q, drafts)
	}
}
