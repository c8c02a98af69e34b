// Package partition says which of several ranks computes which part of a program, and what they tell each other. Ranks hold the same plan, and decide this at load, each for
// itself and all alike: a plan serves any number of them.
//
// Products are split by their outputs, attention by heads, mixtures by experts, layers by stages of a pipeline: no sum is ever shared between ranks. So what ranks compute together is what one
// computes alone, bit for bit, whatever the order of its sums. Where a launch reads more than its rank computed, the parts are exchanged behind the launches that computed
// them. A launch of a kernel that has no row in the table of rules is computed whole by every rank of its stage.
//
// Tensor parallelism by columns and its rows, in pairs, is from Shoeybi and others, "Megatron-LM", 2019 (arXiv:1909.08053); here rows are columns too, since partial sums
// that are added up in the order of one device would take more bytes than what they are made of.
package partition

import (
	"fmt"

	"llmc/engine"
)

// Ranks is how many parts there are: TP ranks share each launch of a stage, PP stages share the launches. Rank r is number r%TP of stage r/TP.
type Ranks struct{ TP, PP int }

// Size is the number of ranks.
func (r Ranks) Size() int { return r.TP * r.PP }

// stage returns the ranks of a stage, in order.
func (r Ranks) stage(s int) []int {
	ranks := make([]int, r.TP)
	for i := range ranks {
		ranks[i] = s*r.TP + i
	}
	return ranks
}

// MaxRanks bounds groups: links are between all pairs.
const MaxRanks = 64

func (r Ranks) check() error {
	if r.TP < 1 || r.PP < 1 || r.TP > MaxRanks || r.PP > MaxRanks || r.Size() > MaxRanks {
		return fmt.Errorf("tp %d and pp %d: must be at least 1 each, and %d ranks together at most", r.TP, r.PP, MaxRanks)
	}
	return nil
}

// Program is what each rank does of a program.
type Program struct {
	Ranks
	Launches []Launch // as the program has them
	Stages   []int    // of launches
	// Heads are those that a rank caches of each cache: Heads[rank][cache]. Layers tells which layers of a cache a rank has: Layers[rank][cache][layer].
	Heads  [][]Heads
	Layers [][][]bool
}

// Launch is what ranks compute of a launch, and what is exchanged right behind it.
type Launch struct {
	Parts []Part // by rank
	Moves []Move
}

// Part is what a rank computes of a launch. Where nothing is said, all of it.
type Part struct {
	Skip bool
	// Columns are those of the results. A product covers whole panels, and each head of linear_heads is whole.
	Columns Set
	Heads   *Heads // of attention and what is around it
	Experts *Range // whose rows are computed
	Offsets int    // buffer with the first row of each expert, where Experts is set
}

// Heads are query heads and the KV heads that they read.
type Heads struct{ Query, KV Range }

// Move carries bytes of each row of a buffer from a rank to another: all rows, or those at the sender's experts.
type Move struct {
	From, To, Buffer int
	Bytes            Set    // of a row
	Experts          *Range // rows [offsets[From], offsets[To]) of buffer Offsets
	Offsets          int
}

// Range is From <= i < To.
type Range struct{ From, To int }

// Len is how many there are.
func (r Range) Len() int { return r.To - r.From }

// Share returns part i of n things that parts divide evenly.
func Share(n, i, parts int) Range { return Range{n * i / parts, n * (i + 1) / parts} }

// Weights looks up weights by name, as engine.Plan does.
type Weights func(name string) *engine.WeightEntry
