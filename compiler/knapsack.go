package compiler

import "container/heap"

// choice is one format that a weight can have: how many bits it takes then, and by how much the model is expected to diverge.
type choice struct {
	format     string
	bits, loss float64
}

// cheapestMix chooses one of the choices of each weight, so that all together take at most budget bits and lose little: first the smallest of each, then again and again the step up a
// weight's convex hull of bits and loss that wins most for a bit, as long as one fits (the greedy answer to the knapsack of fractions, which is off by less than one step). It returns the index of each choice; ok is false where even the smallest take
// more than the budget.
func cheapestMix(weights [][]choice, budget float64) (chosen []int, ok bool) {
	chosen = make([]int, len(weights))
	steps := &stepHeap{}
	for i, choices := range weights {
		hull := lowerHull(choices)
		chosen[i] = hull[0]
		budget -= choices[hull[0]].bits
		if len(hull) > 1 {
			heap.Push(steps, newUpward(i, choices, hull))
		}
	}
	if budget < 0 {
		return chosen, false
	}
	for steps.Len() > 0 {
		s := heap.Pop(steps).(upward)
		if s.bits > budget { // nor does any step behind it
			continue
		}
		budget -= s.bits
		chosen[s.weight] = s.hull[1]
		if len(s.hull) > 2 {
			heap.Push(steps, newUpward(s.weight, weights[s.weight], s.hull[1:]))
		}
	}
	return chosen, true
}

// lowerHull returns the choices from the smallest on that each win more for a bit than any behind them.
func lowerHull(choices []choice) []int {
	at := 0
	for i, c := range choices {
		if b := choices[at]; c.bits < b.bits || c.bits == b.bits && c.loss < b.loss {
			at = i
		}
	}
	hull := []int{at}
	for {
		from, next, best := choices[hull[len(hull)-1]], -1, 0.0
		for i, c := range choices {
			if c.bits <= from.bits || c.loss >= from.loss {
				continue
			}
			if rate := (from.loss - c.loss) / (c.bits - from.bits); next < 0 || rate > best {
				next, best = i, rate
			}
		}
		if next < 0 {
			return hull
		}
		hull = append(hull, next)
	}
}

// upward is the step of a weight from hull[0] to hull[1].
type upward struct {
	weight     int
	hull       []int
	bits, rate float64
}

func newUpward(weight int, choices []choice, hull []int) upward {
	from, to := choices[hull[0]], choices[hull[1]]
	return upward{weight, hull, to.bits - from.bits, (from.loss - to.loss) / (to.bits - from.bits)}
}

// stepHeap has the step that wins most for a bit first; of equal ones that of the first weight.
type stepHeap []upward

func (h stepHeap) Len() int { return len(h) }

func (h stepHeap) Less(i, j int) bool {
	return h[i].rate > h[j].rate || h[i].rate == h[j].rate && h[i].weight < h[j].weight
}

func (h stepHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *stepHeap) Push(x any) { *h = append(*h, x.(upward)) }

func (h *stepHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
