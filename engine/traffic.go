package engine

import (
	"math"

	"llmc/internal/sym"
)

// Traffic tells what a decode step has to read, for comparing measured speed with what memory allows.
type Traffic struct {
	WeightBytes  int64   // weights of one step, stacks of experts' matrices left out
	StackBytes   int64   // these
	ExpertBytes  int64   // what one token reads of them
	KVTokenBytes int64   // cache of one position
	Bandwidth    float64 // bytes a second that the device was measured to read
}

// Weights is what a step with so many tokens reads of weights: of stacks what tokens that choose experts apart from one another read together on average.
func (t Traffic) Weights(tokens int) float64 {
	if t.StackBytes == 0 {
		return float64(t.WeightBytes)
	}
	spared := math.Pow(1-float64(t.ExpertBytes)/float64(t.StackBytes), float64(tokens))
	return float64(t.WeightBytes) + float64(t.StackBytes)*(1-spared)
}

// Chooses tells whether a launch reads of a weight only the matrices that rows are sent to: those of experts. Those of heads are read all.
func (l *Launch) Chooses(w *WeightEntry) bool {
	return w.Layout != "" && w.Experts() > 1 && FindKernel(l.Kernel).Operand(l, "offsets").Kind != OperandNone
}

// AddStack counts a stack that a launch of a program multiplies the rows of its result with, each with a matrix of its own.
func (t *Traffic) AddStack(p *Program, l *Launch, w *WeightEntry) {
	t.StackBytes += w.Bytes
	if y := FindKernel(l.Kernel).Operand(l, "y"); y.Kind == OperandBuffer {
		rows := p.Buffers[y.Index].Rows
		perToken := max(rows.Coef[sym.T], rows.Coef[sym.R])
		t.ExpertBytes += w.Bytes / w.Experts() * min(perToken, w.Experts())
	}
}
