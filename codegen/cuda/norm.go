package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
)

// normThreads work on one row.
const normThreads = 256

// norm is y = x / sqrt(mean(x^2) + eps) * w, or the same of sum = x + delta, which is stored too. One CTA has a row.
//
// A thread has pairs of columns 2*tid + 512*i, adds up their squares in that order, the lanes of a warp are added in five butterfly
// steps, then the eight warps in order.
func norm(e *entry) {
	fused := e.launch.Kernel == "cuda.add_rmsnorm"
	result := "y"
	if fused {
		result = "normed"
	}
	columns := e.cols("x")
	row := e.CtaX()
	x, out := e.row("x", row), e.row(result, row)
	var delta, sum ptx.Reg
	if fused {
		delta, sum = e.row("delta", row), e.row("sum", row)
	}

	e.Section("sum of squares")
	squares := e.Const(ptx.F32, 0)
	e.pairs(columns, func(i ptx.Reg) {
		v := e.load2("x", x, i)
		if fused {
			d := e.load2("delta", delta, i)
			v = [2]ptx.Reg{e.Add(v[0], d[0]), e.Add(v[1], d[1])}
			e.store2("sum", sum, i, v)
		}
		e.Into(squares).Fma(v[0], v[0], squares)
		if columns%2 != 0 {
			e.When(e.Lt(i, columns-1)).Into(squares).Fma(v[1], v[1], squares)
		} else {
			e.Into(squares).Fma(v[1], v[1], squares)
		}
	})
	total := e.sumOfCTA(squares)
	scale := e.Div(1.0, e.Sqrt(e.Add(e.Div(total, float64(columns)), e.launch.Float("eps", 0))))

	e.Section("scale")
	if fused {
		x = sum
	}
	e.pairs(columns, func(i ptx.Reg) {
		v := e.load2("x", x, i)
		w := e.LdV(ptx.F32, 2, e.Index(e.pointers["w"], i, 4))
		e.store2(result, out, i, [2]ptx.Reg{e.Mul(e.Mul(v[0], scale), w[0]), e.Mul(e.Mul(v[1], scale), w[1])})
	})
	e.pad(result, out)
	if e.hasMaxima(result) {
		e.Section("maxima")
		e.Sync()
		e.For(ptx.Range{Name: "maxima", From: e.TidX(), To: e.cols(result) / layout.MaximaColumns, Step: e.threads}, func(i ptx.Reg) {
			e.partMaximum(result, out, i)
		})
	}
}

// sumOfCTA adds up a number of every thread: the lanes of each warp in a butterfly, then the warps in order.
func (e *entry) sumOfCTA(x ptx.Reg) ptx.Reg {
	warps := e.threads / 32
	partials := e.Addr(e.Static("partials", 4*warps, 16))
	sum := e.WarpReduce(x, e.Add)
	e.When(e.Eq(e.Lane(), 0)).St(e.Index(partials, e.Warp(), 4), sum)
	e.Sync()
	total := e.Ld(ptx.F32, partials)
	for i := 1; i < warps; i++ {
		total = e.Add(total, e.Ld(ptx.F32, partials.At(4*i)))
	}
	return total
}
