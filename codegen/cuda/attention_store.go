package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// results divides what the weights added up by their sum and writes it to y. blocks calls each for the lane's blocks, with the first of its
// two channels.
func (s *rowState) results(blocks func(each func(n int, column ptx.Reg))) {
	for i := range 2 {
		token, column, ok := s.query(s.Add(s.number, 8*i))
		s.If(ok, func() {
			out := s.Index(s.row("y", token), column, s.resultBytes())
			scale := s.Rcp(s.sum[i])
			blocks(func(n int, channel ptx.Reg) {
				s.storePair(out, channel, s.Mul(s.out[n][2*i], scale), s.Mul(s.out[n][2*i+1], scale))
			})
		})
	}
}

func (a *attend) resultBytes() int { return a.buffer("y").DType.Size() }

// storePair writes channels d and d+1 of a head, if it has them.
func (a *attend) storePair(out, d, low, high ptx.Reg) {
	at := a.Index(out, d, a.resultBytes())
	first, second := a.Lt(d, a.dim), a.Lt(d, a.dim-1)
	switch {
	case a.dim%2 == 0 && a.isBF16("y"):
		both := a.Cvt2(ptx.BF16x2, low, high)
		a.When(first).St(at, both)
	case a.dim%2 == 0:
		a.When(first).StV(at, []ptx.Reg{low, high})
	case a.isBF16("y"):
		l, h := a.Cvt(ptx.BF16, low), a.Cvt(ptx.BF16, high)
		a.When(first).St(at, l)
		a.When(second).St(at.At(2), h)
	default:
		a.When(first).St(at, low)
		a.When(second).St(at.At(4), high)
	}
}

// storeMaxima writes the largest magnitudes of the results, once all threads have written those.
func (a *attend) storeMaxima() {
	if !a.hasMaxima("y") {
		return
	}
	a.Section("maxima")
	a.Sync()
	parts := a.dim / layout.MaximaColumns
	a.For(ptx.Range{Name: "maxima", From: a.TidX(), To: a.Mul(a.count, a.group*parts), Step: attentionThreads}, func(i ptx.Reg) {
		row := a.Div(i, parts)
		token, column, ok := a.query(row)
		first := a.Add(column, a.Mul(a.Sub(i, a.Mul(row, parts)), layout.MaximaColumns))
		a.If(ok, func() { a.partMaximum("y", a.row("y", token), a.Shr(first, log2(layout.MaximaColumns))) })
	})
}

// padRows writes the zeros behind the rows of the item in a y of bf16; the CTA of the last head does.
func (a *attend) padRows() {
	columns := a.cols("y")
	missing := (columns+63)/64*64 - columns
	if !a.isBF16("y") || missing == 0 {
		return
	}
	a.Section("padding")
	zero := a.Const(ptx.B16, 0)
	a.If(a.CmpAnd(ptx.EQ, a.CtaZ(), a.parts-1, a.Eq(a.CtaY(), a.kvHeads-1)), func() {
		a.For(ptx.Range{Name: "padding", From: a.TidX(), To: a.Mul(a.count, missing), Step: attentionThreads}, func(i ptx.Reg) {
			token := a.Div(i, missing)
			column := a.Add(a.Sub(i, a.Mul(token, missing)), columns)
			a.St(a.Index(a.row("y", a.Add(a.first, token)), column, 2), zero)
		})
	})
}
