package cuda

import (
	"math"

	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// results divides what the weights added up by their sum and writes it to y.
func (s *rowState) results(plan scorePlan) {
	item := s.item()
	for i := range 2 {
		token, column, ok := s.query(item, s.Add(s.number, 8*i))
		s.If(ok, func() {
			out := s.Index(s.row("y", token), column, s.resultBytes())
			scale := s.share(i, column)
			plan.blocks(func(n int, channel ptx.Reg) {
				low, high := s.resultPair(s.out, n, i)
				s.storePair(out, channel, s.Mul(low, scale), s.Mul(high, scale))
			})
		})
	}
}

// share is what a row's sums of values are multiplied with: the inverse of the sum of weights. A sink joins that sum, and none of the others.
func (s *rowState) share(i int, column ptx.Reg) ptx.Reg {
	if !s.has("sinks") {
		return s.Rcp(s.sum[i])
	}
	sink := s.Mul(s.Ld(ptx.F32, s.headPlace("sinks", column)), math.Log2E)
	top := s.Max(s.largest[i], sink)
	old := s.Ex2Ftz(s.Sub(s.largest[i], top))
	return s.Mul(old, s.Rcp(s.Fma(s.sum[i], old, s.Ex2Ftz(s.Sub(sink, top)))))
}

// headPlace is where the number of a head lies in an operand that has one for each; column is the head's first in a row of queries.
func (a *attend) headPlace(role string, column ptx.Reg) ptx.Reg {
	return a.Index(a.pointers[role], a.Div(column, a.dim), 4)
}

// ofHead is the number of a head, zero where there is none.
func (a *attend) ofHead(role string, column, ok ptx.Reg) ptx.Reg {
	v := a.Const(ptx.F32, 0)
	at := a.headPlace(role, column)
	a.When(ok).Into(v).Ld(ptx.F32, at)
	return v
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

// storeMaxima writes the largest magnitudes of the results, which all threads have written before the last barrier.
func (a *attend) storeMaxima() {
	a.Section("maxima")
	item, parts := a.item(), a.dim/layout.MaximaColumns
	a.For(ptx.Range{Name: "maxima", From: a.TidX(), To: a.Mul(item[2], a.group*parts), Step: attentionThreads}, func(i ptx.Reg) {
		row := a.Div(i, parts)
		token, column, ok := a.query(item, row)
		first := a.Add(column, a.Mul(a.Sub(i, a.Mul(row, parts)), layout.MaximaColumns))
		a.If(ok, func() { a.partMaximum("y", a.row("y", token), a.Shr(first, log2(layout.MaximaColumns))) })
	})
}

// padRows writes the zeros behind the rows of the item in a y of bf16; the CTA of the last head with the item's first split does.
func (a *attend) padRows(item []ptx.Reg) {
	columns := a.cols("y")
	missing := (columns+63)/64*64 - columns
	if !a.isBF16("y") || missing == 0 {
		return
	}
	a.Section("padding")
	zero := a.Const(ptx.B16, 0)
	mine := a.CmpAnd(ptx.EQ, a.work.from, a.split(a.firstPosition(item)), a.Eq(a.CtaY(), a.kvHeads-1))
	a.If(a.CmpAnd(ptx.EQ, a.CtaZ(), a.parts-1, mine), func() {
		a.For(ptx.Range{Name: "padding", From: a.TidX(), To: a.Mul(item[2], missing), Step: attentionThreads}, func(i ptx.Reg) {
			token := a.Div(i, missing)
			column := a.Add(a.Sub(i, a.Mul(token, missing)), columns)
			a.St(a.Index(a.row("y", a.Add(item[1], token)), column, 2), zero)
		})
	})
}
