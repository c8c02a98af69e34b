package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// quantizeThreads work on one row.
const quantizeThreads = 256

// leastMaxAbs is where a row counts as zero, as in internal/quant.
const leastMaxAbs = 1e-30

// quantize is y = e4m3(x * (448/amax)) with the scale amax/448 of each row, one CTA each: the same bits as quant.E4M3. Magnitudes are compared
// as integers, so that NaN is the largest and no order matters.
func quantize(e *entry) {
	columns := e.cols("x")
	y, err := layout.NewActivation(e.buffer("y").Format, columns, 0)
	if err != nil {
		panic("cuda: " + err.Error()) // emit asked for the same
	}
	row := e.CtaX()
	x, out := e.row("x", row), e.row("y", row)

	e.Section("largest magnitude")
	most := e.Const(ptx.U32, 0)
	e.pairs(columns, func(i ptx.Reg) {
		for _, v := range e.load2("x", x, i) {
			e.Into(most).Max(most, e.And(v.As(ptx.U32), 0x7fffffff))
		}
	})
	scale, inverse := e.e4m3Scale(e.maxOfCTA(most).As(ptx.F32))
	e.When(e.Eq(e.TidX(), 0)).St(out.At(y.ScaleOffset()), scale)

	e.Section("codes")
	e.pairs(columns, func(i ptx.Reg) {
		v := e.load2("x", x, i)
		second := e.Mul(v[1], inverse)
		if columns%2 != 0 {
			second = e.Select(e.Lt(i, columns-1), second, 0.0)
		}
		e.St(e.Index(out, i, 1), e.Cvt2(ptx.E4M3x2, e.Mul(v[0], inverse), second))
	})
	from, to := (columns+1)/2*2, y.KPad()
	if from < to {
		i := e.Add(e.Shl(e.TidX(), 1), from)
		e.If(e.Lt(i, to), func() { e.St(e.Index(out, i, 1), e.Const(ptx.B16, 0)) })
	}
}

// e4m3Scale is the scale of a row by its largest magnitude, and what its numbers are multiplied with to be codes.
func (e *entry) e4m3Scale(amax ptx.Reg) (scale, inverse ptx.Reg) {
	small := e.Lt(amax, leastMaxAbs)
	scale = e.Select(small, 0.0, e.Div(amax, float64(dtype.E4M3Max)))
	return scale, e.Select(small, 0.0, e.Div(float64(dtype.E4M3Max), amax))
}

// maxOfCTA is the largest of a number of every thread.
func (e *entry) maxOfCTA(x ptx.Reg) ptx.Reg {
	warps := e.threads / 32
	partials := e.Addr(e.Static("partials", 4*warps, 16))
	most := e.Redux("max", x)
	e.When(e.Eq(e.Lane(), 0)).St(e.Index(partials, e.Warp(), 4), most)
	e.Sync()
	total := e.Ld(ptx.U32, partials)
	for i := 1; i < warps; i++ {
		total = e.Max(total, e.Ld(ptx.U32, partials.At(4*i)))
	}
	return total
}
