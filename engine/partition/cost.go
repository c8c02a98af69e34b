package partition

import "llmc/engine"

// Cost is what ranks take of a program.
type Cost struct {
	Weights   []int64 // bytes that each rank reads of weights, tables of embeddings not counted
	Exchanges int     // places at which ranks wait for each other, in a step
	// Sent is the bytes that each rank sends for a token of a step whose rows are all sampled. Rows of mixtures count as if they were sent to experts evenly.
	Sent []int64
}

// Cost tells what a program takes of each rank.
func (p *Program) Cost(program *engine.Program, weights Weights) Cost {
	cost := Cost{Weights: make([]int64, p.Size()), Sent: make([]int64, p.Size())}
	for i := range p.Launches {
		l := &p.Launches[i]
		for rank, part := range l.Parts {
			cost.Weights[rank] += partOf(program, &program.Launches[i], &part, weights)
		}
		if len(l.Moves) > 0 {
			cost.Exchanges++
		}
		for _, m := range l.Moves {
			bytes := int64(m.Bytes.Len())
			if m.Experts != nil {
				edges, _ := program.Buffers[m.Offsets].Rows.IsConst()
				bytes = bytes * int64(m.Experts.Len()) / max(1, edges-1) * placesOf(&program.Buffers[m.Buffer])
			}
			cost.Sent[m.From] += bytes
		}
	}
	return cost
}

// placesOf is how many rows a buffer has for each token.
func placesOf(b *engine.Buffer) int64 {
	most := int64(1)
	for _, c := range b.Rows.Coef {
		most = max(most, c)
	}
	return most
}

// partOf is what a rank reads of a launch's weights.
func partOf(p *engine.Program, l *engine.Launch, part *Part, weights Weights) int64 {
	bytes := weightBytes(p, l, weights)
	switch {
	case part.Skip:
		return 0
	case part.Columns != nil && !Columnwise(l.Kernel):
		y := engine.FindKernel(l.Kernel).Operand(l, "y")
		return bytes * int64(part.Columns.Len()) / p.Buffers[y.Index].Cols
	case part.Experts != nil && !Columnwise(l.Kernel):
		edges, _ := p.Buffers[part.Offsets].Rows.IsConst()
		return bytes * int64(part.Experts.Len()) / max(1, edges-1)
	}
	return bytes
}
