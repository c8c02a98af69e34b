package cuda

import (
	"math"

	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// results divides what the weights added up by their sum and writes it to y.
func (s *rowState) results(plan scorePlan) {
	item := s.item()
	turned := s.e.turnBlock() > 1
	if turned {
		s.turnResults(plan)
	}
	for i := range 2 {
		token, column, ok := s.query(item, s.e.Add(s.number, 8*i))
		s.e.If(ok, func() {
			out := s.e.Index(s.e.row("y", token), column, s.resultBytes())
			scale := s.share(i, column)
			if turned {
				scale = s.e.Mul(scale, s.e.turnFactor())
			}
			plan.blocks(func(n int, channel ptx.Reg) {
				low, high := s.resultPair(s.out, n, i)
				s.storePair(out, channel, s.e.Mul(low, scale), s.e.Mul(high, scale))
			})
		})
	}
}

// share is what a row's sums of values are multiplied with: the inverse of the sum of weights. A sink joins that sum, and none of the others.
func (s *rowState) share(i int, column ptx.Reg) ptx.Reg {
	if !s.e.has("sinks") {
		return s.e.Rcp(s.sum[i])
	}
	sink := s.e.Mul(s.e.Ld(ptx.F32, s.headPlace("sinks", column)), math.Log2E)
	top := s.e.Max(s.largest[i], sink)
	old := s.e.Ex2Ftz(s.e.Sub(s.largest[i], top))
	return s.e.Mul(old, s.e.Rcp(s.e.Fma(s.sum[i], old, s.e.Ex2Ftz(s.e.Sub(sink, top)))))
}

// headPlace is where the number of a head lies in an operand that has one for each; column is the head's first in a row of queries.
func (a *attend) headPlace(role string, column ptx.Reg) ptx.Reg {
	return a.e.Index(a.e.pointers[role], a.e.Div(column, a.values), 4)
}

// ofHead is the number of a head, zero where there is none.
func (a *attend) ofHead(role string, column, ok ptx.Reg) ptx.Reg {
	v := a.e.Const(ptx.F32, 0)
	at := a.headPlace(role, column)
	a.e.When(ok).Into(v).Ld(ptx.F32, at)
	return v
}

func (a *attend) resultBytes() int { return a.e.buffer("y").DType.Size() }

// storePair writes channels d and d+1 of a head, if it has them.
func (a *attend) storePair(out, d, low, high ptx.Reg) {
	at := a.e.Index(out, d, a.resultBytes())
	first, second := a.e.Lt(d, a.values), a.e.Lt(d, a.values-1)
	switch {
	case a.values%2 == 0 && a.e.isBF16("y"):
		both := a.e.Cvt2(ptx.BF16x2, low, high)
		a.e.When(first).St(at, both)
	case a.values%2 == 0:
		a.e.When(first).StV(at, []ptx.Reg{low, high})
	case a.e.isBF16("y"):
		l, h := a.e.Cvt(ptx.BF16, low), a.e.Cvt(ptx.BF16, high)
		a.e.When(first).St(at, l)
		a.e.When(second).St(at.At(2), h)
	default:
		a.e.When(first).St(at, low)
		a.e.When(second).St(at.At(4), high)
	}
}

// storeMaxima writes the largest magnitudes of the results, which all threads have written before the last barrier.
func (a *attend) storeMaxima() {
	a.e.Section("maxima")
	item, parts := a.item(), a.dim/layout.MaximaColumns
	a.e.For(ptx.Range{Name: "maxima", From: a.e.TidX(), To: a.e.Mul(item[2], a.group*parts), Step: attentionThreads}, func(i ptx.Reg) {
		row := a.e.Div(i, parts)
		token, column, ok := a.query(item, row)
		first := a.e.Add(column, a.e.Mul(a.e.Sub(i, a.e.Mul(row, parts)), layout.MaximaColumns))
		a.e.If(ok, func() { a.e.partMaximum("y", a.e.row("y", token), a.e.Shr(first, log2(layout.MaximaColumns))) })
	})
}

// padRows writes the zeros behind the rows of the item in a y of bf16; the CTA of the last head with the item's first split does.
func (a *attend) padRows(item []ptx.Reg) {
	columns := a.e.cols("y")
	missing := (columns+63)/64*64 - columns
	if !a.e.isBF16("y") || missing == 0 {
		return
	}
	a.e.Section("padding")
	zero := a.e.Const(ptx.B16, 0)
	mine := a.e.CmpAnd(ptx.EQ, a.work.from, a.split(a.firstPosition(item)), a.e.Eq(a.e.CtaY(), a.kvHeads-1))
	a.e.If(a.e.CmpAnd(ptx.EQ, a.e.CtaZ(), a.parts-1, mine), func() {
		a.e.For(ptx.Range{Name: "padding", From: a.e.TidX(), To: a.e.Mul(item[2], missing), Step: attentionThreads}, func(i ptx.Reg) {
			token := a.e.Div(i, missing)
			column := a.e.Add(a.e.Sub(i, a.e.Mul(token, missing)), columns)
			a.e.St(a.e.Index(a.e.row("y", a.e.Add(item[1], token)), column, 2), zero)
		})
	})
}
