package engine

import (
	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// ExchangeRun is bytes of a row that a launch exchanges: they begin at From in a row of buffer X; what card number c has of them begins at To + c*Bytes in a row
// of buffer Y, and at Staged in the part of a row in an area of Peers.
type ExchangeRun struct {
	X, Y             int
	From, To, Staged int64
	Bytes            int64
}

// ExchangeRuns lists what a launch exchanges of a row, nil where that is nothing, and the bytes of it.
func (p *Program) ExchangeRuns(l *Launch) (runs []ExchangeRun, bytes int64) {
	k := FindKernel(l.Kernel)
	if k.Operand(l, "peers").Kind != OperandInput {
		return nil, 0
	}
	for _, pair := range [][2]string{{"x", "y"}, {"x2", "y2"}} {
		x, y := k.Operand(l, pair[0]), k.Operand(l, pair[1])
		if x.Kind != OperandBuffer || p.Buffers[x.Index].Cols >= p.Buffers[y.Index].Cols { // a kernel that only wants to know which card it is on
			continue
		}
		for _, run := range p.columnRuns(x.Index, y.Index) {
			run.Staged = bytes
			runs, bytes = append(runs, run), bytes+roundUp(run.Bytes, 16)
		}
	}
	return runs, bytes
}

// columnRuns are the columns of x as a part of those of y, and what rows have of them behind these. The program has been validated, or is about to be.
func (p *Program) columnRuns(x, y int) []ExchangeRun {
	from, to := &p.Buffers[x], &p.Buffers[y]
	size := int64(from.DType.Size())
	runs := []ExchangeRun{{X: x, Y: y, Bytes: from.Cols * size}}
	if from.Format != "" && from.DType == dtype.F32 { // largest magnitudes
		own, err := layout.NewActivation(from.Format, int(from.Cols), 0)
		all, err2 := layout.NewActivation(to.Format, int(to.Cols), 0)
		if err == nil && err2 == nil {
			runs = append(runs, ExchangeRun{X: x, Y: y, From: int64(own.MaximaOffset()), To: int64(all.MaximaOffset()), Bytes: from.Cols / layout.MaximaColumns * size})
		}
	}
	return runs
}
